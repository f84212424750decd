"""Standard Gumbel base noise."""

import jax
import jax.numpy as jnp

from ._exponential import exponential_quantile
from ._fold import draw_folded


def gumbel(
    key: jax.Array,
    shape: tuple[int, ...] = (),
    dtype: jax.typing.DTypeLike = jnp.float32,
    *,
    out_sharding: jax.sharding.NamedSharding | None = None,
) -> jax.Array:
    r"""Draws independent standard Gumbel variables.

    .. math:: g = -\log(-\log u), \qquad u \sim U(0, 1), \qquad
       P(g < x) = e^{-e^{-x}}.

    Args:
      key: one key from ``jax.random.key``. Used once.
      shape: shape of the result.
      dtype: a floating dtype. Shorter ones than float32 are rounded from it.
      out_sharding: sharding of the result on a mesh with explicit axes.

    Returns:
      An array of ``shape`` and ``dtype``. In float32 from -3.14 to 22.9: the upper
      tail, which decides the argmax over many classes, is resolved down to a
      probability of 2^-33.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or ``dtype`` is not floating.
      ValueError: ``key`` is a batch of keys.

    Gradient:
      None: noise has no parameters.

    Example:
      >>> import jax, reparam_jax as rj
      >>> noise = rj.noise.gumbel(jax.random.key(0), (1000,))
      >>> bool((noise > -3.2).all())
      True
    """
    return draw_folded("gumbel", gumbel_quantile, key, shape, dtype, out_sharding)


def gumbel_quantile(upper: jax.Array, tail: jax.Array) -> jax.Array:
    """Returns ``-log(-log(u))`` of a folded uniform.

    XLA compiles both logarithms and the cipher in one loop three times as slowly on
    CPU as in two, which the barrier makes of it.
    """
    exponential = exponential_quantile(~upper, tail)
    return -jnp.log(jax.lax.optimization_barrier(exponential))
