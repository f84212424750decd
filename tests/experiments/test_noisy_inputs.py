"""Tests of ``experiments.noisy_inputs`` and the trainings behind it, at toy size."""

import dataclasses
import json
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from experiments import _devices, _noisy_training, _runs, noisy_inputs
from experiments._bottleneck import (
    AFTER,
    ARMS,
    BEFORE,
    make_gradient_norms,
    make_predict,
    make_step,
)
from experiments._noisy_training import Config

# A whole training for each process that tests run in.
pytestmark = pytest.mark.slow

TOY = Config(
    num_seeds=1,
    user_size=12,
    steps=4,
    eval_every=2,
    batch_size=32,
    betas=(0.0, 0.1),
    width=4,
    latents=3,
    num_draws=2,
    checkpoint_seconds=0.0,
)


def toy(out: Path, **changes) -> Config:
    return dataclasses.replace(TOY, out=out, **changes)


def arguments(config: Config) -> list[str]:
    words = ["noisy_inputs"]
    for name, value in dataclasses.asdict(config).items():
        if value != getattr(Config(), name):
            values = value if isinstance(value, tuple) else (value,)
            words += ["--" + name.replace("_", "-"), *map(str, values)]
    return words


def kernel(params, name):
    return np.asarray(params[name]["kernel"][...])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run through `main`: its folder and what it printed."""
    out = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments(toy(out)))
        noisy_inputs.main()
    return out


@pytest.fixture(scope="module")
def setting():
    return _noisy_training.make_setting(TOY, 0, _devices.make_mesh(1))


def test_summary_has_one_row_for_each_arm_and_seed(finished):
    summary = json.loads((finished / "summary.json").read_text())
    assert [(row["arm"], row["seed"]) for row in summary] == [(a, 0) for a in ARMS]
    trials = [row for row in _runs.read_log(finished) if "nll" in row]
    for row in summary:
        assert list(row) == ["arm", "seed", "accuracy", "nll", "ece", "grad_norm"]
        mine = [trial for trial in trials if trial["arm"] == row["arm"]]
        best = min(mine, key=lambda trial: trial["validation_nll"])
        assert row == {name: best[name] for name in row}


def test_log_has_every_interval_and_the_kept_weights_validate_best(finished):
    log = _runs.read_log(finished)
    intervals = [row for row in log if "cross_entropy" in row]
    trials = [row for row in log if "nll" in row]
    order = [(row["arm"], row["beta"], row["step"]) for row in intervals]
    assert order == [(a, b, step) for a in ARMS for b in TOY.betas for step in (2, 4)]
    for trial in trials:
        mine = {
            row["step"]: row["validation_nll"]
            for row in intervals
            if (row["arm"], row["beta"]) == (trial["arm"], trial["beta"])
        }
        assert trial["validation_nll"] == min(mine.values()) == mine[trial["step"]]


def test_gradients_reach_what_the_arm_lets_them_reach(finished):
    reached = {
        row["arm"]: [norm > 0 for norm in row["grad_norms"]]
        for row in _runs.read_log(finished)
        if "nll" in row
    }
    assert reached == {
        "sample": [True] * (len(BEFORE) + len(AFTER)),
        "mean": [name != "var" for name in BEFORE + AFTER],
        "cut": [False] * len(BEFORE) + [True] * len(AFTER),
    }


def test_figure_and_first_part_are_written(finished):
    assert (finished / "noisy_inputs.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads((finished / "user_network.json").read_text())
    assert {name: tensor["shape"] for name, tensor in report.items()} == {
        "output": [1, 12, 12, 32],
        "mean": [1, 12, 12, 16],
        "var": [1, 12, 12, 16],
        "kernel": [3, 3, 16, 32],
    }
    assert min(tensor["norm"] for tensor in report.values()) > 1e-3


def test_interrupted_and_resumed_is_bit_for_bit_the_same(
    finished, tmp_path, monkeypatch
):
    scored = iter(range(9))

    def fail_at_the_end(log_probs, labels):
        if next(scored) == 8:
            raise KeyboardInterrupt
        return scores(log_probs, labels)

    scores = _noisy_training.classification_scores
    monkeypatch.setattr(_noisy_training, "classification_scores", fail_at_the_end)
    with pytest.raises(KeyboardInterrupt):
        noisy_inputs.run(toy(tmp_path))
    monkeypatch.undo()
    before = len(_runs.read_log(tmp_path))
    noisy_inputs.run(toy(tmp_path))
    assert 0 < before < len(_runs.read_log(tmp_path))
    for name in ("metrics.jsonl", "summary.json", "user_network.json"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


def test_eight_devices_give_the_losses_of_one(finished):
    config = dataclasses.replace(TOY, devices=8)
    advance, state, _ = _noisy_training.make_trainings(config, _devices.make_mesh(8))
    losses = ("cross_entropy", "kl", "validation_nll")
    for index, one in zip(range(2), _runs.read_log(finished), strict=False):
        state, (eight, *_) = advance(index, state)
        for name in losses:
            np.testing.assert_allclose(eight[name], one[name], rtol=1e-5)
    assert len(state["params"]["encoder_1"]["kernel"][...].sharding.device_set) == 8


def test_predictions_of_eight_devices_are_on_each_and_those_of_one(setting):
    predicted = []
    for mesh in map(_devices.make_mesh, (1, 8)):
        predict = make_predict(
            setting.graphdef, deterministic=True, num_draws=1, mesh=mesh
        )
        params = _devices.replicate(mesh, setting.params)
        batch = _devices.feed(mesh, setting.measured.validation, np.arange(16))
        predicted.append(predict(params, batch, jax.random.key(0)))
    one, eight = predicted
    assert eight.sharding.is_fully_replicated
    assert len(eight.sharding.device_set) == 8
    np.testing.assert_allclose(eight, one, rtol=1e-5)


def test_another_configuration_in_the_same_folder_ends_with_a_sentence(
    finished, monkeypatch
):
    log = (finished / "metrics.jsonl").read_bytes()
    monkeypatch.setattr(sys, "argv", arguments(toy(finished, seed=1)))
    with pytest.raises(SystemExit, match="holds another run: seed was 0, is 1"):
        noisy_inputs.main()
    assert (finished / "metrics.jsonl").read_bytes() == log


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"eval_every": 3}, "`--eval-every` must divide `--steps`"),
        ({"batch_size": 9, "devices": 2}, "`--devices` must divide `--batch-size`"),
    ],
)
def test_options_that_do_not_divide_are_refused(tmp_path, changes, sentence):
    with pytest.raises(_runs.OptionsError, match=sentence):
        noisy_inputs.run(toy(tmp_path, **changes))


def test_half_a_place_among_processes_ends_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", arguments(toy(tmp_path, process_id=0)))
    with pytest.raises(SystemExit, match=r"`--coordinator HOST:PORT`, .* go together"):
        noisy_inputs.main()


def test_a_minibatch_has_any_rows_and_depends_on_seed_and_index_only():
    rows = _noisy_training._minibatch(1, 2, 5, 200)
    assert set(rows) == set(range(5))
    assert rows.tolist() == _noisy_training._minibatch(1, 2, 5, 200).tolist()
    assert rows.tolist() != _noisy_training._minibatch(0, 2, 5, 200).tolist()
    assert rows.tolist() != _noisy_training._minibatch(1, 0, 5, 200).tolist()


def test_missing_data_end_with_a_sentence(tmp_path, monkeypatch):
    config = toy(tmp_path / "out", data="fashion", data_dir=tmp_path / "no")
    monkeypatch.setattr(sys, "argv", arguments(config))
    with pytest.raises(SystemExit, match="apt-get install dataset-fashion-mnist"):
        noisy_inputs.main()


def test_choose_goes_by_the_validation_split_over_all_seeds():
    def row(arm, seed, beta, validation_nll):
        return {
            "arm": arm,
            "seed": seed,
            "beta": beta,
            "validation_nll": validation_nll,
            "nll": -validation_nll,
        }

    # beta 0 is better on one seed, beta 1 on average; for the other arms beta 0 is.
    good = [row("sample", 0, 1.0, 2.0), row("sample", 1, 1.0, 2.0)]
    bad = [row("sample", 0, 0.0, 1.9), row("sample", 1, 0.0, 3.0)]
    others = [row(arm, 0, 0.0, 1.0) for arm in ARMS[1:]]
    worse = [row(arm, 0, 1.0, 1.1) for arm in ARMS[1:]]
    assert noisy_inputs.choose(bad + good + worse + others) == good + others


def test_the_probe_agrees_with_the_gradient_of_the_whole(setting):
    train = setting.measured.train
    probe = make_gradient_norms(setting.graphdef, arm="sample")
    norms = probe(setting.params, train, jax.random.key(3))

    def cross_entropy(params):
        network = nnx.merge(setting.graphdef, params)
        mean, var = network.encode(train)
        noise = jax.random.normal(jax.random.key(3), mean.shape)
        logits = network.decode(mean + jax.numpy.sqrt(var) * noise)
        log_probs = jax.nn.log_softmax(logits)
        return -(log_probs * jax.nn.one_hot(train.labels, 10)).sum(-1).mean()

    grads = jax.jit(jax.grad(cross_entropy))(setting.params)
    for name in ("encoder_1", "encoder_2", *AFTER):
        whole = np.linalg.norm(kernel(grads, name))
        np.testing.assert_allclose(norms[name], whole, rtol=1e-4)


@pytest.mark.parametrize("arm", ["sample", "cut"])
def test_one_step_trains_the_encoder_unless_cut(setting, arm):
    step = make_step(
        setting.graphdef,
        learning_rate=TOY.learning_rate,
        arm=arm,
        mesh=_devices.make_mesh(1),
        debug=False,
    )
    state = optax.adam(TOY.learning_rate).init(setting.params)
    train = setting.measured.train
    params, _, _ = step(
        setting.params, state, train, setting.step_key, np.uint32(0), np.float32(0)
    )
    moved = {
        name: bool((kernel(params, name) != kernel(setting.params, name)).any())
        for name in ("encoder_1", "encoder_2", *AFTER)
    }
    before = arm == "sample"
    assert moved == {name: name in AFTER or before for name in moved}


def test_debug_stops_at_gradients_that_are_not_finite(setting):
    steps = {
        debug: make_step(
            setting.graphdef,
            learning_rate=TOY.learning_rate,
            arm="mean",
            mesh=_devices.make_mesh(1),
            debug=debug,
        )
        for debug in (False, True)
    }
    state = optax.adam(TOY.learning_rate).init(setting.params)

    def first_step(debug, beta):
        arguments = (setting.measured.train, setting.step_key, np.uint32(0))
        return steps[debug](setting.params, state, *arguments, np.float32(beta))

    checked, unchecked = first_step(True, 0.1), first_step(False, 0.1)
    np.testing.assert_allclose(
        checked[2]["cross_entropy"], unchecked[2]["cross_entropy"], rtol=1e-6
    )
    params, _, _ = first_step(False, np.nan)
    assert np.isnan(kernel(params, "encoder_1")).all()
    with pytest.raises(AssertionError, match="assert_tree_all_finite"):
        first_step(True, np.nan)
