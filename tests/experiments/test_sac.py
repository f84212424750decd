"""Tests of soft actor-critic, at toy size."""

import dataclasses
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import _pendulum, _runs, sac
from experiments._sac import Settings, SoftActorCritic

# A whole training for each process that tests run in.
pytestmark = pytest.mark.slow

SETTINGS = Settings(
    width=8,
    batch_size=16,
    learning_rate=1e-3,
    discount=0.9,
    target_rate=0.25,
    random_steps=6,
    steps_per_update=2,
    capacity=300,
)
TOY = sac.Config(
    num_seeds=2,
    steps=80,
    eval_every=20,
    steps_per_call=40,
    eval_episodes=2,
    test_episodes=3,
    width=8,
    batch_size=16,
    random_steps=10,
)


def toy(out, **changes):
    return dataclasses.replace(TOY, out=out, **changes)


@pytest.fixture(scope="module")
def learner():
    return SoftActorCritic(SETTINGS)


@pytest.fixture(scope="module")
def trained(learner):
    """An agent before and after 250 steps, an episode and a quarter."""

    @jax.jit
    def train(agent):
        return learner.train(agent, jnp.uint32(0), jax.random.key(1), num_steps=250)

    agent = jax.jit(learner.init)(jax.random.key(0))
    return agent, train(agent)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        words = ["--num-seeds", "2", "--steps", "80", "--eval-every", "20"]
        words += ["--steps-per-call", "40", "--eval-episodes", "2", "--width", "8"]
        words += ["--test-episodes", "3", "--batch-size", "16", "--random-steps", "10"]
        patch.setattr(sys, "argv", ["sac", "--out", str(out), *words])
        sac.main()
    return out


def test_the_buffer_holds_what_the_environment_did(trained):
    _, agent = trained
    observation, action, reward, next_observation = jax.tree.map(
        lambda column: column[:250], agent.buffer
    )
    angle = jnp.arctan2(observation[:, 1], observation[:, 0])
    state = _pendulum.State(angle, observation[:, 2])
    after, rewards = jax.vmap(_pendulum.step)(state, action)
    np.testing.assert_allclose(reward, rewards, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        next_observation, jax.vmap(_pendulum.observe)(after), rtol=1e-4, atol=1e-5
    )
    goes_on = np.all(np.isclose(next_observation[:-1], observation[1:]), 1)
    assert np.flatnonzero(~goes_on).tolist() == [_pendulum.EPISODE_STEPS - 1]
    assert not np.any(agent.buffer.reward[250:])


def test_first_actions_are_uniform_and_then_the_policys(learner, trained):
    start, _ = trained
    step = jax.jit(learner.interact)
    for index, is_uniform in ((5, True), (6, False)):
        key = jax.random.key(7)
        agent = step(start, jnp.uint32(index), key)
        act_key, random_key, _ = jax.random.split(jax.random.clone(key), 3)
        observation = _pendulum.observe(start.environment)
        policys, _ = learner.act(start.parameters.policy, observation, act_key)
        uniform = jax.random.uniform(random_key, (1,), minval=-1)
        expected = uniform if is_uniform else policys
        np.testing.assert_allclose(agent.buffer.action[index], expected, rtol=1e-5)


def by_hand(params, inputs):
    """The network, written out."""
    for name in ("hidden_1", "hidden_2", "readout"):
        layer = params[name]
        inputs = inputs @ layer["kernel"][...] + layer["bias"][...][None]
        if name != "readout":
            inputs = jnp.maximum(inputs, 0)
    return inputs


def test_gradients_of_the_loss_are_those_of_its_three_parts(learner, trained):
    _, agent = trained
    batch = jax.tree.map(lambda column: column[100:116], agent.buffer)
    key = jax.random.key(3)
    grads = jax.jit(jax.grad(learner.loss))(
        agent.parameters, agent.target_critics, batch, key
    )
    target_key, policy_key = jax.random.split(jax.random.clone(key))
    log_temperature = agent.parameters.log_temperature

    def draw(policy, observation, noise):
        mean, log_var = jnp.split(by_hand(policy, observation), 2, -1)
        std = jnp.exp(log_var / 2)
        before = mean + std * noise
        density = -(noise**2) / 2 - jnp.log(std * np.sqrt(2 * np.pi))
        density -= jnp.log(1 - jnp.tanh(before) ** 2)
        return jnp.tanh(before), density[:, 0]

    def values(critics, observation, action):
        inputs = jnp.concatenate([observation, action], -1)
        return jax.vmap(lambda critic: by_hand(critic, inputs)[:, 0])(critics)

    def policy_loss(policy):
        noise = jax.random.normal(policy_key, (16, 1))
        action, density = draw(policy, batch.observation, noise)
        value = values(agent.parameters.critics, batch.observation, action).min(0)
        return jnp.mean(jnp.exp(log_temperature) * density - value), density

    def critic_loss(critics):
        noise = jax.random.normal(target_key, (16, 1))
        policy = agent.parameters.policy
        action, density = draw(policy, batch.next_observation, noise)
        value = values(agent.target_critics, batch.next_observation, action).min(0)
        soft = value - jnp.exp(log_temperature) * density
        target = batch.reward + SETTINGS.discount * soft
        errors = values(critics, batch.observation, batch.action) - target[None]
        return jnp.sum(jnp.mean(errors**2, 1))

    with jax.debug_key_reuse(False):
        policy, density = jax.grad(policy_loss, has_aux=True)(agent.parameters.policy)
        critics = jax.grad(critic_loss)(agent.parameters.critics)
    for ours, theirs in ((grads.policy, policy), (grads.critics, critics)):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
            ours,
            theirs,
        )
    # Entropy below its aim of -1 raises the temperature, for the loss is minimised.
    np.testing.assert_allclose(grads.log_temperature, 1 - density.mean(), rtol=1e-3)


