"""Densities as functions of parameters and values of any shapes and dtypes."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from reparam_jax import _checks


def elementwise(kernel: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Lets a kernel of arrays of one shape and dtype take any that broadcast.

    It computes in float32 at least, and its result has the arguments' float dtype.
    """

    @functools.wraps(kernel)
    def with_any(*arguments: ArrayLike) -> jax.Array:
        dtype = jnp.result_type(*arguments)
        if not jnp.issubdtype(dtype, jnp.floating):
            dtype = jnp.result_type(dtype, float)
        compute_dtype = _checks.noise_dtype(dtype)
        arrays = [jnp.asarray(x).astype(compute_dtype) for x in arguments]
        return kernel(*jnp.broadcast_arrays(*arrays)).astype(dtype)

    return with_any
