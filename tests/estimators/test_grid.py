"""The joint points of several laws, and sums over them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from reparam_jax.estimators._costs import Costs
from reparam_jax.estimators._grid import (
    Axis,
    integrate,
    joint_points,
    make_grid,
)

PAIR = dist.Normal(jnp.zeros(2), 1.0)
TRIPLE = dist.Normal(jnp.zeros((2, 3)), 1.0).to_event(1)
TWO, THREE = np.array([1.0, 2.0]), np.array([10.0, 20.0, 30.0])


def test_all_parts_of_all_laws():
    weights = np.array([[0.25, 0.5], [0.75, 0.5]])  # of each part its own
    axes = [Axis(TWO, weights), Axis(THREE, np.array([0.2, 0.3, 0.5]))]
    one = dist.Normal(0.0, 1.0)
    (pair, single), joint = make_grid("Grid", [PAIR, one], axes, 0)
    assert (pair.shape, single.shape, joint.shape) == ((12, 2), (12,), (12,))
    expected = {}
    for (i, x), (j, y), (k, z) in itertools.product(
        enumerate(TWO), enumerate(TWO), enumerate(THREE)
    ):
        expected[x, y, z] = weights[i, 0] * weights[j, 1] * [0.2, 0.3, 0.5][k]
    actual = {
        (float(x), float(y), float(z)): float(weight)
        for (x, y), z, weight in zip(pair, single, joint, strict=True)
    }
    assert actual.keys() == expected.keys()
    for point, weight in expected.items():
        np.testing.assert_allclose(actual[point], weight, rtol=1e-12)


def test_parts_of_one_element_of_the_batch():
    weights = np.random.default_rng(0).uniform(size=(2, 2, 3))
    shared = np.array([0.25, 0.75])
    axes = [Axis(TWO, weights), Axis(TWO, shared)]
    law = dist.Normal(0.0, 1.0)
    (triple, single), joint = make_grid("Grid", [TRIPLE, law], axes, 1)
    assert (triple.shape, single.shape, joint.shape) == ((16, 3), (16,), (16, 2))
    for (*x, y), row in zip(np.c_[triple, single], joint, strict=True):
        index = np.searchsorted(TWO, [*x, y])
        own = np.prod([weights[i, :, j] for j, i in enumerate(index[:3])], 0)
        np.testing.assert_allclose(row, own * shared[index[3]], rtol=1e-12)
    assert joint_points(TRIPLE, triple).shape == (16, 2, 3)
    np.testing.assert_array_equal(joint_points(TRIPLE, triple)[:, 1], triple)


def test_a_part_may_be_an_event():
    points = np.eye(3)
    law = dist.Multinomial(1, probs=jnp.full((2, 3), 1 / 3))
    (values,), weights = make_grid("Grid", [law], [Axis(points, np.ones((3, 2)))], 0)
    assert (values.shape, weights.shape) == ((9, 2, 3), (9,))
    assert len(np.unique(values, axis=0)) == 9
    np.testing.assert_array_equal(jnp.sum(values, -1), 1)


def test_a_law_of_no_elements_has_one_point():
    law = dist.Normal(jnp.zeros((0, 2)), 1.0)
    (values,), weights = make_grid("Grid", [law], [Axis(TWO, TWO)], 0)
    assert values.shape == (1, 0, 2)
    np.testing.assert_array_equal(weights, [1.0])


def test_a_sum_keeps_the_rows_of_the_costs():
    rows = jnp.array([1.0, 10.0])
    costs = Costs(lambda values: values[0] ** 2 * rows, ())
    total = integrate(costs, [jnp.array([1.0, 3.0])], np.array([0.5, 0.25]))
    np.testing.assert_allclose(total, [2.75, 27.5], rtol=1e-6)
    table = Costs(lambda values: values[0] * rows[:, None], (2,))
    values = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    total = integrate(table, [values], np.array([[0.5, 1.0], [0.25, 2.0]]))
    np.testing.assert_allclose(total, [[1.25, 10.0], [12.5, 100.0]], rtol=1e-6)


def test_the_limit_names_both_numbers():
    law = dist.Normal(jnp.zeros(16), 1.0)
    grid = jax.eval_shape(lambda: make_grid("Grid", [law], [Axis(TWO, TWO)], 0).values)
    assert grid[0].shape == (65536, 16)
    more = dist.Normal(jnp.zeros(40), 1.0)
    with pytest.raises(ValueError, match=rf"`Grid` .* {2**40} joint .* 65536 are"):
        make_grid("Grid", [more], [Axis(TWO, TWO)], 0)
