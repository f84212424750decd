"""The beta distribution."""

import jax
import jax.numpy as jnp

from reparam_jax.special._log_beta import beta_logit_slopes

from . import _family
from ._implicit import at_its_quantile
from ._marsaglia_tsang import gamma_parts


def beta(
    key: jax.Array,
    concentration1: jax.typing.ArrayLike,
    concentration0: jax.typing.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from Beta(concentration1, concentration0), with gradients for both.

    .. math:: p(x) = x^{a - 1} (1 - x)^{b - 1} / B(a, b), \quad 0 < x < 1.

    Where both are small most draws round to 0 or 1: :func:`log_beta` tells those apart.

    Args:
      key: one key from ``jax.random.key``. Used once.
      concentration1: :math:`a > 0`, finite, of any shape.
      concentration0: :math:`b > 0`, finite; broadcasts with ``concentration1``.
      shape: shape of the whole result, not a prefix. The parameters must broadcast to
        it. By default, their own broadcast shape.
      dtype: dtype of the result. By default, the parameters' promoted float dtype.
        Draws below 32 bits are rounded once, from float32.

    Returns:
      Independent draws. An element whose parameters lie outside their domain raises
      when concrete, and is NaN under ``jax.jit``, as are its gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or a parameter is not real.
      ValueError: ``key`` is a batch of keys, the shapes do not broadcast, or a concrete
        parameter lies outside its domain.

    Gradient:
      ``concentration1``, ``concentration0``: exact, implicit, to second order, in
      forward, reverse and mixed mode: :math:`-\partial_a I_x(a, b) / p(x)`, see
      :func:`reparam_jax.special.beta_pathwise_grad`. It is the derivative of the draw
      at its place in the law, of lower variance than one through two gamma variables.

    References:
      Figurnov, Mohamed, Mnih. Implicit reparameterization gradients. NeurIPS 2018.
      Jankowiak, Obermeyer. Pathwise derivatives beyond the reparameterization trick.
      ICML 2018.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> key = jax.random.key(0)
      >>> mean = lambda a: jnp.mean(rj.beta(key, a, 3.0, shape=(20_000,)))
      >>> round(float(jax.grad(mean)(2.0)), 2)  # b / (a + b)^2
      0.12
    """
    parameters = {"concentration1": concentration1, "concentration0": concentration0}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


# The logit of a draw keeps its distance from 0 and from 1, and everything else follows
# from it by plain arithmetic.
def standard_logit(
    key: jax.Array, concentration1: jax.Array, concentration0: jax.Array
) -> jax.Array:
    """Draws ``log(x / (1 - x))`` of a beta variable, the log ratio of two gammas."""
    key1, key0 = jax.random.split(key)
    factor1, exponent1 = gamma_parts(key1, concentration1)
    factor0, exponent0 = gamma_parts(key0, concentration0)
    return jnp.log(factor1 / factor0) - (exponent1 - exponent0)


logit_at = at_its_quantile(lambda logit, a, b: beta_logit_slopes(a, b, logit))


# dx = x (1 - x) dlogit, with 1 - x from the logit and not from the rounded x.
@jax.custom_jvp
def _sigmoid(logit):
    return 1 / (1 + jnp.exp(-logit))


@_sigmoid.defjvp
def _sigmoid_jvp(primals, tangents):
    (logit,) = primals
    x = _sigmoid(logit)
    return x, x * _sigmoid(-logit) * tangents[0]


def _at(logit, concentration1, concentration0):
    return _sigmoid(logit_at(logit, concentration1, concentration0))


FAMILY = _family.Family(
    "beta", None, _at, _family.two_concentrations, standard=standard_logit
)
