"""The cost of a user, at many draws at a time, and what each law is credited with."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reparam_jax.distributions._structure import Distribution

Values = list[jax.Array]


class Costs:
    """A cost as a function of the draws of several leaves, one call for many draws.

    Each value has a leading axis, of the number of draws or of length 1; the costs have
    that of all of them.
    """

    def __init__(
        self,
        function: Callable[[Values], jax.Array],
        batch_shape: tuple[int, ...] | None,
        args: tuple = (),
    ):
        self._function = function
        self.batch_shape = batch_shape
        self.args = args

    def __call__(self, values: Values) -> jax.Array:
        return self._function(values)

    def shape_at(self, values: Values) -> tuple[int, ...]:
        """The shape of one cost: () or the batch shape of all leaves."""
        return jax.eval_shape(self._function, values).shape[1:]

    def with_function(self, function: Callable[[Values], jax.Array]) -> "Costs":
        """Other leaves of the same expectation."""
        return Costs(function, self.batch_shape, self.args)


def make_costs(
    cost_fn: Callable, structure: Any, leaves: list[Distribution], args: tuple
) -> Costs:
    """Makes costs of all leaves of an expectation."""
    batch_shape = _joint_shape([leaf.batch_shape for leaf in leaves])

    def one(values):
        cost = cost_fn(structure.unflatten(values), *args)
        return _check_cost(cost, batch_shape)

    def many(values):
        lengths = [jnp.shape(value)[0] for value in values]
        values = [
            value if length == max(lengths) else _repeat(value, max(lengths))
            for value, length in zip(values, lengths, strict=True)
        ]
        return jax.vmap(one)(values)

    return Costs(many, batch_shape, args)


def _repeat(value, length):
    return jnp.broadcast_to(value, (length, *value.shape[1:]))


def _joint_shape(shapes: list[tuple[int, ...]]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None


def _check_cost(cost, batch_shape):
    if not isinstance(cost, jax.Array | np.ndarray | np.generic | int | float):
        raise TypeError(
            f"`cost_fn` must return one number or array, got {type(cost).__name__}."
        )
    cost = jnp.asarray(cost)
    if jnp.issubdtype(cost.dtype, jnp.complexfloating):
        raise TypeError(f"`cost_fn` must return real costs, got {cost.dtype}.")
    if not jnp.issubdtype(cost.dtype, jnp.floating):
        cost = cost.astype(jnp.result_type(float))
    if cost.shape not in ((), batch_shape):
        allowed = "()" if batch_shape in ((), None) else f"() or {batch_shape}"
        raise ValueError(
            f"`cost_fn` must return a cost of shape {allowed}: one number, or one for "
            f"each element of the distributions' batch; got {cost.shape}."
        )
    return cost


def spread(terms: jax.Array, costs: jax.Array) -> jax.Array:
    """Turns terms of one leaf into what they add to each cost.

    A cost of shape () goes with the sum of the terms, one of the batch's shape with its
    own element; a leaf that lacks an axis of it serves all costs along that axis.

    Args:
      terms: of shape (n, *leaf.batch_shape).
      costs: of shape (n, *shape), with the shape of one cost.

    Returns:
      An array of shape (n, *shape), or with lengths 1 for n.
    """
    if costs.ndim == 1:
        return jnp.sum(terms, tuple(range(1, terms.ndim)))
    missing = costs.ndim - terms.ndim
    return jnp.expand_dims(terms, tuple(range(1, 1 + missing)))


def sum_events(terms: jax.Array, leaf: Distribution) -> jax.Array:
    """Adds up terms of the parts of one leaf over all axes after those of its batch.

    Args:
      terms: of shape (n, *leaf.batch_shape, ...).
      leaf: the distribution.

    Returns:
      An array of shape (n, *leaf.batch_shape).
    """
    return jnp.sum(terms, tuple(range(1 + len(leaf.batch_shape), terms.ndim)))
