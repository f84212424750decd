"""Tests of ``experiments.one_number``."""

import json
import sys

import numpy as np
import pytest

from experiments import _runs, one_number
from experiments.one_number import ESTIMATORS, Config

ROWS = {name: row for row, name in enumerate(ESTIMATORS)}
MEAN, STD = 0, 1


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    out = tmp_path_factory.mktemp("one_number")
    return one_number.run(Config(out, steps=4, batch_size=1024))


def test_pathwise_gradients_are_one_and_the_noise_exactly(arrays):
    grads = arrays["grads"][ROWS["pathwise"]]
    np.testing.assert_array_equal(grads[:, MEAN], 1.0)
    np.testing.assert_array_equal(grads[:, STD], arrays["noise"])
    assert len(np.unique(arrays["noise"])) > 1000


def test_without_the_trick_gradients_are_zero(arrays):
    np.testing.assert_array_equal(arrays["grads"][ROWS["no trick"]], 0.0)


def test_score_function_gradients_are_draw_times_score(arrays):
    noise = arrays["noise"].astype(np.float64)
    draw = 2 + 5 * noise
    expected = np.stack([draw * noise / 5, draw * (noise**2 - 1) / 5], axis=1)
    grads = arrays["grads"][ROWS["score function"]]
    np.testing.assert_allclose(grads, expected, rtol=2e-5, atol=2e-5)


def test_averages_and_spreads_are_those_of_theory(arrays):
    # f = z: the variance of the score gradient is ratio^2 + 2 for the mean and
    # 2 ratio^2 + 10 for the standard deviation, with ratio = mean / std.
    ratio = 2 / 5
    var = {
        "pathwise": (0.0, 1.0),
        "no trick": (0.0, 0.0),
        "score function": (ratio**2 + 2, 2 * ratio**2 + 10),
    }
    truth = {"pathwise": (1, 0), "no trick": (0, 0), "score function": (1, 0)}
    count = arrays["draws"][-1]
    assert count == 4096
    for name, row in ROWS.items():
        error = np.sqrt(np.array(var[name]) / count)
        distance = np.abs(arrays["mean"][-1, row] - truth[name])
        assert np.all(distance <= 4.5 * error)
        np.testing.assert_allclose(arrays["std_error"][-1, row], error, rtol=0.3)


def test_a_mesh_gives_the_same_gradients(arrays, tmp_path):
    config = Config(tmp_path, steps=4, batch_size=1024, devices=8)
    on_mesh = one_number.run(config)
    np.testing.assert_allclose(on_mesh["grads"], arrays["grads"], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(on_mesh["noise"], arrays["noise"])


def test_debug_checks_the_exact_gradients(tmp_path, monkeypatch):
    config = Config(tmp_path, steps=1, batch_size=8, debug=True)
    one_number.run(config)
    wrong = dict.fromkeys(ESTIMATORS, one_number.score_function)
    monkeypatch.setattr(one_number, "ESTIMATORS", wrong)
    with pytest.raises(AssertionError, match="assert_trees_all_close"):
        one_number.run(config)


def test_a_batch_that_does_not_divide_is_refused(tmp_path):
    with pytest.raises(
        _runs.OptionsError, match="`--devices` must divide `--batch-size`"
    ):
        one_number.run(Config(tmp_path, devices=3))


def test_main_prints_the_table_and_writes_the_results(tmp_path, monkeypatch, capsys):
    command = ["one_number", "--out", str(tmp_path), "--steps", "2", "--seed", "1"]
    monkeypatch.setattr(sys, "argv", [*command, "--batch-size", "16"])
    one_number.main()
    printed = capsys.readouterr().out
    assert "z = -2.5, gradient 1 for the mean and -1.5 for the std" in printed
    assert "gradient of the loss z over 32 draws" in printed
    assert (tmp_path / "one_number.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [(row["estimator"], row["parameter"]) for row in summary] == [
        (name, parameter) for name in ESTIMATORS for parameter in ("mean", "std")
    ]
    assert summary[0] == {
        "estimator": "pathwise",
        "parameter": "mean",
        "truth": 1.0,
        "mean": 1.0,
        "std": 0.0,
        "draws": 32,
    }
