"""The Rayleigh distribution."""

import jax
from jax import lax

from reparam_jax import noise as noise_room

from . import _family
from ._roots import sqrt


def rayleigh(
    key: jax.Array,
    scale: jax.typing.ArrayLike = 1.0,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from Rayleigh(scale), with gradients for its parameter.

    .. math:: z = s \sqrt{2 e}, \qquad P(z > x) = e^{-x^2 / (2 s^2)}, \quad x > 0,

    for a standard exponential :math:`e`.

    Args:
      key: one key from ``jax.random.key``. Used once.
      scale: :math:`s \ge 0`, finite, of any shape.
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
      ``scale``: exact and pathwise, to every order, in forward, reverse and mixed mode:
      :math:`\partial z / \partial s = z / s`. At scale 0 the draw is 0.

    Example:
      >>> import jax, reparam_jax as rj
      >>> bool((rj.rayleigh(jax.random.key(0), 2.0, shape=(1000,)) > 0).all())
      True
    """
    parameters = {"scale": scale}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


def rayleigh_from_noise(
    noise: jax.typing.ArrayLike,
    scale: jax.typing.ArrayLike = 1.0,
    *,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given standard exponential noise to draws from Rayleigh(scale).

    Args:
      noise: :math:`e \ge 0`, as from ``rj.noise.exponential``; of any shape that
        broadcasts with ``scale``.
      scale: :math:`s \ge 0`, finite, of any shape.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Elements outside the domain behave as
      in :func:`rayleigh`.

    Raises:
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      As in :func:`rayleigh`, and :math:`\partial z / \partial e = s / \sqrt{2 e}`, at
      noise 0 it is 0.

    Example:
      >>> import reparam_jax as rj
      >>> float(rj.rayleigh_from_noise(2.0, 3.0))
      6.0
    """
    parameters = {"scale": scale}
    return _family.from_noise(FAMILY, noise, parameters, dtype)


def _transform(noise, scale):
    return lax.mul(scale, sqrt(lax.add(noise, noise)))


FAMILY = _family.Family(
    "rayleigh", noise_room.exponential, _transform, _family.scale_alone
)