def test_an_update_moves_targets_slowly_and_draws_filled_rows_only(learner, trained):
    _, agent = trained
    nowhere = jax.tree.map(lambda column: column.at[250:].set(jnp.nan), agent.buffer)
    after = jax.jit(learner.update)(
        agent._replace(buffer=nowhere), jnp.uint32(250), jax.random.key(5)
    )
    rate = SETTINGS.target_rate
    jax.tree.map(
        lambda old, new, moved: np.testing.assert_allclose(
            moved, old + rate * (new - old), rtol=1e-5, atol=1e-6
        ),
        agent.target_critics,
        after.parameters.critics,
        after.target_critics,
    )
    moved = jax.tree.map(
        lambda a, b: bool((a != b).any()),
        *[jax.tree.map(jnp.asarray, each.parameters) for each in (agent, after)],
    )
    assert all(jax.tree.leaves(moved))


def test_returns_are_sums_of_rewards_of_whole_episodes(learner, trained):
    policy = trained[1].parameters.policy
    returns, angles = learner.rollouts(policy, jax.random.key(2), num_episodes=2)
    keys = jax.random.split(jax.random.key(2), 2)
    state, total = _pendulum.reset(keys[1]), 0.0
    for _ in range(_pendulum.EPISODE_STEPS):
        mean = by_hand(policy, _pendulum.observe(state)[None])[0, :1]
        state, reward = _pendulum.step(state, jnp.tanh(mean))
        total += float(reward)
    np.testing.assert_allclose(returns[1], total, rtol=1e-3)
    np.testing.assert_allclose(angles[1, -1], state.angle, rtol=1e-2)


def test_log_and_summary_have_a_row_for_every_seed(finished):
    log = _runs.read_log(finished)
    order = [(row["step"], row["seed"]) for row in log]
    assert order == [(step, seed) for step in (20, 40, 60, 80) for seed in (0, 1)]
    assert len({row["return"] for row in log}) == len(log)
    summary = json.loads((finished / "summary.json").read_text())
    assert [(row["seed"], row["episodes"]) for row in summary] == [(0, 3), (1, 3)]
    assert (finished / "sac.png").read_bytes().startswith(b"\x89PNG")


def test_one_call_of_all_steps_gives_the_log_of_several(finished, tmp_path):
    sac.run(toy(tmp_path, steps_per_call=None))
    for whole, part in zip(*map(_runs.read_log, (tmp_path, finished)), strict=True):
        np.testing.assert_allclose(whole.pop("return"), part.pop("return"), rtol=1e-4)
        assert whole == part


def test_interrupted_and_resumed_is_bit_for_bit_the_same(
    finished, tmp_path, monkeypatch
):
    repeat = _runs.repeat

    def stop_in_second_call(folder, advance, *arguments, **options):
        calls = iter(range(2))

        def advance_once(index, state):
            if next(calls) == 1:
                raise KeyboardInterrupt
            return advance(index, state)

        options["seconds_between_checkpoints"] = 0.0
        return repeat(folder, advance_once, *arguments, **options)

    monkeypatch.setattr(_runs, "repeat", stop_in_second_call)
    with pytest.raises(KeyboardInterrupt):
        sac.run(toy(tmp_path))
    monkeypatch.undo()
    assert len(_runs.read_log(tmp_path)) == 4
    sac.run(toy(tmp_path))
    for name in ("metrics.jsonl", "summary.json"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


def test_seeds_on_devices_of_their_own_learn_the_same(finished, tmp_path):
    arrays = sac.run(toy(tmp_path, devices=2))
    for split, together in zip(*map(_runs.read_log, (tmp_path, finished)), strict=True):
        np.testing.assert_allclose(split["return"], together["return"], rtol=1e-3)
    assert arrays["curve"].shape == (2, 4)


def test_options_that_do_not_divide_are_refused(tmp_path):
    for changes, sentence in (
        ({"steps_per_update": 3}, "`--steps-per-update` must divide `--eval-every`"),
        ({"eval_every": 30}, "`--eval-every` must divide `--steps-per-call`"),
        ({"steps_per_call": 60}, "`--steps-per-call` must divide `--steps`"),
        ({"steps_per_call": 0}, "got 20 and 0"),
        ({"devices": 3}, "`--devices` must divide `--num-seeds`"),
        ({"test_episodes": 1}, "`--test-episodes` must be at least 2: got 1"),
        ({"eval_episodes": 0}, "`--eval-episodes` must be at least 1: got 0"),
    ):
        with pytest.raises(_runs.OptionsError, match=sentence):
            sac.run(toy(tmp_path, **changes))
