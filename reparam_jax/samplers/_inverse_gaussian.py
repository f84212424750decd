"""The inverse Gaussian distribution, by its mean and shape."""

import jax
import jax.numpy as jnp
from jax import lax

from reparam_jax import noise
from reparam_jax._domains import POSITIVE, Parameter
from reparam_jax.special._inverse_gaussian import inverse_gaussian_slopes

from . import _family
from ._implicit import at_its_quantile


def inverse_gaussian(
    key: jax.Array,
    mean: jax.typing.ArrayLike,
    shape_parameter: jax.typing.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from an inverse Gaussian distribution, with gradients for both parameters.

    .. math:: p(z) = \sqrt{\frac{\lambda}{2 \pi z^3}}
       \exp\left(-\frac{\lambda (z - \mu)^2}{2 \mu^2 z}\right), \quad z > 0,

    the law of the time at which a Brownian motion with drift first reaches a level.
    Also known as Wald's, with variance :math:`\mu^3 / \lambda`.

    Args:
      key: one key from ``jax.random.key``. Used once.
      mean: :math:`\mu > 0`, finite, of any shape.
      shape_parameter: :math:`\lambda > 0`, finite, in the unit of the draws; broadcasts
        with ``mean``.
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
      ``mean``, ``shape_parameter``: implicit, that of a draw that stays at its
      quantile, to every order, in forward, reverse and mixed mode;
      :func:`reparam_jax.special.inverse_gaussian_pathwise_grad` gives the formulas and
      their accuracy. The derivative through the choice between two roots, by which the
      draw is made, is another: it misses that the choice depends on the parameters.

    References:
      Michael, Schucany, Haas. Generating random variates using transformations with
      multiple roots. The American Statistician 30, 1976.

    Example:
      >>> import jax, reparam_jax as rj
      >>> def average(mean, key):
      ...   return rj.inverse_gaussian(key, mean, 2.0, shape=(50_000,)).mean()
      >>> slope = jax.grad(average)(1.0, jax.random.key(0))  # of E z = mean
      >>> bool(abs(slope - 1) < 0.02)
      True
    """
    parameters = {"mean": mean, "shape_parameter": shape_parameter}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


# For a draw z, y = l (z - m)^2 / (m^2 z) is the square of a standard normal. Given y,
# the draw is m w or m / w, the roots of that equation, the first with probability
# 1 / (1 + w) (Michael, Schucany, Haas 1976). With h = m y / (2 l) the smaller one is
#   w = 1 + h - sqrt(h (h + 2)) = 1 / (1 + h + sqrt(h (h + 2))).
# The other has probability w / (1 + w), small for large h, where it carries the mean:
# an exponential is below log(1 + w) as often, and resolved there. The choice is alike
# in every program, since what decides it is materialised.
def _standard(key, mean, shape_parameter):
    valid = POSITIVE.holds(mean) & POSITIVE.holds(shape_parameter)
    normal_key, choice_key = jax.random.split(key)
    like = mean.shape, mean.dtype
    sharding = jax.typeof(mean).sharding
    normal = noise.normal(normal_key, *like, out_sharding=sharding)
    exponential = noise.exponential(choice_key, *like, out_sharding=sharding)
    one = jnp.ones_like(mean)
    mean = jnp.where(valid, mean, one)
    shape_parameter = jnp.where(valid, shape_parameter, one)
    height = normal * normal * (mean / (2 * shape_parameter))
    height = lax.optimization_barrier(height)
    upper = 1 + height + jnp.sqrt(height) * jnp.sqrt(height + 2)
    upper = lax.optimization_barrier(upper)
    is_upper = exponential < jnp.log1p(1 / upper)
    return mean * jnp.where(is_upper, upper, 1 / upper)


_at = at_its_quantile(
    lambda draw, mean, shape: inverse_gaussian_slopes(mean, shape, draw)
)


def _constraints(mean, shape_parameter):
    values = {"mean": mean, "shape_parameter": shape_parameter}
    return {
        name: Parameter(value, POSITIVE, _family.MAKE_POSITIVE)
        for name, value in values.items()
    }


FAMILY = _family.Family("inverse_gaussian", None, _at, _constraints, standard=_standard)
