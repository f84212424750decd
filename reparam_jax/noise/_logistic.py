"""Standard logistic base noise."""

import jax
import jax.numpy as jnp

from ._fold import draw_folded, with_sign


def logistic(
    key: jax.Array,
    shape: tuple[int, ...] = (),
    dtype: jax.typing.DTypeLike = jnp.float32,
    *,
    out_sharding: jax.sharding.NamedSharding | None = None,
) -> jax.Array:
    r"""Draws independent standard logistic variables.

    .. math:: x = \log \frac{u}{1 - u}, \qquad u \sim U(0, 1), \qquad
       P(x < y) = \frac{1}{1 + e^{-y}}.

    Args:
      key: one key from ``jax.random.key``. Used once.
      shape: shape of the result.
      dtype: a floating dtype. Shorter ones than float32 are rounded from it.
      out_sharding: sharding of the result on a mesh with explicit axes.

    Returns:
      An array of ``shape`` and ``dtype``. Symmetric, in float32 up to 22.9 in size.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or ``dtype`` is not floating.
      ValueError: ``key`` is a batch of keys.

    Gradient:
      None: noise has no parameters.

    Example:
      >>> import jax, reparam_jax as rj
      >>> noise = rj.noise.logistic(jax.random.key(0), (1000,))
      >>> 0.4 < float((noise < 0).mean()) < 0.6
      True
    """
    return draw_folded("logistic", logistic_quantile, key, shape, dtype, out_sharding)


def logistic_quantile(upper: jax.Array, tail: jax.Array) -> jax.Array:
    """Returns ``log((1 - t) / t)``, with the sign of the side."""
    return with_sign(upper, jnp.log((1 - tail) / tail))
