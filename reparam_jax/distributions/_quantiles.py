"""Quantiles without a closed form."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax


def quantile(
    cdf: Callable[[jax.Array], jax.Array],
    probability: jax.Array,
    low: jax.typing.ArrayLike,
    high: jax.typing.ArrayLike,
) -> jax.Array:
    """Returns where an increasing function first reaches a probability.

    By bisection of the floats between the bounds, as they follow one another: 33 steps
    in float32 and 65 in float64 give the very float, be it small or huge; those that
    the hardware takes for 0 are one.

    Args:
      cdf: of an array of the shape of ``probability``, elementwise.
      probability: what is to be reached; it is not differentiated.
      low: a bound below; it broadcasts with ``probability``.
      high: a bound above.

    Returns:
      An array of the shape and dtype of ``probability``, without gradient.
    """
    probability = lax.stop_gradient(probability)
    shape, dtype = probability.shape, probability.dtype
    bounds = [
        _rank(jnp.broadcast_to(lax.stop_gradient(jnp.asarray(bound, dtype)), shape))
        for bound in (low, high)
    ]

    def halve(_, bounds):
        below, above = bounds
        # Halved first: the sum of two ranks would not fit.
        middle = (below >> 1) + (above >> 1) + (below & above & 1)
        reached = cdf(_float(middle, dtype)) >= probability
        return jnp.where(reached, below, middle), jnp.where(reached, middle, above)

    steps = 8 * dtype.itemsize + 1
    _, above = lax.fori_loop(0, steps, halve, tuple(bounds))
    return _float(above, dtype)


# The bits of floats are in order as integers; of negative ones, once all but the sign
# are flipped.
def _rank(value):
    bits = lax.bitcast_convert_type(value, jnp.dtype(f"int{8 * value.dtype.itemsize}"))
    return _flip(bits)


def _float(rank, dtype):
    return lax.bitcast_convert_type(_flip(rank), dtype)


def _flip(bits):
    return jnp.where(bits < 0, bits ^ jnp.iinfo(bits.dtype).max, bits)
