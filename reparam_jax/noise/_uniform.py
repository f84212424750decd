"""Uniform base noise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from reparam_jax import _checks

from ._bits import draw_once


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
    key = _checks.check_key("noise.uniform", key)
    dtype = _checks.result_dtype("noise.uniform", dtype)
    return _uniform(key, tuple(shape), dtype, out_sharding)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _uniform(key, shape, dtype, out_sharding):
    drawn = _checks.noise_dtype(dtype)
    return draw_once(
        key,
        shape,
        functools.partial(unit_from_bits, dtype=drawn),
        word_dtype(drawn),
        jax.random.uniform,
        drawn,
        out_sharding,
    ).astype(dtype)


def word_dtype(dtype: np.dtype) -> np.dtype:
    """Returns the unsigned integer dtype as wide as a floating one."""
    return jnp.dtype(f"uint{jnp.finfo(dtype).bits}")


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
