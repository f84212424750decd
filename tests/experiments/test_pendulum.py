"""The pendulum, beside Gymnasium's."""

import gymnasium
import jax
import numpy as np
import pytest

from experiments import _pendulum

STARTS = [(3.0, -0.5), (-0.2, 7.9), (0.01, 0.0), (np.pi, 1.0), (-9.0, -7.5)]


def play(state, actions):
    def advance(state, action):
        state, reward = _pendulum.step(state, action)
        return state, (_pendulum.observe(state), reward)

    return jax.lax.scan(advance, state, actions)[1]


@pytest.fixture(scope="module")
def episodes():
    """Ours and Gymnasium's, at torques of which some are out of range."""
    environment = gymnasium.make("Pendulum-v1").unwrapped
    shape = len(STARTS), _pendulum.EPISODE_STEPS, 1
    actions = np.random.default_rng(0).uniform(-1.3, 1.3, shape)
    theirs = []
    for start, torques in zip(STARTS, _pendulum.MAX_TORQUE * actions, strict=True):
        environment.reset(seed=0)
        environment.state = np.array(start)
        theirs.append([environment.step(torque)[:2] for torque in torques])
    with jax.enable_x64(True):
        states = _pendulum.State(*np.array(STARTS).T)
        ours = jax.vmap(play)(states, actions)
    return map(np.asarray, ours), theirs


def test_observations_and_rewards_are_gymnasiums(episodes):
    (observations, rewards), theirs = episodes
    expected = np.array([[row[0] for row in episode] for episode in theirs])
    # Gymnasium rounds observations to float32.
    np.testing.assert_allclose(observations, expected, rtol=2e-6, atol=1e-7)
    expected = [[row[1] for row in episode] for episode in theirs]
    np.testing.assert_allclose(rewards, expected, rtol=1e-9)
    assert np.abs(observations[..., 2]).max() == _pendulum.MAX_SPEED


def test_episodes_start_anywhere():
    keys = jax.random.split(jax.random.key(0), 4000)
    angle, velocity = jax.vmap(_pendulum.reset)(keys)
    for values, end in ((angle, np.pi), (velocity, 1.0)):
        ranks = np.sort(np.asarray(values)) / end / 2 + 0.5
        assert ranks[0] >= 0
        assert ranks[-1] < 1
        # The distribution-free bound on the largest gap to the law, at 1e-6.
        gap = np.abs(ranks - np.linspace(0, 1, len(ranks))).max()
        assert gap < np.sqrt(np.log(2 / 1e-6) / 2 / len(ranks))
    assert abs(np.corrcoef(angle, velocity)[0, 1]) < 5 / np.sqrt(len(keys))
