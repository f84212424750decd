"""Integrals over the unit interval by a fixed rule: compact, and quick to compile."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np


def integrate(
    integrand: Callable[..., jax.Array], count: int, *arguments: jax.Array
) -> jax.Array:
    """Returns the integral of a smooth function over the unit interval, elementwise.

    Gauss and Legendre's rule: of a function that does not change its sign it is a sum
    of terms of one sign, so nothing cancels.

    Args:
      integrand: ``(point, *arguments) -> values``, elementwise.
      count: of nodes.
      *arguments: arrays of one shape and dtype.
    """
    first = arguments[0]
    # The nodes run along a new first axis: elements stay next to each other in memory.
    shape = (count,) + (1,) * first.ndim
    nodes, weights = (
        table.astype(first.dtype).reshape(shape) for table in unit_rule(count)
    )
    values = integrand(nodes, *(argument[None] for argument in arguments))
    return jnp.sum(weights * values, axis=0)


# Integrands here decay from one end on, so the nodes near the ends carry the integral:
# they and their weights must be right relative to their distance from the end, which
# NumPy's are not. Newton steps on that distance d = 1 - x, for a root x of the Legendre
# polynomial P_n, with (1 - x^2) P_n' = n (P_(n-1) - x P_n); the weight is
# 2 / ((1 - x^2) P_n'^2) (NIST Handbook of Mathematical Functions, 18.9.17, 3.5.19).
@functools.cache
def unit_rule(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nodes and weights on the unit interval, each to a few ulp."""
    distance = 1 - np.polynomial.legendre.leggauss(count)[0][count // 2 :]
    for _ in range(3):
        value, slope = _legendre(count, distance)
        distance = distance + distance * (2 - distance) * value / slope
    weights = distance * (2 - distance) / np.square(_legendre(count, distance)[1])
    outer = slice(count % 2, None)  # the middle node is its own mirror image
    nodes = np.concatenate([distance[::-1] / 2, 1 - distance[outer] / 2])
    return nodes, np.concatenate([weights[::-1], weights[outer]])


# With D_k = P_k - P_(k-1) the recurrence is (k + 1) D_(k+1) = k D_k - (2k + 1) d P_k.
def _legendre(count, distance):
    """Returns P_n and (1 - x^2) P_n' at ``x = 1 - distance``."""
    before = value = np.ones_like(distance)
    step = -distance
    for k in range(1, count + 1):
        before, value = value, value + step
        step = (k * step - (2 * k + 1) * distance * value) / (k + 1)
    return value, count * (before - (1 - distance) * value)
