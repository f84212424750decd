"""Tests of ``experiments.gan`` and the trainings behind it, at toy size."""

import dataclasses
import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import _gan_training, _runs, gan
from experiments._data import Images
from experiments._gan_scores import look
from experiments._gan_steps import make_advance, start_state
from experiments._gan_training import ARMS, Config

# Whole trainings, and the compilation of four.
pytestmark = pytest.mark.slow

TOY = Config(
    num_seeds=1,
    steps=2,
    eval_every=1,
    batch_size=32,
    decay=0.9,
    latents=3,
    width=8,
    features=16,
    classifier_steps=200,
    checkpoint_seconds=0.0,
)


def toy(out: Path, **changes) -> Config:
    return dataclasses.replace(TOY, out=out, **changes)


def arguments(config: Config) -> list[str]:
    words = ["gan"]
    for name, value in dataclasses.asdict(config).items():
        if value != getattr(Config(), name):
            words += ["--" + name.replace("_", "-"), str(value)]
    return words


def latent_law(params):
    return np.asarray(params["mean"][...]), np.asarray(params["log_var"][...])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run through `main`: its folder."""
    out = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments(toy(out)))
        gan.main()
    return out


@pytest.fixture(scope="module")
def setting():
    return _gan_training.make_setting(TOY, 0)


def one_step(setting, arm, *, debug=False):
    """The state before and after a step, and the loss of each network."""
    graphs, weights = _gan_training.make_networks(TOY, setting, arm)
    advance = make_advance(
        graphs,
        trained=ARMS[arm],
        steps=TOY.eval_every,
        batch_size=TOY.batch_size,
        learning_rate=TOY.learning_rate,
        penalty=TOY.penalty,
        decay=TOY.decay,
        debug=debug,
    )
    before = start_state(weights, TOY.learning_rate)
    return before, *advance(before, setting.train, jax.random.key(1))


def test_log_has_every_interval_and_real_images_first(finished):
    rows = [(row["arm"], row["step"]) for row in _runs.read_log(finished)]
    assert rows == [("real", 0), *((arm, step) for arm in ARMS for step in (1, 2))]


def test_summary_has_the_last_scores_of_every_arm(finished):
    summary = json.loads((finished / "summary.json").read_text())
    assert [row["arm"] for row in summary] == ["real", *ARMS]
    log = {(row["arm"], row["step"]): row for row in _runs.read_log(finished)}
    for row in summary:
        assert list(row) == ["arm", "seed", *gan.SCORES]
        last = log[row["arm"], 0 if row["arm"] == "real" else 2]
        assert row == {name: last[name] for name in row}


def test_run_gathers_the_log(finished):
    arrays = gan.run(toy(finished))
    assert arrays["steps"].tolist() == [1, 2]
    log = _runs.read_log(finished)
    for name in gan.SCORES:
        scores = [row[name] for row in log[1:]]
        assert arrays[name].ravel().tolist() == scores
        assert arrays[f"real_{name}"].tolist() == [log[0][name]]


def test_samples_and_figure_are_written(finished):
    assert (finished / "gan.png").read_bytes().startswith(b"\x89PNG")
    for arm in ARMS:
        with np.load(finished / "samples" / f"{arm}_0.npz") as samples:
            pixels, mean, std = (samples[name] for name in ("pixels", "mean", "std"))
        assert pixels.shape == (60, 8, 8)
        assert 0 <= pixels.min() < pixels.max() <= 1
        assert (mean.any(), (std != 1).any()) == {
            "learned": (True, True),
            "mean": (True, False),
            "codes": (True, False),
            "cut": (False, False),
        }[arm]


def test_the_average_is_what_is_sampled(finished):
    # Adam's two steps move a mean by 1e-3 and at most 1.42e-3; the average, with a
    # decay of 0.9, by 0.19 and 0.1 of that.
    with np.load(finished / "samples" / "learned_0.npz") as samples:
        assert 0 < np.abs(samples["mean"]).max() <= 0.19e-3 + 0.142e-3 + 1e-8


def test_real_images_are_nearer_than_untrained_samples(finished):
    log = {(row["arm"], row["step"]): row for row in _runs.read_log(finished)}
    real = log["real", 0]
    for arm in ARMS:
        samples = log[arm, 1]
        # The distance of the held-out images from themselves would be rounding alone.
        assert 1e-3 < real["frechet"] < 0.2 * samples["frechet"]
        assert 1e-3 < real["class_frechet"] < 0.5 * samples["class_frechet"]
        assert real["accuracy"] > 2 * samples["accuracy"]


def test_interrupted_and_resumed_is_bit_for_bit_the_same(
    finished, tmp_path, monkeypatch
):
    scored = iter(range(100))
    score = _gan_training.score

    def fail_in_the_third_arm(setting, images):
        if next(scored) == 7:
            raise KeyboardInterrupt
        return score(setting, images)

    monkeypatch.setattr(_gan_training, "score", fail_in_the_third_arm)
    with pytest.raises(KeyboardInterrupt):
        gan.run(toy(tmp_path))
    monkeypatch.undo()
    before = len(_runs.read_log(tmp_path))
    gan.run(toy(tmp_path))
    assert 0 < before < len(_runs.read_log(tmp_path))
    samples = [f"samples/{arm}_0.npz" for arm in ARMS]
    for name in ("metrics.jsonl", "summary.json", *samples):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.parametrize("arm", ARMS)
def test_one_step_moves_what_the_arm_lets_the_gradient_reach(setting, arm):
    before, after, _ = one_step(setting, arm)
    old, new = before["weights"].generator, after["weights"].generator
    moved = [
        bool((was != now).any())
        for was, now in zip(latent_law(old), latent_law(new), strict=True)
    ]
    assert moved == [arm in ("learned", "mean"), arm == "learned"]
    for was, now in zip(before["weights"], after["weights"], strict=True):
        (layer,) = {"decoder", "encoder"} & set(was)
        for name in ("hidden", "readout"):
            kernels = [tree[layer][name]["kernel"][...] for tree in (was, now)]
            assert (kernels[0] != kernels[1]).any()


def test_intervals_differ_in_images_and_noise(tmp_path):
    advance, state, _ = _gan_training.make_trainings(TOY, tmp_path)
    _, (_, first) = advance(0, state)
    _, (second,) = advance(1, state)
    for name in ("discriminator_loss", "generator_loss"):
        assert first[name] != second[name]


def test_all_arms_start_alike_but_for_the_codes(setting):
    starts = {
        arm: _gan_training.make_networks(TOY, setting, arm)[1].generator for arm in ARMS
    }
    for arm, params in starts.items():
        mean, log_var = latent_law(params)
        assert not log_var.any()
        assert bool(mean.any()) == (arm == "codes")
        kernels = [
            tree["decoder"]["hidden"]["kernel"][...]
            for tree in (params, starts["learned"])
        ]
        np.testing.assert_array_equal(*kernels)


def test_the_average_follows_the_weights(setting):
    before, after, _ = one_step(setting, "learned")
    for old, new, average in zip(
        *map(
            jax.tree.leaves,
            (before["average"], after["weights"].generator, after["average"]),
        ),
        strict=True,
    ):
        np.testing.assert_allclose(average, 0.9 * old + 0.1 * new, rtol=1e-5, atol=1e-7)


def test_the_classifier_generalizes(setting):
    _, log_probs = look(setting.classifier, setting.test.pixels)
    accuracy = (log_probs.argmax(1) == setting.test.labels).mean()
    assert 0.8 < accuracy < 1
    assert _gan_training.score_real(setting)["accuracy"] == accuracy


def test_no_held_out_image_is_trained_on(setting):
    train = {pixels.tobytes() for pixels in np.asarray(setting.train.pixels)}
    assert len(setting.train.labels) == 899
    assert not any(pixels.tobytes() in train for pixels in setting.test.pixels)


def test_debug_stops_at_gradients_that_are_not_finite(setting):
    _, _, checked = one_step(setting, "learned", debug=True)
    _, _, unchecked = one_step(setting, "learned")
    for name, loss in unchecked.items():
        np.testing.assert_allclose(checked[name], loss, rtol=1e-6)
    pixels, labels = setting.train
    broken = setting._replace(train=Images(pixels * np.nan, labels))
    _, after, _ = one_step(broken, "learned")
    assert np.isnan(latent_law(after["weights"].generator)[0]).any()
    with pytest.raises(AssertionError, match="assert_tree_all_finite"):
        one_step(broken, "learned", debug=True)


def test_steps_that_do_not_divide_are_refused(tmp_path):
    with pytest.raises(
        _runs.OptionsError, match="`--eval-every` must divide `--steps`"
    ):
        gan.run(toy(tmp_path, eval_every=4))


def test_another_configuration_in_the_same_folder_ends_with_a_sentence(
    finished, monkeypatch
):
    log = (finished / "metrics.jsonl").read_bytes()
    monkeypatch.setattr(sys, "argv", arguments(toy(finished, seed=1)))
    with pytest.raises(SystemExit, match="holds another run: seed was 0, is 1"):
        gan.main()
    assert (finished / "metrics.jsonl").read_bytes() == log
