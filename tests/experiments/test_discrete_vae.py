"""Tests of ``experiments.discrete_vae`` and the trainings behind it, at toy size."""

import dataclasses
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import reparam_jax as rj
from experiments import _data, _discrete_training, _runs, discrete_vae
from experiments._discrete_training import Config, make_estimators, make_train

NAMES = ("moving_average", "rebar")
TOY = Config(
    num_seeds=2,
    estimators=NAMES,
    latents=3,
    steps=4,
    eval_every=2,
    batch_size=8,
    test_samples=2,
    pairs=3,
    checkpoint_seconds=0.0,
)

FIELDS = ("seed", "estimator", "step", "train_bound", *discrete_vae.SCORES)


def toy(out: Path, **changes) -> Config:
    return dataclasses.replace(TOY, out=out, **changes)


def arguments(config: Config) -> list[str]:
    words = ["discrete_vae"]
    for name, value in dataclasses.asdict(config).items():
        if value != getattr(Config(), name):
            option = "estimator" if name == "estimators" else name.replace("_", "-")
            values = value if isinstance(value, tuple) else (value,)
            words += ["--" + option, *map(str, values)]
    return words


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run through `main`: its folder."""
    out = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments(toy(out)))
        discrete_vae.main()
    return out


@pytest.mark.slow
def test_log_has_every_seed_step_and_estimator_and_the_summary_the_last(finished):
    log = _runs.read_log(finished)
    order = [(row["seed"], row["step"], row["estimator"]) for row in log]
    assert order == [(s, t, name) for s in (0, 1) for t in (2, 4) for name in NAMES]
    assert all(tuple(row) == FIELDS for row in log)
    costs = {
        "rebar": {"evaluations": 3, "tuning": 3},
        "moving_average": {"evaluations": 2, "tuning": 0},
    }
    last = [row | costs[row["estimator"]] for row in log if row["step"] == 4]
    assert json.loads((finished / "summary.json").read_text()) == last


@pytest.mark.slow
def test_arrays_have_the_rows_in_their_places_and_the_figure_is_written(finished):
    arrays = discrete_vae.run(toy(finished))
    assert arrays["estimators"].tolist() == list(NAMES)
    assert arrays["seeds"].tolist() == [0, 1]
    assert arrays["steps"].tolist() == [2, 4]
    for row in _runs.read_log(finished):
        place = NAMES.index(row["estimator"]), row["seed"], row["step"] // 2 - 1
        for name in discrete_vae.SCORES:
            assert arrays[name][place] == row[name]
    assert (finished / "discrete_vae.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_all_start_alike_and_each_goes_its_own_way(finished):
    advance, states, count = _discrete_training.make_trainings(TOY)
    assert count == 4
    first = states["rebar"]["params"]
    for state in states.values():
        jax.tree.map(np.testing.assert_array_equal, state["params"], first)
    states, lines = advance(0, states)
    assert lines == _runs.read_log(finished)[:2]
    first, second, start = (
        np.asarray(params["encoder"]["kernel"][...])
        for params in (*(states[name]["params"] for name in NAMES), first)
    )
    assert not np.array_equal(first, start)
    assert not np.array_equal(second, start)
    assert not np.array_equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize("failing", [1, 3])
def test_interrupted_and_resumed_is_bit_for_bit_the_same(
    finished, tmp_path, monkeypatch, failing
):
    make_trainings = _discrete_training.make_trainings

    def make_failing_trainings(config):
        advance, state, count = make_trainings(config)

        def one(index, state):
            if index == failing:
                raise KeyboardInterrupt
            return advance(index, state)

        return one, state, count

    monkeypatch.setattr(discrete_vae, "make_trainings", make_failing_trainings)
    with pytest.raises(KeyboardInterrupt):
        discrete_vae.run(toy(tmp_path))
    monkeypatch.undo()
    assert len(_runs.read_log(tmp_path)) == 2 * failing
    discrete_vae.run(toy(tmp_path))
    for name in ("metrics.jsonl", "summary.json"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


@pytest.fixture(scope="module")
def small():
    """A model of 3 bits, an exact estimator, and some images."""
    config = dataclasses.replace(TOY, estimators=("enumerate",))
    graphdef, params = _discrete_training.make_model(config, 8, jax.random.key(0))
    images = jnp.asarray(_data.binarize("digits")[0].pixels[:20])
    return graphdef, params, make_estimators(config, 8)["enumerate"], images


@pytest.mark.slow
def test_a_step_climbs_the_gradient_of_the_mean_bound(small):
    graphdef, params, estimator, images = small
    train = make_train(graphdef, estimator, optax.sgd(0.1))
    state = {"params": params, "opt_state": optax.sgd(0.1).init(params), "own": {}}
    rows = np.array([[3, 1, 4], [1, 5, 9]])

    @jax.jit
    @jax.value_and_grad
    def mean_bound(params, images):
        vae = nnx.merge(graphdef, params)
        bounds = rj.elbo(
            jax.random.key(7),
            vae.log_likelihood,
            vae.guide(images),
            images,
            prior=vae.prior(),
            estimator=rj.Enumerate(),
        )
        return jnp.mean(bounds)

    expected, values = params, []
    for batch in rows:
        value, slope = mean_bound(expected, images[batch])
        values.append(float(value))
        expected = jax.tree.map(lambda a, b: a + 0.1 * b, expected, slope)
    state, bound = train(state, images, rows, jax.random.key(1))
    np.testing.assert_allclose(bound, np.mean(values), rtol=1e-5)
    for name in ("encoder", "decoder"):
        got, wanted, start = (
            np.asarray(tree[name]["kernel"][...])
            for tree in (state["params"], expected, params)
        )
        np.testing.assert_allclose(got - start, wanted - start, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_debug_stops_at_gradients_that_are_not_finite(small):
    graphdef, params, estimator, images = small
    state = {"params": params, "opt_state": optax.sgd(0.1).init(params), "own": {}}
    rows = np.array([[3, 1, 4]])
    bad = images.at[1].set(jnp.nan)
    trains = {
        debug: make_train(graphdef, estimator, optax.sgd(0.1), debug=debug)
        for debug in (False, True)
    }
    key = jax.random.key(1)
    bounds = {
        debug: train(state, images, rows, jax.random.clone(key))[1]
        for debug, train in trains.items()
    }
    np.testing.assert_allclose(bounds[True], bounds[False], rtol=1e-6)
    _, bound = trains[False](state, bad, rows, jax.random.clone(key))
    assert np.isnan(bound)
    with pytest.raises(AssertionError, match="assert_tree_all_finite"):
        trains[True](state, bad, rows, jax.random.clone(key))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"eval_every": 3}, "`--eval-every` must divide `--steps`, both at least 1"),
        ({"estimators": ("arm", "arm")}, "one name or more, each once: got arm arm"),
        ({"pairs": 1}, "`--pairs` of at least 2: got 1"),
        (
            {"estimators": ("enumerate",), "latents": 20},
            "20 variables of 2 values have 1.05e+06. Choose fewer `--latents`",
        ),
        (
            {"data": "fashion", "data_dir": Path("nowhere")},
            "apt-get install dataset-fashion-mnist",
        ),
    ],
)
def test_options_that_cannot_be_done_end_with_a_sentence(
    tmp_path, monkeypatch, changes, sentence
):
    config = toy(tmp_path / "out", **changes)
    monkeypatch.setattr(sys, "argv", arguments(config))
    with pytest.raises(SystemExit) as stop:
        discrete_vae.main()
    assert sentence in str(stop.value)
    assert not config.out.exists()


@pytest.mark.slow
def test_another_configuration_in_the_same_folder_ends_with_a_sentence(
    finished, monkeypatch
):
    log = (finished / "metrics.jsonl").read_bytes()
    monkeypatch.setattr(sys, "argv", arguments(toy(finished, evaluations=4)))
    with pytest.raises(SystemExit, match="evaluations was 2, is 4"):
        discrete_vae.main()
    assert (finished / "metrics.jsonl").read_bytes() == log


def some_arrays():
    rng = np.random.default_rng(0)
    scores = {name: rng.uniform(1, 2, (2, 3, 4)) for name in discrete_vae.SCORES}
    scores["elbo"][1, :, -1] = -19.0, -20.0, -21.0
    scores["common_variance"][:, :, -1] = (2.0, 4.0, 8.0), (4.0, 10.0, 24.0)
    return scores | {
        "estimators": np.array(["disarm", "rebar"]),
        "evaluations": np.array([2, 3]),
        "tuning": np.array([0, 3]),
        "seeds": np.arange(3),
        "steps": np.arange(1, 5) * 10,
    }


def test_tables_show_means_standard_errors_and_ratios():
    arrays = some_arrays()
    trained = [list(col.cells) for col in discrete_vae.make_table(arrays).columns]
    assert trained[0] == ["disarm", "rebar"]
    assert trained[1] == ["2", "3 + 3"]
    assert trained[2][1] == "-20.00 +- 0.58"
    noise = [
        list(col.cells) for col in discrete_vae.make_variance_table(arrays).columns
    ]
    assert noise[2] == ["4.67 +- 1.76", "12.67 +- 5.93"]
    assert noise[3] == ["1.00 +- 0.00", "2.50 +- 0.29"]
    assert noise[4] == ["1 1 1", "2 2.5 3"]
