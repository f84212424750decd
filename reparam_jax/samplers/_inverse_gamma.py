"""The inverse gamma distribution."""

import jax
import jax.numpy as jnp

from reparam_jax.special._log_gamma import log_gamma_slope

from . import _family
from ._marsaglia_tsang import gamma_parts


def inverse_gamma(
    key: jax.Array,
    concentration: jax.typing.ArrayLike,
    rate: jax.typing.ArrayLike = 1.0,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from InverseGamma(concentration, rate), with gradients for both.

    .. math:: z = \beta / g, \qquad g \sim \text{Gamma}(a, 1), \qquad
       p(z) = \beta^a z^{-a - 1} e^{-\beta / z} / \Gamma(a), \quad z > 0.

    At small concentrations a draw may exceed the largest float: it is infinite then, as
    are its gradients; ``-log_gamma(key, concentration, rate)`` is its logarithm.

    Args:
      key: one key from ``jax.random.key``. Used once.
      concentration: :math:`a > 0`, finite, of any shape.
      rate: :math:`\beta > 0`, finite, in the unit wanted for the draws; broadcasts with
        ``concentration``.
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
      Exact, in forward, reverse and mixed mode. ``rate``: pathwise, to every order,
      :math:`\partial z / \partial \beta = z / \beta`. ``concentration``: implicit, to
      second order, through :math:`\log z`.

    References:
      Figurnov, Mohamed, Mnih. Implicit reparameterization gradients. NeurIPS 2018.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> draws = rj.inverse_gamma(jax.random.key(0), 5.0, 8.0, shape=(20_000,))
      >>> round(float(jnp.mean(draws)), 1)  # rate / (concentration - 1)
      2.0
    """
    parameters = {"concentration": concentration, "rate": rate}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


# The logarithm stands beside the draw for the rule: it stays finite where the draw is
# infinite, and is rounded by itself where the draw's relative precision is higher.
def _standard(key, concentration, rate):
    del rate
    factor, exponent = gamma_parts(key, concentration)
    return jnp.exp(exponent) / factor, jnp.log(factor) - exponent


@jax.custom_jvp
def _inverse_and_log_at(inverse, log, concentration):
    """Gives the inverse of a gamma variable, and its log, their derivatives."""
    del concentration
    return inverse, log


@_inverse_and_log_at.defjvp
def _inverse_and_log_at_jvp(primals, tangents):
    concentration = primals[2]
    inverse, log = _inverse_and_log_at(*primals)
    log_dot = log_gamma_slope(concentration, log) * tangents[2]
    return (inverse, log), (-inverse * log_dot, log_dot)


def _at(base, concentration, rate):
    inverse, _ = _inverse_and_log_at(*base, concentration)
    return rate * inverse


FAMILY = _family.Family(
    "inverse_gamma", None, _at, _family.concentration_and_rate, standard=_standard
)
