"""Reference values to 17 digits, from integrals and closed forms in mpmath."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np

HERE = pathlib.Path(__file__).parent


def load(name, bits):
    """The columns of a file, by name; for 32 bits, points exact in float32 only."""
    path = HERE / "reference" / f"{name}.csv"
    table = np.genfromtxt(path, delimiter=",", names=True)
    table = table[table["bits"] <= bits]
    return {column: table[column] for column in table.dtype.names}


def error(actual, expected, size=None):
    """Largest error relative to the size; by default, to the expected value."""
    actual = np.asarray(actual, np.float64)
    size = np.abs(expected) if size is None else size
    off = np.abs(actual - expected)
    return np.max(np.where(off == 0, 0, off / np.where(size == 0, 1e-300, size)))


def derivatives_and_differences(function, point, direction):
    """The first three derivatives of a scalar along a line, and what they must be.

    Forward and reverse mode take turns; the derivative of each order must be the
    difference quotient of the order below it.
    """
    point, direction = np.float64(point), np.float64(direction)

    def along(step):
        return function(*(point + step * direction))

    orders = [along]
    for derive in (jax.grad, jax.jacfwd, jax.grad):
        orders.append(derive(orders[-1]))

    @jax.jit
    def compute(steps):
        derivatives = [order(0.0) for order in orders[1:]]
        neighbours = [jax.vmap(order)(steps) for order in orders[:-1]]
        return jnp.array(derivatives), jnp.array(neighbours)

    width = 1e-3
    derivatives, neighbours = compute(width * np.array([1, -1, 2, -2]))
    near, back, far, far_back = np.asarray(neighbours).T
    return derivatives, (8 * (near - back) - (far - far_back)) / (12 * width)
