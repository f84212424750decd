"""Trees of distribution objects, and the wrappers around them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.typing import ArrayLike

Distribution = dist.Distribution


def flatten(function: str, tree: Any) -> tuple[list[Distribution], Any]:
    """Returns the distributions of a tree of them, and the structure around them."""

    def is_leaf(node):
        return isinstance(node, Distribution)

    leaves, structure = jax.tree.flatten(tree, is_leaf=is_leaf)
    for leaf in leaves:
        if not is_leaf(leaf):
            raise TypeError(
                f"`{function}` takes a NumPyro distribution, or a tree of independent "
                f"ones, got {type(leaf).__name__}."
            )
    if not leaves:
        raise TypeError(f"`{function}` takes a NumPyro distribution, got none.")
    return leaves, structure


def unwrap(distribution: Distribution) -> Distribution:
    """Returns the family under ``Independent``, ``expand`` and ``mask``.

    These change what axes mean and how a density is added up, but not the law of an
    element. Their own shape is that of the family with axes added on the left, or
    stretched from length 1: parameters broadcast to it as arrays do.
    """
    wrappers = dist.Independent, dist.ExpandedDistribution, dist.MaskedDistribution
    while isinstance(distribution, wrappers):
        distribution = distribution.base_dist
    return distribution


def lead(ndim: int, array: ArrayLike) -> jax.Array:
    """Adds leading axes of length 1: strict rank promotion takes no others."""
    array = jnp.asarray(array)
    return jnp.expand_dims(array, tuple(range(ndim - array.ndim)))
