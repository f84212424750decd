"""The log-normal distribution."""

import jax
from jax import lax

from reparam_jax import noise as noise_room

from . import _family


def log_normal(
    key: jax.Array,
    loc: jax.typing.ArrayLike = 0.0,
    scale: jax.typing.ArrayLike = 1.0,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from LogNormal(loc, scale), with gradients for both parameters.

    .. math:: z = e^{\mu + s \epsilon}, \qquad \epsilon \sim N(0, 1),

    so ``loc`` and ``scale`` are the mean and standard deviation of :math:`\log z`.

    Args:
      key: one key from ``jax.random.key``. Used once.
      loc: :math:`\mu`, finite, of any shape.
      scale: :math:`s \ge 0`, finite; broadcasts with ``loc``.
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
      ``loc``, ``scale``: exact and pathwise, to every order, in forward, reverse and
      mixed mode: :math:`\partial z / \partial \mu = z`, :math:`\partial z / \partial s
      = z \epsilon`. At scale 0 the draw is :math:`e^\mu`.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> draws = rj.log_normal(jax.random.key(0), 1.0, 0.5, shape=(20_000,))
      >>> round(float(jnp.median(draws)), 1)  # e = 2.7...
      2.7
    """
    parameters = {"loc": loc, "scale": scale}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


def log_normal_from_noise(
    noise: jax.typing.ArrayLike,
    loc: jax.typing.ArrayLike = 0.0,
    scale: jax.typing.ArrayLike = 1.0,
    *,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given standard normal noise to draws from LogNormal(loc, scale).

    Args:
      noise: :math:`\epsilon`, as from ``rj.noise.normal``; of any shape that broadcasts
        with the parameters.
      loc: :math:`\mu`, finite, of any shape.
      scale: :math:`s \ge 0`, finite; broadcasts with ``loc``.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Elements outside the domain behave as
      in :func:`log_normal`.

    Raises:
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      As in :func:`log_normal`, and :math:`\partial z / \partial \epsilon = s z`.

    Example:
      >>> import reparam_jax as rj
      >>> float(rj.log_normal_from_noise(-0.5, 1.0, 2.0))
      1.0
    """
    parameters = {"loc": loc, "scale": scale}
    return _family.from_noise(FAMILY, noise, parameters, dtype)


def _transform(noise, loc, scale):
    return lax.exp(_family.location_scale(noise, loc, scale))


FAMILY = _family.Family(
    "log_normal", noise_room.normal, _transform, _family.loc_and_scale
)
