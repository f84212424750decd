"""``noisy_inputs`` in two processes of two devices each, over loopback."""

import itertools
import json
import sys
import types

import numpy as np
import pytest

from experiments import _noisy_training, _runs, noisy_inputs
from tests.experiments import test_runs
from tests.experiments.hosts import (
    assert_first_two_ended,
    die_once_written,
    place,
    record_feeds,
    side_by_side,
    write_images,
)

OPTIONS = [
    "--data=fashion",
    "--num-seeds=1",
    "--user-size=12",
    "--steps=4",
    "--eval-every=1",
    "--batch-size=16",
    "--betas=0.1",
    "--width=4",
    "--latents=3",
    "--num-draws=2",
]
# Six processes that each import JAX and compile a network.
pytestmark = pytest.mark.slow


def train(folder, out, *options):
    """The command line, with one arm of the three, for each takes long to compile."""
    noisy_inputs.ARMS = _noisy_training.ARMS = ("sample",)
    paths = [f"--data-dir={folder}", f"--out={folder}/{out}"]
    sys.argv = ["noisy_inputs", *OPTIONS, *paths, *options]
    noisy_inputs.main()


def train_alone(folder, port, process_id):
    train(folder, "alone")


def train_together(folder, port, process_id):
    train(folder, "killed", *place(port, process_id))


def train_and_be_killed(folder, port, process_id):
    if process_id == 1:
        stopped_clock = types.SimpleNamespace(monotonic=lambda: 0.0)
        _runs.time = stopped_clock
    fed = record_feeds()
    train(folder, "whole", *place(port, process_id))
    (folder / f"fed_{process_id}.json").write_text(json.dumps(fed))
    _runs.write_json(folder / f"written_{process_id}.json", process_id)
    test_runs.assert_sharded_state_goes_on(folder / "sharded", seconds=1e-6)
    config = test_runs.Config(folder, seed=process_id)
    with pytest.raises(_runs.OtherRunError, match="started with different options"):
        _runs.open_folder(folder / "differs", config)
    kill_in_third_interval(folder / "killed")
    train(folder, "killed", "--devices=4", "--checkpoint-seconds=1e-6")


def kill_in_third_interval(run):
    scores, intervals = _noisy_training.classification_scores, itertools.count(1)

    def scores_or_death(log_probs, labels):
        if next(intervals) == 3:
            die_once_written(run / "checkpoints" / "2")
        return scores(log_probs, labels)

    _noisy_training.classification_scores = scores_or_death


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of one process, of two, and of two that were killed."""
    folder = tmp_path_factory.mktemp("many_hosts")
    write_images(folder)
    codes, outputs = side_by_side(
        folder, (train_alone, None), (train_and_be_killed, 0), (train_and_be_killed, 1)
    )
    assert_first_two_ended(codes, outputs)
    return folder


def test_two_processes_get_the_losses_of_one(folder):
    alone, together = (_runs.read_log(folder / name) for name in ("alone", "whole"))
    assert len(alone) == 4 + 1
    for expected, line in zip(alone, together, strict=True):
        assert list(line) == list(expected)
        assert line.pop("arm") == expected.pop("arm")
        for name, value in expected.items():
            np.testing.assert_allclose(line[name], value, rtol=1e-5, err_msg=name)


def test_each_process_reads_its_own_rows_only(folder):
    fed = [json.loads((folder / f"fed_{number}.json").read_text()) for number in (0, 1)]
    assert {len(batch["rows"]) for batch in fed[0]} == {16, 32}
    for batches in zip(*fed, strict=True):
        halves = np.split(np.array(batches[0]["rows"]), 2)
        for rows, batch in zip(halves, batches, strict=True):
            assert batch["read"] == [rows.tolist()] * 3


def test_the_first_process_alone_writes(folder):
    assert [path.name for path in folder.glob("written_*")] == ["written_0.json"]
    assert not (folder / "differs").exists()


def test_two_killed_processes_go_on_bit_for_bit(folder):
    assert len(_runs.read_log(folder / "killed")) == 2
    codes, outputs = side_by_side(folder, (train_together, 0), (train_together, 1))
    assert codes == [0, 0], "\n".join(outputs)
    for name in ("metrics.jsonl", "summary.json", "user_network.json"):
        whole, killed = ((folder / run / name) for run in ("whole", "killed"))
        assert whole.read_bytes() == killed.read_bytes()
    for text in ("training", "held-out scores", "figure and summary"):
        assert [text in output for output in outputs] == [True, False]
