"""Sums over a grid: all joint points of several distributions, and their weights."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from reparam_jax.distributions._structure import Distribution

from ._costs import Costs

MOST_POINTS = 2**16


class Axis(NamedTuple):
    """The points of each independent part of one distribution, a number or an event.

    Args:
      points: of shape (K, *shape of a part), the same for all parts.
      weights: of shape (K, *shape of the parts), or (K,) if the same for all parts.
    """

    points: jax.Array | np.ndarray
    weights: jax.Array | np.ndarray


class Grid(NamedTuple):
    """The joint points of all parts: of all leaves, or of one element of the batch.

    Args:
      values: for each leaf, of shape (N, *leaf.shape()), or (N, *leaf.event_shape) for
        one element of the batch.
      weights: of shape (N,), or (N, *batch) with the rank of the joint batch.
    """

    values: list[jax.Array]
    weights: ArrayLike


def make_grid(
    name: str, leaves: list[Distribution], axes: list[Axis], batch_ndim: int
) -> Grid:
    """Makes the product of all axes, one for each part.

    Args:
      name: of the estimator.
      leaves: the distributions.
      axes: one for each.
      batch_ndim: the rank of the costs. 0 is for a scalar cost, of all parts of all
        leaves; else each element of the batch has its own grid.
    """
    shapes = [
        _parts(leaf.event_shape if batch_ndim else leaf.shape(), axis)
        for leaf, axis in zip(leaves, axes, strict=True)
    ]
    radices = [
        len(axis.points)
        for axis, shape in zip(axes, shapes, strict=True)
        for _ in range(math.prod(shape))
    ]
    size = math.prod(radices)
    _check_size(name, size)
    strides = size // np.cumprod(radices, dtype=int)
    digits = np.arange(size)[:, None] // strides % np.array(radices, int)
    values, weights, place = [], np.ones((1,) * (1 + batch_ndim)), 0
    for leaf, axis, shape in zip(leaves, axes, shapes, strict=True):
        parts = math.prod(shape)
        index = digits[:, place : place + parts]
        value = jnp.asarray(axis.points)[index]
        values.append(value.reshape(size, *shape, *value.shape[2:]))
        for weight in _part_weights(leaf, axis, parts, batch_ndim):
            product = weights[:, None] * weight[None]
            weights = product.reshape(-1, *product.shape[2:])
        place += parts
    return Grid(values, weights)


def _parts(shape, axis):
    """Without the axes of an event that is one point."""
    return shape[: len(shape) - (axis.points.ndim - 1)]


def _part_weights(leaf, axis, parts, batch_ndim):
    """The weights of the points of each part, aligned with the costs."""
    batch = leaf.batch_shape if batch_ndim else ()
    weights = axis.weights
    if weights.ndim == 1:  # the same for all parts
        return [weights.reshape(-1, *(1,) * batch_ndim)] * parts
    missing = (1,) * (batch_ndim - len(batch))
    weights = weights.reshape(weights.shape[0], *missing, *batch, parts)
    return [weights[..., part] for part in range(parts)]


def _check_size(name, size):
    if size > MOST_POINTS:
        raise ValueError(
            f"`{name}` would evaluate the cost at {size} joint points, at most "
            f"{MOST_POINTS} are allowed. A cost of the batch's shape needs those of "
            "one element only; `ScoreFunction` and `Pathwise` need no grid."
        )


def joint_points(leaf: Distribution, values: jax.Array) -> jax.Array:
    """Gives values of one element of the batch, or of all, the leaf's shape."""
    rest = values.shape[1:]
    ones = (1,) * (len(leaf.shape()) - len(rest))
    values = values.reshape(values.shape[0], *ones, *rest)
    return jnp.broadcast_to(values, (values.shape[0], *leaf.shape()))


def integrate(costs: Costs, values: list[jax.Array], weights: ArrayLike) -> jax.Array:
    """Sums weighted costs over the points.

    Args:
      costs: of lists of values, one for each leaf.
      values: of shape (N, *leaf.shape()).
      weights: of shape (N,), or (N, *batch) with the rank of the costs.

    Returns:
      An array of shape (n, *shape), where the costs have that at one point.
    """
    evaluated = jax.vmap(costs)([value[:, None] for value in values])
    weights = jnp.asarray(weights, evaluated.dtype)
    return jnp.sum(weights[:, None] * evaluated, 0)
