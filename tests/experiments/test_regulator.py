"""Tests of ``experiments._regulator`` and of its exact gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import solve_discrete_are

from experiments import _regulator, _regulator_exact
from experiments._regulator import Noise, Policy, Regulator

STEPS, STATES, ACTIONS = 5, 3, 2


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def system() -> Regulator:
    """Three states and two actions, with nothing symmetric that need not be."""
    rng = np.random.default_rng(0)
    square = rng.normal(size=(STATES, STATES))
    root = rng.normal(size=(ACTIONS, ACTIONS))
    return Regulator(
        transition=jnp.asarray(0.5 * rng.normal(size=(STATES, STATES))),
        control=jnp.asarray(rng.normal(size=(STATES, ACTIONS))),
        state_cost=jnp.asarray(square @ square.T),
        action_cost=jnp.asarray(root @ root.T + 0.1 * np.eye(ACTIONS)),
        initial_std=jnp.asarray([0.5, 1.0, 2.0]),
        disturbance_std=jnp.asarray([0.3, 0.2, 0.1]),
    )


def some_policy() -> Policy:
    rng = np.random.default_rng(1)
    gains = 0.3 * rng.normal(size=(STEPS, ACTIONS, STATES))
    return Policy(jnp.asarray(gains), jnp.asarray([-0.5, 0.2]))


@pytest.mark.slow
def test_exact_gradient_is_that_of_the_exact_cost():
    regulator, policy = system(), some_policy()
    exact = _regulator_exact.exact_gradient(regulator, policy)
    by_autodiff = jax.grad(
        lambda policy: _regulator_exact.exact_cost(regulator, policy)
    )
    for left, right in zip(exact, by_autodiff(policy), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-10)


@pytest.mark.slow
def test_optimal_gains_have_no_gradient_and_tend_to_the_stationary_ones():
    regulator = system()
    gains = _regulator_exact.optimal_gains(regulator, num_steps=60)
    policy = Policy(gains, jnp.asarray([-0.5, 0.2]))
    slopes = _regulator_exact.exact_gradient(regulator, policy).gains
    others = _regulator_exact.exact_gradient(
        regulator, Policy(0.9 * gains, policy.log_std)
    )
    assert np.abs(slopes).max() < 1e-12 * np.abs(others.gains).max()
    transition, control, state_cost, action_cost, *_ = map(np.asarray, regulator)
    matrix = solve_discrete_are(transition, control, state_cost, action_cost)
    reached = control.T @ matrix
    stationary = -np.linalg.solve(action_cost + reached @ control, reached @ transition)
    np.testing.assert_allclose(gains[0], stationary, rtol=1e-10)
    value = _regulator_exact.value_function(regulator, policy).matrix
    np.testing.assert_allclose(value[0], matrix, rtol=1e-10)


def test_a_rollout_is_the_linear_map_of_its_noise_and_has_the_exact_cost():
    # A trajectory is linear in its noise and its cost quadratic: E J(e) is the sum of
    # the costs at the unit vectors, without sampling.
    regulator, policy = system(), some_policy()
    shapes = Noise((STATES,), (STEPS, ACTIONS), (STEPS, STATES))
    sizes = [int(np.prod(shape)) for shape in shapes]

    def total_cost(flat):
        parts = jnp.split(flat, np.cumsum(sizes)[:-1])
        noise = Noise(*map(jnp.reshape, parts, shapes))
        trajectory = _regulator.rollout(regulator, policy, noise)
        return jnp.sum(_regulator.costs(regulator, trajectory))

    at_units = jax.jit(jax.vmap(total_cost))(jnp.eye(sum(sizes)))
    exact = _regulator_exact.exact_cost(regulator, policy)
    np.testing.assert_allclose(at_units.sum(), exact, rtol=1e-12)


def test_moments_and_value_function_give_the_same_cost():
    regulator, policy = system(), some_policy()
    matrix, offset = _regulator_exact.value_function(regulator, policy)
    by_value = regulator.initial_std**2 @ jnp.diag(matrix[0]) + offset[0]
    by_moments = _regulator_exact.exact_cost(regulator, policy)
    np.testing.assert_allclose(by_value, by_moments, rtol=1e-12)
    assert offset[-1] == 0
    np.testing.assert_array_equal(matrix[-1], regulator.state_cost)
