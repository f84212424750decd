"""Standard exponential base noise."""

import jax
import jax.numpy as jnp

from ._fold import clip_below_one, draw_folded


def exponential(
    key: jax.Array,
    shape: tuple[int, ...] = (),
    dtype: jax.typing.DTypeLike = jnp.float32,
    *,
    out_sharding: jax.sharding.NamedSharding | None = None,
) -> jax.Array:
    r"""Draws independent standard exponentials.

    .. math:: e = -\log(1 - u), \qquad u \sim U(0, 1), \qquad P(e > x) = e^{-x}.

    Args:
      key: one key from ``jax.random.key``. Used once.
      shape: shape of the result.
      dtype: a floating dtype. Shorter ones than float32 are rounded from it.
      out_sharding: sharding of the result on a mesh with explicit axes.

    Returns:
      An array of ``shape`` and ``dtype``. Never 0: in float32 from 2^-33 to 22.9, in
      float64 from 2^-65 to 45.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or ``dtype`` is not floating.
      ValueError: ``key`` is a batch of keys.

    Gradient:
      None: noise has no parameters.

    Example:
      >>> import jax, reparam_jax as rj
      >>> noise = rj.noise.exponential(jax.random.key(0), (1000,))
      >>> bool((noise > 0).all())
      True
    """
    return draw_folded(
        "exponential", exponential_quantile, key, shape, dtype, out_sharding
    )


def exponential_quantile(upper: jax.Array, tail: jax.Array) -> jax.Array:
    """Returns ``-log(1 - u)`` of a folded uniform: ``-log(t)`` or ``-log1p(-t)``.

    One logarithm serves both sides. With ``r`` the rounded ``1 - t``, but below 1,
    ``log1p(-t)`` is ``log(r) t / (1 - r)`` to a few units in the last place (Goldberg,
    What every computer scientist should know about floating-point arithmetic, theorem
    4); on the upper side the correction is ``t / t``.
    """
    rest = clip_below_one(1 - tail)
    log = jnp.log(jnp.where(upper, tail, rest))
    return -log * (tail / jnp.where(upper, tail, 1 - rest))
