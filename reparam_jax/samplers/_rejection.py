"""Rejection of whole arrays: rounds that all elements take part in."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import lax

Candidates = TypeVar("Candidates")


def noise_like(
    array: jax.Array, draw: Callable[..., jax.Array], key: jax.Array
) -> jax.Array:
    """Draws base noise of the shape, dtype and layout of an array."""
    sharding = jax.typeof(array).sharding
    return draw(key, array.shape, array.dtype, out_sharding=sharding)


def first_accepted(
    propose: Callable[[jax.Array], tuple[Candidates, jax.Array]],
    key: jax.Array,
    like: Candidates,
) -> Candidates:
    """Returns the first accepted candidate of each element.

    Every round proposes for all elements, and they keep their first accepted candidate:
    what an element gets depends on its own parameters and on the key only. On a mesh a
    round costs one boolean; no derivative passes the loop, so the caller brings one.

    Args:
      propose: from a key to candidates (an array, or a tree of arrays of one shape) and
        whether each is accepted. Every element must be likely to be.
      key: one typed key. Used once.
      like: arrays without NaN, laid out as the candidates will be.

    Returns:
      The candidates.
    """

    def is_pending(state):
        _, accepted, _ = state
        return jnp.logical_not(jnp.all(accepted))

    def one_round(state):
        key, accepted, kept = state
        key, subkey = jax.random.split(key)
        candidates, accepts = propose(subkey)
        kept = jax.tree.map(
            lambda old, new: lax.select(accepted, old, new), kept, candidates
        )
        return key, accepted | accepts, kept

    first = jax.tree.leaves(like)[0]
    # Comparing keeps the layout on every mesh, which a constant would not.
    nothing = first != first
    return lax.while_loop(is_pending, one_round, (key, nothing, like))[2]
