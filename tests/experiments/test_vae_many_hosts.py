"""``vae`` in two processes of two devices each, over loopback."""

import itertools
import json
import sys

import numpy as np
import pytest

from experiments import _runs, _vae_training, vae
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
    "--objectives=iwae",
    "--latent=von_mises_fisher",
    "--latents=3",
    "--network=conv",
    "--width=2",
    "--steps=8",
    "--eval-every=2",
    "--batch-size=16",
    "--test-samples=4",
    "--chunk-size=2",
]
# Five processes that each import JAX and compile a network.
pytestmark = pytest.mark.slow


def train(folder, out, *options):
    paths = [f"--data-dir={folder}", f"--out={folder}/{out}"]
    sys.argv = ["vae", *OPTIONS, *paths, *options]
    vae.main()


def train_alone(folder, port, process_id):
    train(folder, "alone")


def train_together(folder, port, process_id):
    train(folder, "killed", *place(port, process_id))


def train_and_be_killed(folder, port, process_id):
    fed = record_feeds()
    train(folder, "whole", *place(port, process_id))
    (folder / f"fed_{process_id}.json").write_text(json.dumps(fed))
    kill_in_third_interval(folder / "killed")
    train(folder, "killed", "--devices=4", "--checkpoint-seconds=1e-6")


def kill_in_third_interval(run):
    choose_rows, intervals = _vae_training.choose_rows, itertools.count(1)

    def rows_or_death(*args, **options):
        if next(intervals) == 3:
            die_once_written(run / "checkpoints" / "2")
        return choose_rows(*args, **options)

    _vae_training.choose_rows = rows_or_death


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of one process, of two, and of two that were killed."""
    folder = tmp_path_factory.mktemp("vae_many_hosts")
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
        assert line.pop("objective") == expected.pop("objective")
        for name, value in expected.items():
            np.testing.assert_allclose(line[name], value, rtol=1e-5, err_msg=name)


def test_each_process_reads_its_own_rows_only(folder):
    fed = [json.loads((folder / f"fed_{number}.json").read_text()) for number in (0, 1)]
    assert {np.shape(batch["rows"]) for batch in fed[0]} == {(2, 16), (16,)}
    for batches in zip(*fed, strict=True):
        halves = np.split(np.array(batches[0]["rows"]), 2, axis=-1)
        for rows, batch in zip(halves, batches, strict=True):
            parts = np.split(rows, 2, axis=-1)
            (read,) = batch["read"]
            assert read == [row for part in parts for row in part.tolist()]


def test_two_killed_processes_go_on_bit_for_bit(folder):
    assert len(_runs.read_log(folder / "killed")) == 2
    codes, outputs = side_by_side(folder, (train_together, 0), (train_together, 1))
    assert codes == [0, 0], "\n".join(outputs)
    for name in ("metrics.jsonl", "summary.json", "pictures_iwae.npz"):
        whole, killed = ((folder / run / name) for run in ("whole", "killed"))
        assert whole.read_bytes() == killed.read_bytes()
    for text in ("training", "test split", "figure and summary"):
        assert [text in output for output in outputs] == [True, False]
