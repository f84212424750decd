"""Random bits: the threefry cipher written out, and when it is used."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from reparam_jax import _checks
from reparam_jax._meshes import place

# Below this many elements `jax.random` is as fast on CPU and compiles faster; from 2^32
# on its counters need a second word.
_SMALLEST, _LARGEST = 2**14, 2**32

# XLA does not vectorise loops over a last axis shorter than this on CPU, and rounds the
# inverse of erf otherwise in them: `jax.random` wins there, and its bits are kept.
_SHORTEST_AXIS = 16

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)


def bits(
    key: jax.Array,
    shape: tuple[int, ...] = (),
    dtype: jax.typing.DTypeLike = jnp.uint32,
    *,
    out_sharding: jax.sharding.NamedSharding | None = None,
) -> jax.Array:
    """Draws independent uniform random bits.

    Equal to ``jax.random.bits(key, shape, dtype)`` bit for bit, faster on CPU, and one
    value in the compiled program: XLA does not copy the cipher into each of its uses.

    Args:
      key: one key from ``jax.random.key``. Used once.
      shape: shape of the result.
      dtype: an unsigned integer dtype.
      out_sharding: sharding of the result on a mesh with explicit axes.

    Returns:
      An array of ``shape`` and ``dtype``.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or ``dtype`` is not an unsigned integer.
      ValueError: ``key`` is a batch of keys.

    Gradient:
      None: the result is discrete.

    References:
      Salmon, Moraes, Dror, Shaw. Parallel random numbers: as easy as 1, 2, 3. SC 2011,
      section 3.2 (Threefry).

    Example:
      >>> import jax, reparam_jax as rj
      >>> bits = rj.noise.bits(jax.random.key(0), (3,))
      >>> bool((bits == jax.random.bits(jax.random.key(0), (3,))).all())
      True
    """
    key = _checks.check_key("noise.bits", key)
    if not jnp.issubdtype(dtype, jnp.unsignedinteger):
        raise TypeError(
            f"`noise.bits` draws unsigned integers, got dtype={jnp.dtype(dtype)}."
        )
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    return _bits(key, tuple(shape), dtype, out_sharding)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _bits(key, shape, dtype, out_sharding):
    if dtype.itemsize < 4:
        return jax.random.bits(key, shape, dtype, out_sharding=out_sharding)
    return draw_once(
        key, shape, lambda words: words, dtype, out_sharding, reference=jax.random.bits
    )


def draw_once(
    key: jax.Array,
    shape: tuple[int, ...],
    from_bits: Callable[[jax.Array], jax.Array],
    dtype: np.dtype,
    out_sharding: jax.sharding.NamedSharding | None,
    *,
    reference: Callable[..., jax.Array],
) -> jax.Array:
    """Draws noise by the written-out cipher, or by ``jax.random`` where that is better.

    Args:
      key: one typed key.
      shape: shape of the result.
      from_bits: elementwise map from random words to the noise.
      dtype: dtype of the result; the words are unsigned integers as wide.
      out_sharding: sharding of the result on a mesh with explicit axes, else ``None``.
      reference: a function ``(key, shape, dtype)`` of ``jax.random`` with these values.

    Returns:
      The noise, the same either way.
    """
    word = jnp.dtype(f"uint{8 * dtype.itemsize}")

    def draw(key):
        if _is_written_out(key, shape):
            return from_bits(_cipher(key, shape, word))
        return reference(key, shape, dtype)

    return one_value(draw, key, out_sharding)


def one_value(
    draw: Callable[[jax.Array], jax.Array],
    key: jax.Array,
    out_sharding: jax.sharding.NamedSharding | None,
) -> jax.Array:
    """Draws noise as one value of the program, laid out as ``out_sharding`` says.

    Without the optimisation barrier XLA fuses the cipher into every consumer, and so
    runs it again in a backward pass; with it noise rounds alike in every program.

    Args:
      draw: from a key to the noise.
      key: one typed key.
      out_sharding: sharding of the result on a mesh with explicit axes, else ``None``.

    Returns:
      ``draw(key)``.
    """

    def drawn(key):
        return jax.lax.optimization_barrier(draw(key))

    return place(drawn, key, out_sharding=out_sharding)


def _is_written_out(key, shape):
    return (
        jax.random.key_impl(key) == "threefry2x32"
        and jax.config.jax_threefry_partitionable  # pyright: ignore
        and all(isinstance(length, int) for length in shape)  # not symbolic, for export
        and _SMALLEST <= math.prod(shape) < _LARGEST
        and shape[-1] >= _SHORTEST_AXIS
    )


def _cipher(key, shape, word):
    """Threefry-2x32 of each element's index, as `jax.random.bits` defines it."""
    first, second = _threefry(_key_words(key), _flat_index(shape))
    if word.itemsize == 4:
        return first ^ second
    return (first.astype(word) << np.uint64(32)) | second.astype(word)


def _key_words(key):
    # Reading the data hides the use from `jax.debug_key_reuse`; an empty draw marks the
    # key as consumed. Its sum, 0, costs nothing and ties the draw to the result, or
    # differentiation would drop it as dead code.
    nothing = jnp.sum(jax.random.bits(key, (0,)), dtype=jnp.uint32)
    words = jax.random.key_data(key) + nothing
    return words[0], words[1]


def _flat_index(shape):
    index = jnp.zeros((), jnp.uint32)
    stride = 1
    for axis in reversed(range(len(shape))):
        along = jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
        index = index + along * np.uint32(stride)
        stride *= shape[axis]
    return index


def _threefry(key_words, low):
    """Twenty rounds of Threefry-2x32 on the counter words (0, ``low``)."""
    schedule = (*key_words, key_words[0] ^ key_words[1] ^ _PARITY)
    first, second = schedule[0], low + schedule[1]
    for block in range(5):
        for rotation in _ROTATIONS[block % 2]:
            first = first + second
            second = first ^ _rotate_left(second, rotation)
        first = first + schedule[(block + 1) % 3]
        second = second + schedule[(block + 2) % 3] + np.uint32(block + 1)
    return first, second


def _rotate_left(word, distance):
    return (word << np.uint32(distance)) | (word >> np.uint32(32 - distance))
