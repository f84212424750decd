"""Tests of ``experiments.policy_gradients`` and what it is made of, at toy size."""

import dataclasses
import io
import json
import sys
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from experiments import (
    _cart_pole_player,
    _devices,
    _policy_bias,
    _policy_cart_pole,
    _policy_regulator,
    _policy_report,
    _policy_score,
    _policy_training,
    _runs,
    policy_gradients,
)
from experiments._policy_cart_pole import Learner, Settings
from experiments.policy_gradients import Config

TOY = Config(
    num_seeds=2,
    smallest_bias=0.3,
    estimates=128,
    steps=60,
    eval_every=30,
    eval_episodes=2,
    probe_steps=30,
    probes=4,
    episodes=2,
    restarts=2,
    width=4,
    critic_updates=2,
    batch_size=8,
)

REGULATOR_ARMS = ("pathwise, whole trajectory", "SVG(1), value without products")
CART_POLE_ARMS = ("leave-one-out over episodes", "Enumerate")
SHORT = 25


def test_costs_to_go_are_discounted_sums_of_what_follows():
    costs = np.array([[1.0, 0.0], [2.0, 4.0], [8.0, 0.0]])
    np.testing.assert_array_equal(
        _policy_score.costs_to_go(jnp.asarray(costs), discount=0.5),
        [[1 + 1 + 2, 2], [2 + 4, 4], [8, 0]],
    )


def test_the_baseline_of_each_is_the_mean_of_the_others():
    values = jnp.array([[1.0, 2.0], [3.0, 0.0], [8.0, 7.0]])
    np.testing.assert_allclose(
        _policy_score.mean_of_others(values), [[5.5, 3.5], [4.5, 4.5], [2, 1]]
    )


def test_moments_of_batches_are_those_of_all():
    rng = np.random.default_rng(0)
    estimates = rng.normal(3.0, 2.0, (2, 30, 4))
    zeros = np.zeros((2, 4))
    moments = _policy_bias.Moments(np.zeros(()), zeros, zeros)
    for batch in (estimates[:, :10], estimates[:, 10:]):
        squares = ((batch - batch.mean(1, keepdims=True)) ** 2).sum(1)
        moments = _policy_bias.add(moments, batch.mean(1), squares, batch.shape[1])
    np.testing.assert_allclose(moments.mean, estimates.mean(1), rtol=1e-12)
    np.testing.assert_allclose(moments.squares, 29 * estimates.var(1, ddof=1))
    mean, error = _policy_bias.pool(moments)
    np.testing.assert_allclose(mean, estimates.mean((0, 1)), rtol=1e-12)
    var = estimates.var(1, ddof=1).mean(0)
    np.testing.assert_allclose(error, np.sqrt(var / 60), rtol=1e-12)


def test_enough_estimates_see_a_bias_of_the_declared_size():
    # A relative length of variance 4 and a bias of 5 %: (4 + 3.09)^2 4 / 0.05^2.
    size = len(_policy_bias.PARTS)
    mean, squares = np.zeros((1, size)), np.array([[1.0, 4.0]]) * 99
    pilot = _policy_bias.Moments(np.asarray(100), mean, squares)
    needed = 1.3 * (4 + 3.09) ** 2 * 4 / 0.05**2
    count = _policy_bias.count_estimates(pilot, smallest_bias=0.05)
    assert count == pytest.approx(needed, abs=1)


def test_options_that_do_not_divide_are_refused(tmp_path):
    for changes, sentence in (
        ({"eval_every": 40}, "`--eval-every` must divide `--steps`"),
        ({"devices": 3}, "`--devices` must divide `--num-seeds`"),
        ({"episodes": 1}, "`--episodes` must be at least 2: got 1"),
        ({"probes": 1}, "`--probes` must be at least 2"),
        ({"estimates": 1}, "`--estimates` must be at least 2"),
        ({"discount": 1.0}, r"`--discount` in \[0, 1\): got 0.3 and 1.0"),
        ({"smallest_bias": 0.0}, "`--smallest-bias` must be above 0"),
    ):
        config = dataclasses.replace(TOY, out=tmp_path, **changes)
        with pytest.raises(_runs.OptionsError, match=sentence):
            policy_gradients.run(config)


