"""A uniform with full relative precision next to 0 and next to 1."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


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
