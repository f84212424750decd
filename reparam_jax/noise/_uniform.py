"""Uniform base noise."""

import jax
import jax.numpy as jnp
import numpy as np

from ._floats import draw_floats
from ._fold import clip_below_one


def uniform(
    key: jax.Array,
    shape: tuple[int, ...] = (),
    dtype: jax.typing.DTypeLike = jnp.float32,
    *,
    out_sharding: jax.sharding.NamedSharding | None = None,
) -> jax.Array:
    """Draws independent uniforms on [0, 1).

    Equal to ``jax.random.uniform(key, shape, dtype)`` bit for bit in float32 and
    float64, faster on CPU, and one value in the compiled program. Shorter dtypes are
    rounded from float32, so 1 itself can occur there.

    Args:
      key: one key from ``jax.random.key``. Used once.
      shape: shape of the result.
      dtype: a floating dtype.
      out_sharding: sharding of the result on a mesh with explicit axes.

    Returns:
      An array of ``shape`` and ``dtype``: multiples of 2^-23 in float32, of 2^-52 in
      float64.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or ``dtype`` is not floating.
      ValueError: ``key`` is a batch of keys.

    Gradient:
      None: noise has no parameters.

    Example:
      >>> import jax, reparam_jax as rj
      >>> noise = rj.noise.uniform(jax.random.key(0), (1000,))
      >>> bool((noise == jax.random.uniform(jax.random.key(0), (1000,))).all())
      True
    """
    reference = jax.random.uniform
    return draw_floats(
        "uniform", unit_from_bits, key, shape, dtype, out_sharding, reference=reference
    )


def unit_from_bits(bits: jax.Array, dtype: np.dtype) -> jax.Array:
    """Maps random words to [0, 1): the high bits become the fraction of 1.xxx, less 1.

    Args:
      bits: words as wide as ``dtype``.
      dtype: float32 or float64.

    Returns:
      Floats shaped like ``bits``.
    """
    info = jnp.finfo(dtype)
    one = np.ones((), dtype)
    fraction = bits >> np.array(info.bits - info.nmant, bits.dtype)
    return jax.lax.bitcast_convert_type(fraction | one.view(bits.dtype), dtype) - one


def uniform_quantile(upper: jax.Array, tail: jax.Array) -> jax.Array:
    """Returns a folded uniform itself, below 1."""
    return jnp.where(upper, clip_below_one(1 - tail), tail)
