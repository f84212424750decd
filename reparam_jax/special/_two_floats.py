"""Sums and products of floats with their rounding errors, for differences of them."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_HALF = {
    np.dtype(np.float32): (np.uint32, 12),
    np.dtype(np.float64): (np.uint64, 27),
}
_LOG_2_HIGH = 355 / 512


def two_sum(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the rounded sum and what rounding took, exactly (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the rounded product and what rounding took (Dekker), to twice the bits.

    The factors are split by masking bits: a split by rounding would not survive the
    contraction of its operations to FMA.
    """
    product = a * b
    a_high, b_high = _high(a), _high(b)
    a_low, b_low = a - a_high, b - b_high
    rest = (a_high * b_high - product) + a_high * b_low + a_low * b_high
    return product, rest + a_low * b_low


def _high(x):
    integer, bits = _HALF[x.dtype]
    mask = integer(~((1 << bits) - 1) & (2 ** (8 * x.dtype.itemsize) - 1))
    return lax.bitcast_convert_type(
        lax.bitcast_convert_type(x, integer) & mask, x.dtype
    )


def exp_and_expm1(
    log_x: jax.Array,
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """Returns ``exp(log_x)`` and ``1 - exp(log_x)``, each as a sum of two floats.

    In float32 to about 1e-9, in float64 to rounding (the second parts are 0 there).

    Args:
      log_x: at most 0.
    """
    if log_x.dtype != np.float32:
        zero = jnp.zeros_like(log_x)
        return (jnp.exp(log_x), zero), (-jnp.expm1(log_x), zero)
    # exp(log_x) = 2^k exp(r), where abs(r) < 0.35. The first part of log 2 has 9 bits,
    # so its product with k is exact.
    k = jnp.round(jnp.maximum(log_x, -87.0) / np.float32(np.log(2)))
    r, r_low = two_sum(
        jnp.maximum(log_x, -87.0) - k * _LOG_2_HIGH, -k * (np.log(2) - _LOG_2_HIGH)
    )
    # exp(r) - 1: the first two terms with their rounding errors, the others plain.
    square, square_low = two_product(r, r)
    others = jnp.zeros_like(r)
    for power in range(9, 3, -1):
        others = (1 + others) * (r / power)
    others = (1 + others) * (square * r / 6)
    sum_, sum_low = two_sum(r, square / 2)
    low = sum_low + square_low / 2 + r_low * (1 + r) + others
    expm1, expm1_low = two_sum(sum_, low)
    exp, exp_low = two_sum(jnp.ones_like(r), expm1)
    bits = (k.astype(np.int32) + 127) << 23
    scale = lax.bitcast_convert_type(bits, np.float32)
    x, x_low = scale * exp, scale * (exp_low + expm1_low)
    y, y_low = two_sum(jnp.ones_like(r), -x)
    near_one = k == 0
    y = jnp.where(near_one, -expm1, y)
    y_low = jnp.where(near_one, -expm1_low, y_low - x_low)
    return (x, x_low), (y, y_low)
