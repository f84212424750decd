"""The uniform distribution on an interval."""

import jax
import jax.numpy as jnp
from jax import lax

from reparam_jax import _checks
from reparam_jax import noise as noise_room
from reparam_jax._domains import FINITE, NON_NEGATIVE, Parameter

from . import _family


def uniform(
    key: jax.Array,
    low: jax.typing.ArrayLike = 0.0,
    high: jax.typing.ArrayLike = 1.0,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from Uniform(low, high), with gradients for both parameters.

    .. math:: z = a + (b - a) u, \qquad u \sim U(0, 1).

    Args:
      key: one key from ``jax.random.key``. Used once.
      low: :math:`a`, finite, of any shape.
      high: :math:`b \ge a`, with :math:`b - a` finite; broadcasts with ``low``.
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
      ``low``, ``high``: exact and pathwise, to every order, in forward, reverse and
      mixed mode: :math:`\partial z / \partial a = 1 - u`, :math:`\partial z / \partial
      b = u`. Where the bounds are equal the draw is their value.

    Example:
      >>> import jax, reparam_jax as rj
      >>> draws = rj.uniform(jax.random.key(0), -2.0, 3.0, shape=(1000,))
      >>> bool(((draws >= -2) & (draws <= 3)).all())
      True
    """
    parameters = {"low": low, "high": high}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


def uniform_from_noise(
    noise: jax.typing.ArrayLike,
    low: jax.typing.ArrayLike = 0.0,
    high: jax.typing.ArrayLike = 1.0,
    *,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given uniform noise to draws from Uniform(low, high).

    Args:
      noise: :math:`u`, as from ``rj.noise.uniform``; of any shape that broadcasts with
        the parameters.
      low: :math:`a`, finite, of any shape.
      high: :math:`b \ge a`, with :math:`b - a` finite; broadcasts with ``low``.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Elements outside the domain behave as
      in :func:`uniform`.

    Raises:
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      As in :func:`uniform`, and :math:`\partial z / \partial u = b - a`.

    Example:
      >>> import reparam_jax as rj
      >>> float(rj.uniform_from_noise(0.25, 2.0, 10.0))
      4.0
    """
    parameters = {"low": low, "high": high}
    return _family.from_noise(FAMILY, noise, parameters, dtype)


def _transform(noise, low, high):
    return lax.add(low, lax.mul(lax.sub(high, low), noise))


def _constraints(low, high):
    dtype = _checks.noise_dtype(
        _checks.result_dtype("uniform", None, low=low, high=high)
    )
    bounds = jnp.asarray(high, dtype), jnp.asarray(low, dtype)
    width = lax.sub(*jnp.broadcast_arrays(*bounds))
    return {
        "low": Parameter(low, FINITE),
        "high": Parameter(high, FINITE),
        "high - low": Parameter(width, NON_NEGATIVE, "Were the bounds swapped?"),
    }


FAMILY = _family.Family("uniform", noise_room.uniform, _transform, _constraints)
