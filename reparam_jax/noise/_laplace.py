"""Standard Laplace base noise."""

import jax
import jax.numpy as jnp

from ._fold import draw_folded, with_sign


def laplace(
    key: jax.Array,
    shape: tuple[int, ...] = (),
    dtype: jax.typing.DTypeLike = jnp.float32,
    *,
    out_sharding: jax.sharding.NamedSharding | None = None,
) -> jax.Array:
    r"""Draws independent standard Laplace variables.

    .. math:: p(x) = e^{-|x|} / 2.

    Args:
      key: one key from ``jax.random.key``. Used once.
      shape: shape of the result.
      dtype: a floating dtype. Shorter ones than float32 are rounded from it.
      out_sharding: sharding of the result on a mesh with explicit axes.

    Returns:
      An array of ``shape`` and ``dtype``. Symmetric, in float32 up to 22.2 in size.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or ``dtype`` is not floating.
      ValueError: ``key`` is a batch of keys.

    Gradient:
      None: noise has no parameters.

    Example:
      >>> import jax, reparam_jax as rj
      >>> noise = rj.noise.laplace(jax.random.key(0), (1000,))
      >>> 0.9 < float(abs(noise).mean()) < 1.1
      True
    """
    return draw_folded("laplace", laplace_quantile, key, shape, dtype, out_sharding)


def laplace_quantile(upper: jax.Array, tail: jax.Array) -> jax.Array:
    """Returns ``-log(2 t)``, with the sign of the side."""
    return with_sign(upper, -jnp.log(2 * tail))
