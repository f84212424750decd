"""Tests of ``experiments.topic_model`` and the trainings behind it, at toy size."""

import dataclasses
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import reparam_jax as rj
from experiments import _runs, _topic_corpus, _topic_training, topic_model
from experiments._topic_law import ARMS, JaxDirichlet, TopicModel
from experiments._topic_training import Config

# A whole training for each process that tests run in.
pytestmark = pytest.mark.slow

TOY = Config(
    num_seeds=1,
    topics=4,
    concentrations=(0.5, 0.0005),
    documents=60,
    held_out=15,
    words=6,
    width=4,
    steps=4,
    log_every=2,
    batch_size=8,
    num_draws=8,
    gradient_draws=20,
    checkpoint_seconds=0.0,
)


def toy(out: Path, **changes) -> Config:
    return dataclasses.replace(TOY, out=out, **changes)


def arguments(config: Config) -> list[str]:
    words = ["topic_model"]
    for name, value in dataclasses.asdict(config).items():
        if value != getattr(Config(), name):
            values = value if isinstance(value, tuple) else (value,)
            words += ["--" + name.replace("_", "-"), *map(str, values)]
    return words


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run through `main`: its folder and what it printed."""
    out = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments(toy(out)))
        topic_model.main()
    return out


@pytest.fixture(scope="module")
def docs(tmp_path_factory):
    """A run on texts, both arms with the draws of this library."""
    counts = np.random.default_rng(0).poisson(1.0, (75, 4)).astype(np.float32)
    counts[:, 0] += 1
    words = ["file", "folder", "mean", "matrix"]
    config = toy(tmp_path_factory.mktemp("docs"), corpus="docs", num_seeds=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_topic_corpus, "read_docstrings", lambda _: (counts, words))
        patch.setitem(_topic_training.ESTIMATORS, "jax", rj.Pathwise())
        return config.out, topic_model.run(config)


def test_log_has_every_interval_of_every_trial(finished):
    order = [
        (row["concentration"], row["arm"], row["step"])
        for row in _runs.read_log(finished)
    ]
    assert order == [
        (concentration, arm, step)
        for concentration in TOY.concentrations
        for arm in ARMS
        for step in (2, 4)
    ]


def test_summary_has_the_last_scores_and_the_references(finished):
    log = _runs.read_log(finished)
    last = {
        (row["arm"], row["concentration"], row["seed"]): row
        for row in log
        if row["step"] == 4
    }
    summary = json.loads((finished / "summary.json").read_text())
    assert len(summary) == 4
    for row in summary:
        line = last[row["arm"], row["concentration"], row["seed"]]
        for name in ("perplexity", "bound_perplexity", "total_variation"):
            assert row[name] == line[name]
        # Four words, each as likely as the others.
        assert 3.5 < row["unigram_perplexity"] < 4.5
        if row["concentration"] == 0.0005:
            # One of four bars; each holds a word with 0.99 / 2 + 0.01 / 4.
            expected = 4 ** (1 / TOY.words) / 0.4975
            np.testing.assert_allclose(row["true_perplexity"], expected, rtol=0.05)
    assert [row["true_perplexity"] for row in summary if row["arm"] == "ours"] == [
        row["true_perplexity"] for row in summary if row["arm"] == "jax"
    ]


def test_the_guide_starts_at_the_prior_or_where_it_is_told(finished, tmp_path):
    totals = {
        row["concentration"]: row["total_concentration"]
        for row in _runs.read_log(finished)
        if row["step"] == 2
    }
    for concentration in TOY.concentrations:
        np.testing.assert_allclose(totals[concentration], 4 * concentration, rtol=0.2)
    wide = toy(tmp_path, concentrations=(0.0005,), first_concentration=0.5)
    topic_model.run(wide)
    total = _runs.read_log(tmp_path)[0]["total_concentration"]
    np.testing.assert_allclose(total, 4 * 0.5, rtol=0.2)


def test_interrupted_and_resumed_is_bit_for_bit_the_same(
    finished, tmp_path, monkeypatch
):
    scored = iter(range(4))

    def fail_in_the_middle(topics, truth):
        if next(scored) == 2:
            raise KeyboardInterrupt
        return match(topics, truth)

    match = _topic_training.match
    monkeypatch.setattr(_topic_training, "match", fail_in_the_middle)
    with pytest.raises(KeyboardInterrupt):
        topic_model.run(toy(tmp_path))
    monkeypatch.undo()
    before = len(_runs.read_log(tmp_path))
    topic_model.run(toy(tmp_path))
    assert 0 < before < len(_runs.read_log(tmp_path))
    for name in ("metrics.jsonl", "summary.json", "gradients.json", "corpus.json"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


def test_topics_are_probabilities_in_the_order_of_the_true_ones(finished):
    last = [row for row in _runs.read_log(finished) if row["step"] == 4]
    for row in last:
        topics, truth = np.array(row["topics"]), _topic_corpus.bar_topics(4)
        np.testing.assert_allclose(topics.sum(1), 1, atol=1e-4)
        own = np.abs(topics - truth).sum(1).mean() / 2
        np.testing.assert_allclose(own, row["total_variation"], atol=1e-4)


def test_arms_differ_by_their_draws_only(docs, finished):
    def by_arm(folder):
        rows = {arm: [] for arm in ARMS}
        for row in _runs.read_log(folder):
            arm = row.pop("arm")
            rows[arm].append(row)
        return rows

    same, different = by_arm(docs[0]), by_arm(finished)
    assert same["ours"] == same["jax"]
    assert all(
        mine["loss"] != theirs["loss"]
        for mine, theirs in zip(different["ours"], different["jax"], strict=True)
    )


def test_texts_have_coherence_and_versions_and_no_truth(docs, tmp_path):
    folder, arrays = docs
    assert not {"ratio", "total_variation", "true_perplexity"} & arrays.keys()
    assert arrays["coherence"].shape == (2, 2, 2)
    about = json.loads((folder / "corpus.json").read_text())
    assert about["packages"]["numpy"] == np.__version__
    topic_model.plot(arrays, tmp_path / "docs.png")
    assert (tmp_path / "docs.png").read_bytes().startswith(b"\x89PNG")
    assert topic_model.make_topic_table(arrays).row_count == 4
    assert topic_model.make_table(arrays).row_count == 6


def test_figure_and_gradients_are_written(finished):
    assert (finished / "topic_model.png").read_bytes().startswith(b"\x89PNG")
    rows = json.loads((finished / "gradients.json").read_text())
    assert [(row["place"], row["arm"], row["concentration"]) for row in rows] == [
        (place, arm, concentration)
        for place in ("prior", "posterior")
        for arm in ARMS
        for concentration in TOY.concentrations
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"log_every": 3}, "`--log-every` must divide `--steps`"),
        ({"topics": 5}, "must be even and at least 4, got 5"),
        ({"first_concentration": 0.05}, "must be above the guide's floor"),
    ],
)
def test_options_that_contradict_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        topic_model.run(toy(tmp_path, **changes))


def test_debug_stops_where_gradients_are_not_finite():
    _, state, _ = _topic_training.make_trainings(TOY)
    graphdef, _ = nnx.split(TopicModel(4, 4, width=4, rngs=nnx.Rngs(0)), nnx.Param)
    train = _topic_training.make_train(
        graphdef, estimator=JaxDirichlet(), learning_rate=1e-3, debug=True
    )

    def one_step(params):
        documents, rows = jnp.ones((8, 4)), np.arange(8)[None]
        keys = jax.random.split(jax.random.key(0), 1)
        return train(
            params, state["opt_state"], documents, rows, keys, *jnp.array([0.1, 0.1])
        )

    *_, loss, bad = one_step(state["params"])
    assert np.isfinite(loss)
    assert bad == 0
    broken = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf * jnp.nan if "topic_logits" in str(path) else leaf,
        state["params"],
    )
    with pytest.raises(AssertionError, match="assert_tree_all_finite"):
        one_step(broken)
