"""The logarithm of a gamma variable."""

import jax
import jax.numpy as jnp

from reparam_jax.special._log_gamma import log_gamma_slope

from . import _family
from ._implicit import at_its_quantile
from ._marsaglia_tsang import gamma_parts


def log_gamma(
    key: jax.Array,
    concentration: jax.typing.ArrayLike,
    rate: jax.typing.ArrayLike = 1.0,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws logarithms of Gamma(concentration, rate), with gradients for both.

    .. math:: l = \log z, \qquad z \sim \text{Gamma}(a, \beta).

    No draw underflows: at concentration :math:`a` they reach down to about
    :math:`-23 / a`, for any :math:`a` that float32 holds as a normal number and whose
    reciprocal is finite.

    Args:
      key: one key from ``jax.random.key``. Used once.
      concentration: :math:`a > 0`, finite, of any shape.
      rate: :math:`\beta > 0`, finite; broadcasts with ``concentration``.
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
      :math:`\partial l / \partial \beta = -1 / \beta`. ``concentration``: implicit, to
      second order: see :func:`reparam_jax.special.log_gamma_pathwise_grad`. Its mean is
      the trigamma function of the concentration.

    References:
      Marsaglia, Tsang. A simple method for generating gamma variables. ACM TOMS 26,
      2000.
      Figurnov, Mohamed, Mnih. Implicit reparameterization gradients. NeurIPS 2018.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> key = jax.random.key(0)
      >>> mean = lambda a: jnp.mean(rj.log_gamma(key, a, shape=(200_000,)))
      >>> round(float(jax.grad(mean)(0.01)), -2)  # trigamma(0.01) = 10001.6
      10000.0
    """
    parameters = {"concentration": concentration, "rate": rate}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


def _standard(key, concentration, rate):
    del rate
    factor, exponent = gamma_parts(key, concentration)
    return jnp.log(factor) - exponent


_log_gamma_at = at_its_quantile(lambda draw, a: (log_gamma_slope(a, draw),))


def _at(draw, concentration, rate):
    return _log_gamma_at(draw, concentration) - jnp.log(rate)


FAMILY = _family.Family(
    "log_gamma", None, _at, _family.concentration_and_rate, standard=_standard
)