@pytest.mark.slow
@pytest.mark.parametrize("name", _policy_regulator.ARMS)
def test_only_the_wrong_critic_is_biased(name):
    arm = _policy_regulator.ARMS[name]
    size = 16_384
    measure = jax.jit(_policy_bias.make_measure(arm, size))
    moments, needed, index = _policy_bias.no_moments(1), size, 0
    while moments.count < needed:
        mean, squares = measure(0, np.uint32(index))
        moments = _policy_bias.add(moments, mean[None], squares[None], size)
        needed = _policy_bias.count_estimates(moments, smallest_bias=0.2)
        index += 1
    found = _policy_bias.judge(name, moments)
    assert found["smallest_bias"] <= 0.2
    if arm.is_biased:
        assert min(np.abs(found["bias"]) / found["bias_error"]) > 10
    else:
        # 4 standard errors for each of the 21 elements and 2 lengths.
        assert found["worst_z"] <= _policy_bias.NUM_ERRORS


@pytest.mark.slow
def test_a_bias_leaves_less_of_the_error_or_nothing():
    """SVG(1) with the wrong critic, as if it were biased by 6 % and by 20 %."""
    name = "SVG(1), value without products"
    exact = _policy_bias.exact_numbers()
    bias = np.zeros_like(exact)
    bias[-2:] = 0.06, 0.2
    ones = np.ones((3, len(exact)))
    moments = _policy_bias.Moments(np.float64(11), ones * (exact + bias), 10 * ones)
    found = _policy_bias.judge(name, moments)
    gains, log_std = found["steps_for_ten_percent"]
    expected = 10 * np.array(found["relative_var"][0]) / (0.01 - 0.06**2)
    np.testing.assert_allclose(gains, expected, rtol=1e-6)
    assert log_std == [None] * 3


def test_no_table_is_wider_than_a_terminal():
    count, seeds = len(_policy_regulator.ARMS), np.arange(5.0)
    arrays = {
        "bias": np.full((count, 2), -0.682),
        "smallest_bias": np.full(count, 0.047),
        "worst_z": np.full(count, 165.3),
        "steps_for_ten_percent": np.full((count, 2, 5), 1_806_179.0),
    }
    arrays["steps_for_ten_percent"][2] = np.nan
    count = len(_policy_cart_pole.ARMS)
    arrays |= {
        "curves": np.full((count, 5, 20), 500.0) + 9 * seeds[:, None],
        "steps": 3000 * np.arange(1, 21),
        "probe_var": np.full((count, 5), 40_534.0) + 9e3 * seeds,
    }
    console = Console(width=80, file=io.StringIO())
    console.print(_policy_report.make_regulator_table(arrays))
    console.print(_policy_report.make_cart_pole_table(arrays))
    printed = console.file.getvalue()
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.count("1,806,179") == 2 * (len(_policy_regulator.ARMS) - 1)
    assert printed.count("never") == 2
    assert printed.count("(biased)") == 6


