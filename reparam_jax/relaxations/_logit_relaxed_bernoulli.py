"""The relaxation of a Bernoulli draw by its logit, and its density."""

import jax
import jax.numpy as jnp

from reparam_jax import noise as noise_room
from reparam_jax._domains import FINITE, Parameter
from reparam_jax.samplers import _family

from ._density import density
from ._scores import binary_tempered, guarded, quotient


def logit_relaxed_bernoulli(
    key: jax.Array,
    logits: jax.typing.ArrayLike,
    temperature: jax.typing.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws the logits of relaxed zeros and ones, finite where those round to 0 or 1.

    .. math:: x = \log \frac{y}{1 - y} = \frac{\ell + \epsilon}{\tau}

    for logits :math:`\ell` and standard logistic :math:`\epsilon`.
    :func:`logit_relaxed_bernoulli_log_prob` is its log-density.

    Args:
      key: one key from ``jax.random.key``. Used once.
      logits: :math:`\ell`, of any shape; infinite for a draw that is certain, whose
        :math:`x` is infinite.
      temperature: :math:`\tau > 0`, finite; broadcasts with ``logits``.
      shape: shape of the whole result, not a prefix. The parameters must broadcast to
        it. By default, their own broadcast shape.
      dtype: dtype of the result. By default, the parameters' promoted float dtype.
        Draws below 32 bits are rounded once, from float32.

    Returns:
      Independent draws, of which the logistic function is :func:`relaxed_bernoulli`. An
      element whose parameters lie outside their domain raises when concrete, and is NaN
      under ``jax.jit``, as are its gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or a parameter is not real.
      ValueError: ``key`` is a batch of keys, the shapes do not broadcast, or a concrete
        parameter lies outside its domain.

    Gradient:
      ``logits``, ``temperature``: exact for the relaxed draw, to every order, in
      forward, reverse and mixed mode. As a gradient of the expectation over Bernoulli
      draws it is biased.

    References:
      Maddison, Mnih, Teh. The Concrete distribution. ICLR 2017, appendix C.3.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> sample = rj.relaxations.logit_relaxed_bernoulli
      >>> logit_draw = sample(jax.random.key(0), 0.5, 2.0)
      >>> draw = rj.relaxed_bernoulli(jax.random.key(0), 0.5, 2.0)
      >>> bool(jnp.isclose(jax.nn.sigmoid(logit_draw), draw))
      True
    """
    parameters = {"logits": logits, "temperature": temperature}
    return _family.draw(_FAMILY, key, parameters, shape, dtype)


def logit_relaxed_bernoulli_from_noise(
    noise: jax.typing.ArrayLike,
    logits: jax.typing.ArrayLike,
    temperature: jax.typing.ArrayLike,
    *,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given standard logistic noise to the logits of relaxed zeros and ones.

    .. math:: x = (\ell + \epsilon) / \tau

    Args:
      noise: :math:`\epsilon`, as from ``rj.noise.logistic``; of any shape that
        broadcasts with the parameters.
      logits: :math:`\ell`, of any shape; infinite for a draw that is certain.
      temperature: :math:`\tau > 0`, finite; broadcasts with ``logits``.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Elements outside the domain behave as
      in :func:`logit_relaxed_bernoulli`.

    Raises:
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      As in :func:`logit_relaxed_bernoulli`; that for the noise is that for the logits.

    Example:
      >>> import reparam_jax as rj
      >>> float(rj.relaxations.logit_relaxed_bernoulli_from_noise(2.0, 1.0, 0.5))
      6.0
    """
    parameters = {"logits": logits, "temperature": temperature}
    return _family.from_noise(_FAMILY, noise, parameters, dtype)


def logit_relaxed_bernoulli_log_prob(
    logit_draw: jax.typing.ArrayLike,
    logits: jax.typing.ArrayLike,
    temperature: jax.typing.ArrayLike,
) -> jax.Array:
    r"""Returns the log-density of draws of ``logit_relaxed_bernoulli``.

    .. math:: \log p(x) = \log \tau + \log \sigma(u) + \log \sigma(-u), \qquad
       u = \tau x - \ell.

    That of :math:`y = \sigma(x)` itself is :math:`p(x) / (y (1 - y))`. Ratios of two
    densities at one draw, as in a divergence, are alike in both, and here nothing
    overflows.

    Args:
      logit_draw: :math:`x`, of any shape.
      logits: :math:`\ell`, finite; broadcasts with the draws.
      temperature: :math:`\tau > 0`, finite; broadcasts likewise.

    Returns:
      Log-densities in nats, of the arguments' broadcast shape. An element with a
      parameter outside its domain raises when that is concrete, and is NaN under
      ``jax.jit``, as are its gradients.

    Raises:
      TypeError: an argument is not real.
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      All arguments: exact, to every order, in every mode.

    References:
      Maddison, Mnih, Teh. The Concrete distribution. ICLR 2017, appendix C.3.

    Example:
      >>> import jax.numpy as jnp, reparam_jax as rj
      >>> log_prob = rj.relaxations.logit_relaxed_bernoulli_log_prob(0.0, 0.0, 2.0)
      >>> bool(jnp.isclose(log_prob, jnp.log(2.0 / 4.0)))
      True
    """
    return density(
        "logit_relaxed_bernoulli_log_prob",
        _log_prob,
        _finite_logits,
        {"logit_draw": logit_draw},
        {"logits": logits, "temperature": temperature},
    )


def _log_prob(logit_draw, logits, temperature):
    score = temperature * logit_draw - logits
    both = jax.nn.log_sigmoid(score) + jax.nn.log_sigmoid(-score)
    return jnp.log(temperature) + both


def _finite_logits(logits, temperature):
    finite = {"logits": Parameter(logits, FINITE)}
    return binary_tempered(logits, temperature) | finite


# An infinite quotient has no gradient.
def _logit(noise, logits, temperature):
    scores = logits + noise
    sure = jnp.isinf(scores)
    return jnp.where(sure, scores, quotient(jnp.where(sure, 0, scores), temperature))


_FAMILY = _family.Family(
    name="logit_relaxed_bernoulli",
    noise=noise_room.logistic,
    transform=guarded(_logit, binary_tempered),
    constraints=binary_tempered,
)
