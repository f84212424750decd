"""What all base noise but bits goes through: checks, the draw, one rounding."""

import functools
from collections.abc import Callable

import jax
import numpy as np

from reparam_jax import _checks

from ._bits import draw_once


def draw_floats(
    function: str,
    from_bits: Callable[[jax.Array, np.dtype], jax.Array],
    key: jax.Array,
    shape: tuple[int, ...],
    dtype: jax.typing.DTypeLike,
    out_sharding: jax.sharding.NamedSharding | None,
    *,
    reference: Callable[..., jax.Array],
) -> jax.Array:
    """Draws noise by an elementwise map of random words.

    Args:
      function: name of the caller in the room.
      from_bits: maps words to noise of the given dtype, float32 or wider.
      key: one key.
      shape: shape of the result.
      dtype: a floating dtype.
      out_sharding: sharding of the result on a mesh with explicit axes.
      reference: a function ``(key, shape, dtype)`` of ``jax.random`` with these values.

    Returns:
      An array of ``shape`` and ``dtype``.
    """
    key = _checks.check_key(f"noise.{function}", key)
    dtype = _checks.result_dtype(f"noise.{function}", dtype)
    return _draw(key, from_bits, tuple(shape), dtype, out_sharding, reference)


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4, 5))
def _draw(key, from_bits, shape, dtype, out_sharding, reference):
    drawn = _checks.noise_dtype(dtype)
    map_bits = functools.partial(from_bits, dtype=drawn)
    noise = draw_once(key, shape, map_bits, drawn, out_sharding, reference=reference)
    return noise.astype(dtype)