@pytest.mark.slow
def test_a_policy_is_looked_at_as_it_was_before_the_steps_ran_out(few):
    settings = Settings(
        width=4,
        num_episodes=2,
        learning_rate=1e-2,
        critic_learning_rate=1e-2,
        critic_updates=1,
        batch_size=4,
        discount=0.99,
        num_restarts=2,
    )
    learner = Learner(_policy_cart_pole.Arm("whole"), settings)

    @jax.jit
    def train(agent, until):
        return learner.train(agent, jax.random.key(0), until=until)

    start = learner.init(jax.random.key(1))
    once = train(start, 1)
    assert once.updates == 1
    chex.assert_trees_all_equal(once.policy_before, start.policy)
    twice = train(start, once.environment_steps + 1)
    assert twice.updates == 2
    chex.assert_trees_all_equal(twice.policy_before, once.policy)
    # The curve too: with a rate of 100 the policy after the update always pushes to
    # one side, and the cart is soon lost.
    training = _policy_training.Training(
        _devices.make_mesh(1),
        np.arange(1),
        dataclasses.replace(settings, learning_rate=100.0),
        steps=1,
        eval_every=1,
        eval_episodes=64,
        probe_steps=1,
        probes=2,
    )
    name = "leave-one-out over episodes"
    learner = training.arms[name]
    train = training._program(name, "train")
    agents, returns = train(training.start, jnp.arange(1), np.int32(1))
    assert agents.updates == 1
    key = jax.random.fold_in(jax.random.split(jax.random.key(0), 4)[2], 1)

    @jax.jit
    def play(policy):
        policy = jax.tree.map(lambda leaf: leaf[0], policy)
        episodes = learner.player.collect(
            policy, jax.random.clone(key), num_episodes=64
        )
        return jnp.mean(jnp.sum(episodes.is_on, 0))

    np.testing.assert_allclose(returns, play(training.start.policy), rtol=1e-6)
    assert play(agents.policy) < 0.8 * returns


def arms(module, names):
    return {name: module.ARMS[name] for name in names}


@pytest.fixture(scope="module")
def few():
    """Two estimators on either task, and episodes that are soon over."""
    with pytest.MonkeyPatch.context() as patch:
        regulator = arms(_policy_regulator, REGULATOR_ARMS)
        patch.setattr(_policy_regulator, "ARMS", regulator)
        patch.setattr(_policy_bias, "ARMS", regulator)
        cart_pole = arms(_policy_cart_pole, CART_POLE_ARMS)
        for module in (_policy_cart_pole, _policy_training):
            patch.setattr(module, "ARMS", cart_pole)
        for module in (_cart_pole_player, _policy_cart_pole):
            patch.setattr(module, "EPISODE_STEPS", SHORT)
        yield


def arguments(config: Config) -> list[str]:
    words = ["policy_gradients"]
    for name, value in dataclasses.asdict(config).items():
        if value != getattr(Config(), name):
            words += ["--" + name.replace("_", "-"), str(value)]
    return words


@pytest.fixture(scope="module")
def finished(few, tmp_path_factory):
    """A whole run through `main`: its folder."""
    out = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments(dataclasses.replace(TOY, out=out)))
        policy_gradients.main()
    return out


@pytest.mark.slow
def test_summary_has_a_row_for_each_estimator_and_the_figure_is_written(finished):
    summary = json.loads((finished / "summary.json").read_text())
    names = tuple(row["estimator"] for row in summary["regulator"])
    assert names == REGULATOR_ARMS
    good, bad = summary["regulator"]
    assert good["worst_z"] < _policy_bias.NUM_ERRORS < bad["worst_z"]
    assert max(row["smallest_bias"] for row in (good, bad)) <= TOY.smallest_bias
    names = tuple(row["estimator"] for row in summary["cart_pole"])
    assert names == CART_POLE_ARMS
    for row in summary["cart_pole"]:
        curve = np.array(row["curve"])
        assert curve.shape == (TOY.num_seeds, TOY.steps // TOY.eval_every)
        np.testing.assert_array_equal(row["last_return"], curve[:, -1])
        # From upright, nothing falls within 7 steps.
        assert curve.min() > 7
        assert curve.max() <= SHORT
    assert (finished / "policy_gradients.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_interrupted_and_resumed_on_two_devices_it_says_the_same(
    finished, tmp_path: Path, monkeypatch
):
    config = dataclasses.replace(TOY, out=tmp_path, devices=2)
    advance = _policy_training.Training.advance
    calls = iter(range(9))

    def fail_in_the_middle(self, index, agents):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return advance(self, index, agents)

    monkeypatch.setattr(_policy_training.Training, "advance", fail_in_the_middle)
    with pytest.raises(KeyboardInterrupt):
        policy_gradients.run(config)
    monkeypatch.undo()
    before = len(_runs.read_log(tmp_path))
    policy_gradients.run(config)
    log = _runs.read_log(tmp_path)
    assert 0 < before < len(log)
    for mine, theirs in zip(log, _runs.read_log(finished), strict=True):
        assert jax.tree.structure(mine) == jax.tree.structure(theirs)
        for one, other in zip(
            jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True
        ):
            if isinstance(one, str):
                assert one == other
            else:
                np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-5)


