"""Meshes with explicit axes: running on them what JAX cannot place by itself."""

import functools
import operator
from collections.abc import Callable

import jax


def place(
    function: Callable[..., jax.Array],
    *arguments: jax.Array,
    out_sharding: jax.sharding.NamedSharding | None,
) -> jax.Array:
    """Calls a function with the explicit axes of a mesh made automatic for it.

    Args:
      function: of arrays, to one array.
      *arguments: of ``function``.
      out_sharding: sharding of the result; where its mesh has no explicit axes, or
        without it, the function is just called.

    Returns:
      The result.
    """
    explicit = out_sharding.mesh.explicit_axes if out_sharding is not None else ()
    if not explicit:
        return function(*arguments)
    placed = jax.sharding.auto_axes(function, axes=explicit, out_sharding=out_sharding)
    return placed(*arguments)  # pyright: ignore[reportReturnType]


def elementwise(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Lets an elementwise function, of arrays of one shape, run on any mesh."""

    def placed(*arguments: jax.Array) -> jax.Array:
        sharding = jax.typeof(functools.reduce(operator.add, arguments)).sharding
        return place(function, *arguments, out_sharding=sharding)

    return placed


def cholesky(matrix: jax.Array) -> jax.Array:
    """Returns the Cholesky factor of each matrix, NaN throughout where there is none.

    Args:
      matrix: positive definite, of shape (..., dim, dim); on a mesh with explicit axes,
        where ``jax.lax.linalg.cholesky`` cannot tell its sharding, split by its leading
        axes only.

    Returns:
      Lower triangular matrices.
    """
    sharding = jax.typeof(matrix).sharding
    return place(jax.lax.linalg.cholesky, matrix, out_sharding=sharding)


def laid_out(array: jax.Array, sharding: jax.sharding.NamedSharding) -> jax.Array:
    """Returns an array with a sharding, where its mesh has explicit axes."""
    if not sharding.mesh.explicit_axes:
        return array
    return jax.sharding.reshard(array, sharding)
