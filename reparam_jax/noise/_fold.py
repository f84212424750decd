"""A uniform with full relative precision next to 0 and next to 1."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._floats import draw_floats

Quantile = Callable[[jax.Array, jax.Array], jax.Array]


def draw_folded(
    function: str,
    quantile: Quantile,
    key: jax.Array,
    shape: tuple[int, ...],
    dtype: jax.typing.DTypeLike,
    out_sharding: jax.sharding.NamedSharding | None,
) -> jax.Array:
    """Draws noise as a quantile function of a folded uniform.

    Args:
      function: name of the caller in the room.
      quantile: increasing, from side and tail to the noise.
      key: one key.
      shape: shape of the result.
      dtype: a floating dtype.
      out_sharding: sharding of the result on a mesh with explicit axes.

    Returns:
      An array of ``shape`` and ``dtype``.
    """
    from_bits, in_two_loops = _programs(quantile)
    return draw_floats(
        function, from_bits, key, shape, dtype, out_sharding, reference=in_two_loops
    )


@functools.cache
def _programs(quantile):
    def from_bits(bits, dtype):
        return quantile(*fold(bits, dtype))

    # In one loop with the folding, XLA's CPU backend counts enough operations for each
    # byte to wake a second thread for 4096 elements, which costs more than it saves.
    def in_two_loops(key, shape, dtype):
        bits = jax.random.bits(key, shape, jnp.dtype(f"uint{8 * dtype.itemsize}"))
        return quantile(*lax.optimization_barrier(fold(bits, dtype)))

    return from_bits, in_two_loops


def fold(bits: jax.Array, dtype: np.dtype) -> tuple[jax.Array, jax.Array]:
    r"""Maps random words to a uniform :math:`u`, given by its side and its tail.

    .. math:: u = 1 - t \text{ on the upper side}, \qquad u = t \text{ on the lower}.

    The first bit is the side, the others are the tail, so that a quantile function of
    :math:`u` resolves both ends alike; a float near 1 alone would not.

    Args:
      bits: words as wide as ``dtype``.
      dtype: float32 or float64.

    Returns:
      Whether :math:`u` lies in the upper half, and :math:`0 < t \le 1/2`: multiples of
      2^-33 in float32 and of 2^-65 in float64, rounded.
    """
    width = 8 * bits.dtype.itemsize
    signed = lax.bitcast_convert_type(bits, jnp.dtype(f"int{width}"))
    # Signed words: CPUs convert those to floats several at a time.
    magnitude = signed & np.array(2 ** (width - 1) - 1, signed.dtype)
    half, unit = np.array(0.5, dtype), np.array(2.0**-width, dtype)
    return signed < 0, (magnitude.astype(dtype) + half) * unit


def with_sign(upper: jax.Array, magnitude: jax.Array) -> jax.Array:
    """Returns the magnitude, negated on the lower side."""
    return jnp.where(upper, magnitude, -magnitude)


def clip_below_one(value: jax.Array) -> jax.Array:
    """Returns the value, but at most the largest float below 1."""
    return jnp.minimum(
        value, np.nextafter(np.array(1, value.dtype), 0, dtype=value.dtype)
    )
