"""Tests of ``experiments._cart_pole`` against Gymnasium."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from experiments import _cart_pole
from experiments._cart_pole import State

STEPS = 60


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_trajectories_are_those_of_gymnasium(seed):
    rng = np.random.default_rng(seed)
    start = rng.uniform(-1.0, 1.0, 4) * [2.0, 1.0, 0.15, 1.0]
    actions = rng.integers(0, 2, STEPS)
    environment = CartPoleEnv()
    environment.reset(seed=0)
    environment.state = start.copy()
    # Gymnasium warns of steps after the end; its equations go on.
    environment.steps_beyond_terminated = 1
    theirs, over = [], []
    for action in actions:
        _, _, terminated, _, _ = environment.step(int(action))
        theirs.append(environment.state)
        over.append(terminated)

    def advance(state, action):
        state = _cart_pole.step(state, action)
        return state, (_cart_pole.observe(state), _cart_pole.is_over(state))

    with jax.enable_x64(True):
        first = State(*map(jnp.asarray, start))
        _, (ours, ended) = jax.lax.scan(advance, first, jnp.asarray(actions))
    np.testing.assert_allclose(ours, np.stack(theirs), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(ended, over)
    assert 0 < sum(over) < STEPS


def test_limits_are_those_of_gymnasium():
    specification = gymnasium.spec("CartPole-v1")
    assert specification.max_episode_steps == _cart_pole.EPISODE_STEPS
    environment = CartPoleEnv()
    assert environment.theta_threshold_radians == _cart_pole.MAX_ANGLE
    assert environment.x_threshold == _cart_pole.MAX_POSITION


@pytest.mark.parametrize(
    ("name", "limit"), [("position", 2.4), ("angle", 12 / 180 * np.pi)]
)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_an_episode_ends_at_each_limit(name, limit, sign):
    zero = State(*jnp.zeros(4))
    for factor, expected in ((0.999, False), (1.001, True)):
        state = zero._replace(**{name: jnp.asarray(sign * factor * limit)})
        assert bool(_cart_pole.is_over(state)) is expected


def test_an_episode_starts_anywhere_near_upright():
    keys = jax.random.split(jax.random.key(0), 1000)
    states = np.asarray(jax.vmap(lambda key: jnp.stack(_cart_pole.reset(key)))(keys))
    assert states.shape == (1000, 4)
    assert np.abs(states).max() < 0.05
    # Of uniform draws: a standard deviation of 0.1 / sqrt(12), 5 standard errors.
    deviations = states.std(0) / (0.1 / np.sqrt(12))
    assert np.abs(deviations - 1).max() < 5 * np.sqrt((9 / 5 - 1) / 4 / 1000)
    correlation = np.corrcoef(states.T) - np.eye(4)
    assert np.abs(correlation).max() < 5 / np.sqrt(1000)
