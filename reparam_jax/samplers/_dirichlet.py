"""The Dirichlet distribution."""

import jax
import jax.numpy as jnp
import numpy as np

from reparam_jax.special._log_beta import beta_logit_slopes

from . import _family
from ._marsaglia_tsang import gamma_parts


def dirichlet(
    key: jax.Array,
    concentration: jax.typing.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from Dirichlet(concentration), with gradients for the concentrations.

    .. math:: p(x) = \Gamma(\textstyle\sum_i a_i) \prod_i x_i^{a_i - 1} / \Gamma(a_i),
       \qquad x_i > 0, \quad \textstyle\sum_i x_i = 1.

    Small concentrations make most components round to 0: :func:`log_dirichlet` tells
    those apart.

    Args:
      key: one key from ``jax.random.key``. Used once.
      concentration: :math:`a_i > 0`, finite, of shape (..., components).
      shape: shape of the whole result, components last; the concentrations must
        broadcast to it. By default, their own shape.
      dtype: dtype of the result. By default, the concentrations' float dtype. Draws
        below 32 bits are rounded once, from float32.

    Returns:
      Independent draws. One of whose concentrations any lies outside the domain raises
      when they are concrete, and is NaN throughout under ``jax.jit``, as are its
      gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or the concentrations are not real.
      ValueError: ``key`` is a batch of keys, the shapes do not broadcast, there is no
        axis of components, or a concrete concentration lies outside its domain.

    Gradient:
      ``concentration``: exact, in forward, reverse and mixed mode, to second order: of
      all paths of a draw whose mean gradient is exact, the one of Jankowiak and
      Obermeyer, along which raising :math:`a_j` moves :math:`x_j` by its implicit
      derivative as a Beta(:math:`a_j, \sum_{i \ne j} a_i`) variable, and shrinks the
      other components in proportion.

    References:
      Jankowiak, Obermeyer. Pathwise derivatives beyond the reparameterization trick.
      ICML 2018, section 5.3.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> key = jax.random.key(0)
      >>> def mean_first(concentration):
      ...   return jnp.mean(rj.dirichlet(key, concentration, shape=(20_000, 3))[:, 0])
      >>> slopes = jax.grad(mean_first)(jnp.full(3, 2.0))
      >>> round(float(slopes[0]), 2)  # (sum - a_1) / sum^2 = 4 / 36
      0.11
    """
    return _family.draw(FAMILY, key, {"concentration": concentration}, shape, dtype)


def standard(key: jax.Array, concentration: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Draws from the Dirichlet distribution, and the logarithms of the draws."""
    # Components along the first axis: CPUs take several draws at a time.
    factor, exponent = gamma_parts(key, jnp.moveaxis(concentration, -1, 0))
    exponent = exponent - jnp.min(exponent, 0, keepdims=True)
    weights = factor * jnp.exp(-exponent)
    total = jnp.sum(weights, 0, keepdims=True)
    log_x = jnp.log(factor / total) - exponent
    dominant, log_rest = _dominant_and_log_rest(log_x)
    log_x = jnp.where(dominant, jnp.log1p(-jnp.exp(log_rest)), log_x)
    return jnp.moveaxis(weights / total, 0, -1), jnp.moveaxis(log_x, 0, -1)


def draws_at(
    base: tuple[jax.Array, jax.Array], concentration: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Gives draws and their logarithms, components last, their derivatives."""
    first = [jnp.moveaxis(x, -1, 0) for x in (*base, concentration)]
    draws, log_draws = _draws_at(*first)
    return jnp.moveaxis(draws, 0, -1), jnp.moveaxis(log_draws, 0, -1)


@jax.custom_jvp
def _draws_at(draws, log_draws, concentration):
    """Gives draws and their logarithms, components first, their derivatives."""
    del concentration
    return draws, log_draws


# With x = softmax(l), component j alone moves as a beta variable when only
# dl_j = da_j dlogit(x_j)/da_j: then x_j changes by x_j (1 - x_j) dl_j, and the others
# in proportion to their size. So
#   dlog x_i = dl_i - sum_j x_j dl_j,
# where for the dominant component dl_i - x_i dl_i is (1 - x_i) dl_i, and 1 - x_i is the
# sum of the others.
@_draws_at.defjvp
def _draws_at_jvp(primals, tangents):
    concentration, tangent = primals[2], tangents[2]
    draws, log_draws = _draws_at(*primals)
    if concentration.shape[0] == 1:
        nothing = 0 * tangent
        return (draws, log_draws), (nothing, nothing)
    dominant, log_rest = _dominant_and_log_rest(log_draws)
    slope, _ = beta_logit_slopes(
        concentration, _sum_of_others(concentration), log_draws - log_rest
    )
    logits_dot = slope * tangent
    moved = jnp.where(dominant, 0, draws * logits_dot)
    of_others = jnp.sum(moved, 0, keepdims=True)
    of_dominant = jnp.sum(jnp.where(dominant, draws * logits_dot, 0), 0, keepdims=True)
    kept = jnp.where(dominant, jnp.exp(log_rest) * logits_dot, logits_dot - of_dominant)
    log_draws_dot = kept - of_others
    return (draws, log_draws), (draws * log_draws_dot, log_draws_dot)


# A component above this is the only one of its draw.
_DOMINANT = 0.6


def _dominant_and_log_rest(log_x):
    """Whether each component is dominant, and ``log(1 - x)`` of each."""
    dominant = log_x > np.log(_DOMINANT)
    others = jnp.where(dominant, -jnp.inf, log_x)
    log_others = jax.nn.logsumexp(others, 0, keepdims=True)
    log_others = jnp.broadcast_to(log_others, log_x.shape)
    below = jnp.log1p(-jnp.exp(jnp.where(dominant, -1, log_x)))
    return dominant, jnp.where(dominant, log_others, below)


def _sum_of_others(concentration):
    total = jnp.sum(concentration, 0, keepdims=True)
    dominant = concentration > _DOMINANT * total
    others = jnp.sum(jnp.where(dominant, 0, concentration), 0, keepdims=True)
    return jnp.where(dominant, others, total - concentration)


def _at(base, concentration):
    return draws_at(base, concentration)[0]


FAMILY = _family.Family(
    "dirichlet", None, _at, _family.concentration_alone, event_ndim=1, standard=standard
)
