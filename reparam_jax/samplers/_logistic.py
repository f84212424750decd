"""The logistic distribution."""

import jax

from reparam_jax import noise as noise_room

from . import _family


def logistic(
    key: jax.Array,
    loc: jax.typing.ArrayLike = 0.0,
    scale: jax.typing.ArrayLike = 1.0,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from Logistic(loc, scale), with gradients for both parameters.

    .. math:: z = \mu + s \epsilon, \qquad P(\epsilon < x) = \frac{1}{1 + e^{-x}}.

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
      mixed mode: :math:`\partial z / \partial \mu = 1`, :math:`\partial z / \partial s
      = \epsilon`. At scale 0 the draw is ``loc``.

    Example:
      >>> import jax, reparam_jax as rj
      >>> rj.logistic(jax.random.key(0), 1.0, 2.0, shape=(3, 4)).shape
      (3, 4)
      >>> jax.grad(lambda loc: rj.logistic(jax.random.key(1), loc, 2.0))(1.0).item()
      1.0
    """
    parameters = {"loc": loc, "scale": scale}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


def logistic_from_noise(
    noise: jax.typing.ArrayLike,
    loc: jax.typing.ArrayLike = 0.0,
    scale: jax.typing.ArrayLike = 1.0,
    *,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given standard logistic noise to draws from Logistic(loc, scale).

    Args:
      noise: :math:`\epsilon`, as from ``rj.noise.logistic``; of any shape that
        broadcasts with the parameters.
      loc: :math:`\mu`, finite, of any shape.
      scale: :math:`s \ge 0`, finite; broadcasts with ``loc``.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Elements outside the domain behave as
      in :func:`logistic`.

    Raises:
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      As in :func:`logistic`, and :math:`\partial z / \partial \epsilon = s`.

    Example:
      >>> import reparam_jax as rj
      >>> float(rj.logistic_from_noise(-1.5, 2.0, 3.0))
      -2.5
    """
    parameters = {"loc": loc, "scale": scale}
    return _family.from_noise(FAMILY, noise, parameters, dtype)


FAMILY = _family.Family(
    name="logistic",
    noise=noise_room.logistic,
    transform=_family.location_scale,
    constraints=_family.loc_and_scale,
)
