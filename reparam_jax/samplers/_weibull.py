"""The Weibull distribution."""

import jax
from jax import lax

from reparam_jax import noise as noise_room

from . import _family
from ._roots import root


def weibull(
    key: jax.Array,
    scale: jax.typing.ArrayLike,
    concentration: jax.typing.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from Weibull(scale, concentration), with gradients for both parameters.

    .. math:: z = s \, e^{1 / k}, \qquad P(z > x) = e^{-(x / s)^k}, \quad x > 0,

    for a standard exponential :math:`e`.

    Args:
      key: one key from ``jax.random.key``. Used once.
      scale: :math:`s \ge 0`, finite, of any shape.
      concentration: :math:`k > 0`, finite; broadcasts with ``scale``.
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
      ``scale``, ``concentration``: exact and pathwise, to every order, in forward,
      reverse and mixed mode: :math:`\partial z / \partial s = z / s`, :math:`\partial z
      / \partial k = -z \log(z / s) / k`.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> draws = rj.weibull(jax.random.key(0), 2.0, 1.5, shape=(20_000,))
      >>> round(float(jnp.mean(draws > 2.0)), 2)  # 1 / e = 0.367...
      0.37
    """
    parameters = {"scale": scale, "concentration": concentration}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


def weibull_from_noise(
    noise: jax.typing.ArrayLike,
    scale: jax.typing.ArrayLike,
    concentration: jax.typing.ArrayLike,
    *,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given standard exponential noise to Weibull draws.

    Args:
      noise: :math:`e \ge 0`, as from ``rj.noise.exponential``; of any shape that
        broadcasts with the parameters.
      scale: :math:`s \ge 0`, finite, of any shape.
      concentration: :math:`k > 0`, finite; broadcasts with ``scale``.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Elements outside the domain behave as
      in :func:`weibull`.

    Raises:
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      As in :func:`weibull`, and :math:`\partial z / \partial e = z / (k e)`. At noise 0
      the draw and its gradients are 0.

    Example:
      >>> import reparam_jax as rj
      >>> round(float(rj.weibull_from_noise(4.0, 3.0, 2.0)), 5)
      6.0
    """
    parameters = {"scale": scale, "concentration": concentration}
    return _family.from_noise(FAMILY, noise, parameters, dtype)


def _transform(noise, scale, concentration):
    return lax.mul(scale, root(noise, concentration))


FAMILY = _family.Family(
    "weibull", noise_room.exponential, _transform, _family.scale_and_concentration
)
