"""The gamma distribution."""

import jax
import jax.numpy as jnp
from jax import lax

from reparam_jax.special._gamma import gamma_slope

from . import _family
from ._implicit import at_its_quantile
from ._marsaglia_tsang import gamma_parts


def gamma(
    key: jax.Array,
    concentration: jax.typing.ArrayLike,
    rate: jax.typing.ArrayLike = 1.0,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from Gamma(concentration, rate), with gradients for both parameters.

    .. math:: p(z) = \beta^a z^{a - 1} e^{-\beta z} / \Gamma(a), \quad z > 0.

    Below a concentration of about 0.1 some draws underflow to 0, in float32 half of
    them at 0.007: :func:`log_gamma` draws those.

    Args:
      key: one key from ``jax.random.key``. Used once.
      concentration: :math:`a > 0`, finite, of any shape.
      rate: :math:`\beta > 0`, finite, in the inverse of the unit wanted for the draws;
        broadcasts with ``concentration``.
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
      :math:`\partial z / \partial \beta = -z / \beta`. ``concentration``: implicit,
      :math:`-\partial_a P(a, s) / p(s)` at the standard draw :math:`s = \beta z`, to
      second order: see :func:`reparam_jax.special.gamma_pathwise_grad`.

    References:
      Marsaglia, Tsang. A simple method for generating gamma variables. ACM TOMS 26,
      2000.
      Figurnov, Mohamed, Mnih. Implicit reparameterization gradients. NeurIPS 2018.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> key = jax.random.key(0)
      >>> mean = lambda a: jnp.mean(rj.gamma(key, a, 2.0, shape=(20_000,)))
      >>> round(float(jax.grad(mean)(3.0)), 1)  # d E[z] / d concentration = 1 / rate
      0.5
    """
    parameters = {"concentration": concentration, "rate": rate}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


def standard_gamma(key: jax.Array, concentration: jax.Array) -> jax.Array:
    """Draws from Gamma(concentration, 1), without gradient."""
    factor, exponent = gamma_parts(key, concentration)
    return factor * jnp.exp(-exponent)


# F(z; a) = u at every a: dz/da = -(dF/da) / p.
gamma_at = at_its_quantile(lambda draw, a: (gamma_slope(a, draw),))


def _standard(key, concentration, rate):
    del rate
    return standard_gamma(key, concentration)


def _at(draw, concentration, rate):
    return lax.div(gamma_at(draw, concentration), rate)


FAMILY = _family.Family(
    "gamma", None, _at, _family.concentration_and_rate, standard=_standard
)