@pytest.mark.slow
def test_without_a_critic_all_estimate_one_gradient_and_count_their_steps(few):
    settings = Settings(
        width=4,
        num_episodes=4,
        learning_rate=1e-2,
        critic_learning_rate=1e-2,
        critic_updates=1,
        batch_size=4,
        discount=0.99,
        num_restarts=8,
    )
    learners = {
        credit: Learner(arm, settings)
        for credit, arm in {
            "whole": _policy_cart_pole.Arm("whole"),
            "others": _policy_cart_pole.Arm("others"),
            "restart": _policy_cart_pole.Arm(
                "restart", _policy_cart_pole.ARMS["Enumerate"].estimator
            ),
            "step": _policy_cart_pole.ARMS["Enumerate"],
        }.items()
    }
    agent = learners["whole"].init(jax.random.key(0))
    # Else most carts balance until the short time is up, and there is no gradient.
    agent = agent._replace(policy=jax.tree.map(lambda leaf: 4 * leaf, agent.policy))

    @jax.jit
    def estimates(keys):
        def estimate(key):
            play_key, *rest = jax.random.split(key, 1 + len(learners))
            episodes = learners["whole"].player.collect(
                agent.policy, play_key, num_episodes=settings.num_episodes
            )
            found = {}
            for (credit, learner), one in zip(learners.items(), rest, strict=True):
                grads, steps = learner.gradient(agent, episodes, one)
                flat = [leaf.ravel() for leaf in jax.tree.leaves(grads)]
                found[credit] = jnp.concatenate(flat), steps
            return found, jnp.sum(episodes.is_on)

        return jax.vmap(estimate)(keys)

    found, played = estimates(jax.random.split(jax.random.key(1), 12_000))
    np.testing.assert_array_equal(found["whole"][1], played)
    np.testing.assert_array_equal(found["others"][1], played)
    np.testing.assert_array_equal(found["step"][1], 2 * played)
    restarted = np.asarray(found["restart"][1] - played)
    assert restarted.min() >= settings.num_restarts
    assert restarted.max() <= settings.num_restarts * (2 * SHORT - 1)
    # From the last step of an episode: one more, of the action that was not taken.
    episodes = learners["restart"].player.collect(
        agent.policy, jax.random.key(2), num_episodes=settings.num_episodes
    )
    is_last = jnp.arange(SHORT) == SHORT - 1
    is_on = jnp.broadcast_to(is_last[:, None], episodes.is_on.shape)
    _, steps = learners["restart"].gradient(
        agent, episodes._replace(is_on=is_on), jax.random.key(3)
    )
    assert steps == settings.num_episodes + settings.num_restarts
    # Along the direction of one half of the steadiest, the other half and the rest.
    grads = {credit: np.asarray(of[0], np.float64) for credit, of in found.items()}
    direction = grads["restart"][:6000].mean(0)
    direction /= np.linalg.norm(direction)
    lengths = {
        credit: grads[credit][6000:] @ direction
        for credit in ("whole", "others", "restart")
    }
    mean = {credit: each.mean() for credit, each in lengths.items()}
    error = {credit: each.std() / np.sqrt(6000) for credit, each in lengths.items()}
    for credit in ("whole", "others"):
        both = np.hypot(error[credit], error["restart"])
        assert abs(mean[credit] - mean["restart"]) < 4 * both
        # So that a gradient half as long again would be seen.
        assert both * 7.09 < 0.5 * abs(mean["restart"])
    assert error["restart"] < error["others"] < error["whole"]
