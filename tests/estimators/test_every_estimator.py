"""What holds for every estimator: programs, devices, data, orders."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import reparam_jax as rj
from tests.estimators.table import EVERY, TABLE

# Into compiling these programs goes the time: one row of each kind runs by default.
LEADERS = ("Pathwise()", 'ScoreFunction(baseline="leave_one_out")', "ARM()")
PROGRAMS = pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            row,
            id=row.title,
            marks=[] if row.shown in LEADERS else [pytest.mark.slow],
        )
        for row in TABLE
    ],
)
BATCH = 8
X = jnp.asarray(np.random.default_rng(3).normal(size=(BATCH, 3)), jnp.float32)
DATA = jnp.asarray(np.random.default_rng(4).normal(size=(BATCH,)), jnp.float32)


def cost(draw, data):
    """One cost for each element of the batch, of whatever the draw is there."""
    draw = jnp.asarray(draw, data.dtype)
    weights = jnp.array([1.0, -0.5, 2.0], data.dtype)
    if draw.ndim > data.ndim:
        draw = draw @ weights
    return jnp.sin(data * draw + 0.3) + 0.1 * draw**2


def loss(row, x, data, key):
    costs = rj.expectation(
        key,
        cost,
        row.law(x),
        data,
        num_samples=row.num_samples,
        estimator=row.estimator,
    )
    return jnp.sum(costs * jnp.linspace(0.5, 1.5, x.shape[0]))


@functools.cache
def gradient(row):
    return jax.jit(jax.value_and_grad(functools.partial(loss, row), (0, 1)))


def alike(found, wanted, rtol=2e-5):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(
            a, b, rtol=rtol, atol=rtol * float(jnp.max(jnp.abs(b)))
        ),
        found,
        wanted,
    )


@pytest.mark.slow
@PROGRAMS
def test_eager_and_jitted_programs_agree(row):
    by_hand = jax.value_and_grad(functools.partial(loss, row), (0, 1))
    alike(
        by_hand(X, DATA, jax.random.key(1)), gradient(row)(X, DATA, jax.random.key(1))
    )


@PROGRAMS
def test_vmap_over_keys_parameters_and_data_is_a_loop(row):
    keys = jax.random.split(jax.random.key(2), 3)
    xs, data = jnp.stack([X, -X, X[::-1]]), jnp.stack([DATA, 2 * DATA, -DATA])
    found = jax.jit(jax.vmap(gradient(row)))(xs, data, keys)
    wanted = [
        gradient(row)(*each, key)
        for *each, key in zip(
            xs, data, jax.random.split(jax.random.key(2), 3), strict=True
        )
    ]
    alike(found, jax.tree.map(lambda *leaves: jnp.stack(leaves), *wanted))


@PROGRAMS
def test_the_gradient_of_a_scan_over_keys_is_the_sum(row):
    def total(x, keys):
        def step(carry, key):
            return carry + loss(row, x, DATA, key), None

        return jax.lax.scan(step, jnp.zeros(()), keys)[0]

    found = jax.jit(jax.grad(total))(X, jax.random.split(jax.random.key(3), 3))
    keys = jax.random.split(jax.random.key(3), 3)
    wanted = [gradient(row)(X, DATA, key)[1][0] for key in keys]
    alike(found, sum(wanted[1:], wanted[0]))


@PROGRAMS
@pytest.mark.parametrize("axis", [AxisType.Auto, AxisType.Explicit])
def test_eight_devices_give_the_gradients_of_one(row, axis):
    if axis == AxisType.Explicit and row.drawn_by_jax:
        pytest.skip("the draw, of NumPyro or JAX, does not know explicit axes")
    mesh = jax.make_mesh((8,), ("data",), axis_types=(axis,))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    x, data = jax.device_put(X, rows), jax.device_put(DATA, rows)
    found = gradient(row)(x, data, jax.random.key(4))
    alike(found, gradient(row)(X, DATA, jax.random.key(4)))


@PROGRAMS
def test_forward_mode_is_reverse_mode(row):
    direction = jnp.cos(X)

    def along(x, key):
        return jax.jvp(lambda x: loss(row, x, DATA, key), (x,), (direction,))[1]

    slope = jax.jit(along)(X, jax.random.key(5))
    wanted = gradient(row)(X, DATA, jax.random.key(5))[1][0]
    alike(slope, jnp.sum(wanted * direction), 1e-4)


@PROGRAMS
def test_second_derivatives_agree_in_both_modes_or_raise(row):
    # What they are is tested for each estimator by enumeration or quadrature.
    slope = jax.grad(functools.partial(loss, row))
    if row.order != EVERY:
        for mode in jax.jacfwd, jax.jacrev:
            with pytest.raises(NotImplementedError, match="second derivatives"):
                jax.jit(mode(slope))(X[:4], DATA[:4], jax.random.key(5))
        return
    forward, reverse = (
        jax.jit(mode(slope))(X[:4], DATA[:4], jax.random.key(5))
        for mode in (jax.jacfwd, jax.jacrev)
    )
    assert jnp.max(jnp.abs(reverse)) > 1e-3
    alike(forward, reverse)
