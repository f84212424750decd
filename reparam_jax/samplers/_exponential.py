"""The exponential distribution."""

import jax
from jax import lax

from reparam_jax import noise as noise_room
from reparam_jax._domains import POSITIVE, Parameter

from . import _family


def exponential(
    key: jax.Array,
    rate: jax.typing.ArrayLike = 1.0,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from Exponential(rate), with gradients for its parameter.

    .. math:: z = e / \beta, \qquad P(z > x) = e^{-\beta x}, \quad x > 0,

    for a standard exponential :math:`e`.

    Args:
      key: one key from ``jax.random.key``. Used once.
      rate: :math:`\beta > 0`, finite, in the inverse of the unit wanted for the draws;
        of any shape.
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
      ``rate``: exact and pathwise, to every order, in forward, reverse and mixed mode:
      :math:`\partial z / \partial \beta = -z / \beta`.

    Example:
      >>> import jax, reparam_jax as rj
      >>> bool((rj.exponential(jax.random.key(0), 2.0, shape=(1000,)) > 0).all())
      True
      >>> draw = rj.exponential(jax.random.key(1), 4.0)
      >>> slope = jax.grad(lambda rate: rj.exponential(jax.random.key(1), rate))(4.0)
      >>> bool(slope == -draw / 4)
      True
    """
    parameters = {"rate": rate}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


def exponential_from_noise(
    noise: jax.typing.ArrayLike,
    rate: jax.typing.ArrayLike = 1.0,
    *,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given standard exponential noise to draws from Exponential(rate).

    Args:
      noise: :math:`e`, as from ``rj.noise.exponential``; of any shape that broadcasts
        with ``rate``.
      rate: :math:`\beta > 0`, finite, in the inverse of the unit wanted for the draws;
        of any shape.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Elements outside the domain behave as
      in :func:`exponential`.

    Raises:
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      As in :func:`exponential`, and :math:`\partial z / \partial e = 1 / \beta`.

    Example:
      >>> import reparam_jax as rj
      >>> float(rj.exponential_from_noise(1.5, 2.0))
      0.75
    """
    parameters = {"rate": rate}
    return _family.from_noise(FAMILY, noise, parameters, dtype)


def _constraints(rate):
    return {"rate": Parameter(rate, POSITIVE, _family.MAKE_POSITIVE)}


FAMILY = _family.Family("exponential", noise_room.exponential, lax.div, _constraints)
