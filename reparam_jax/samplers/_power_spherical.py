"""The power spherical distribution, in any dimension."""

import jax
import jax.numpy as jnp
from jax import lax

from . import _sphere
from ._beta import logit_at, standard_logit


def power_spherical(
    key: jax.Array,
    mean_direction: jax.typing.ArrayLike,
    concentration: jax.typing.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws unit vectors around a mean direction, with gradients for both parameters.

    .. math:: p(x) \propto (1 + \mu \cdot x)^\kappa, \quad |x| = 1, \qquad
       E x = \frac{\kappa}{\kappa + D - 1} \, \mu.

    A draw is :math:`x = \mu \cos \theta + t \sin \theta` with :math:`\cos^2 (\theta /
    2) \sim` Beta(:math:`\kappa + (D - 1) / 2, (D - 1) / 2`) and a direction :math:`t`
    uniform among those orthogonal to :math:`\mu`.

    Args:
      key: one key from ``jax.random.key``. Used once.
      mean_direction: :math:`\mu`, of shape (..., dim) with dim of 2 or more and of
        length 1 to within 1/256, as far off as bfloat16 may be. Its direction counts.
      concentration: :math:`\kappa \ge 0`, finite, of shape (...).
      shape: shape of the whole result, (..., dim); the parameters' leading axes must
        broadcast to its own. By default, their broadcast shape.
      dtype: dtype of the result. By default, the parameters' promoted float dtype.
        Draws below 32 bits are rounded once, from float32.

    Returns:
      Independent unit vectors along the last axis. One whose parameters lie outside
      their domain raises when concrete, and is NaN under ``jax.jit``, as are its
      gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or a parameter is not real.
      ValueError: ``key`` is a batch of keys, the shapes do not fit, or a concrete
        parameter lies outside its domain.

    Gradient:
      Both exact, in forward, reverse and mixed mode. ``mean_direction``: pathwise, to
      every order, of a reflection of draws around a pole; tangential, as only the
      direction counts. ``concentration``: implicit, through the angle alone, to the
      order of :func:`beta`.

    References:
      De Cao, Aziz. The power spherical distribution. 2020, section 3.
      https://arxiv.org/abs/2006.04437

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> key, north = jax.random.key(0), jnp.array([0.0, 0.0, 1.0])
      >>> draws = rj.power_spherical(key, north, 6.0, shape=(20_000, 3))
      >>> round(float(jnp.mean(draws[:, 2])), 2)  # 6 / (6 + 2)
      0.75
    """
    return _sphere.draw(_LAW, key, mean_direction, concentration, shape, dtype)


# The logit of cos^2(t / 2) keeps the digits of small angles: with half of it, h,
# cos t = tanh h and sin t = 1 / cosh h.
def _angle(dimension, key, concentration):
    half = (dimension - 1) / 2
    parameters = concentration + half, jnp.full_like(concentration, half)
    logit = standard_logit(key, *lax.stop_gradient(parameters))
    logit = logit_at(logit, *parameters)
    decay = jnp.exp(-jnp.abs(logit) / 2)
    return jnp.tanh(logit / 2), 2 * decay / (1 + decay * decay)


_LAW = _sphere.Law("power_spherical", _angle)
