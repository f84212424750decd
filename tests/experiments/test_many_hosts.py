"""``noisy_inputs`` in two processes of two devices each, over loopback."""

import concurrent.futures
import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import types
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import _devices, _noisy_training, _runs, noisy_inputs

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

SECONDS_UNTIL_HUNG = 180


def train(folder, out, *options):
    """The command line, with one arm of the three, for each takes long to compile."""
    noisy_inputs.ARMS = _noisy_training.ARMS = ("sample",)
    paths = [f"--data-dir={folder}", f"--out={folder}/{out}"]
    sys.argv = ["noisy_inputs", *OPTIONS, *paths, *options]
    noisy_inputs.main()


def place(port, process_id):
    return [
        f"--coordinator=127.0.0.1:{port}",
        "--num-processes=2",
        f"--process-id={process_id}",
        "--devices=4",
    ]


def train_alone(folder, port, process_id):
    train(folder, "alone")


def train_together(folder, port, process_id):
    train(folder, "killed", *place(port, process_id))


def train_and_be_killed(folder, port, process_id):
    import test_runs

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


def record_feeds():
    """Notes, for every batch, its rows and which of them this process read."""
    feed, fed = _devices.feed, []

    class Watched:
        def __init__(self, array):
            self.array, self.shape, self.read = array, array.shape, []
            fed[-1]["read"].append(self.read)

        def __getitem__(self, rows):
            self.read.extend(rows.tolist())
            return self.array[rows]

    def watched_feed(mesh, tree, rows):
        fed.append({"rows": rows.tolist(), "read": []})
        return feed(mesh, jax.tree.map(Watched, tree), rows)

    _devices.feed = watched_feed
    return fed


def kill_in_third_interval(run):
    scores, intervals = _noisy_training.classification_scores, itertools.count(1)

    def scores_or_death(log_probs, labels):
        if next(intervals) == 3:
            while not (run / "checkpoints" / "2").exists():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        return scores(log_probs, labels)

    _noisy_training.classification_scores = scores_or_death


def start(task, folder, port, process_id):
    """Runs a function of this module in a process; its exit code and output."""
    script = (
        f"import sys, pathlib; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"import test_many_hosts as tests\n"
        f"tests.{task.__name__}(pathlib.Path({str(folder)!r}), {port}, {process_id})"
    )
    compiled_once_and_fast = {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    try:
        process = subprocess.run(
            [sys.executable, "-c", script],
            check=False,
            cwd=Path(_runs.__file__).parent.parent,
            env=os.environ | {"JAX_PLATFORMS": "cpu"} | compiled_once_and_fast,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS_UNTIL_HUNG,
        )
    except subprocess.TimeoutExpired as hung:
        return "hung", (hung.stdout or b"").decode()
    return process.returncode, process.stdout.decode()


def side_by_side(folder, *tasks):
    """Exit codes and outputs of tasks in as many processes."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    with concurrent.futures.ThreadPoolExecutor(len(tasks)) as pool:
        started = [
            pool.submit(start, task, folder, port, process_id)
            for task, process_id in tasks
        ]
    codes, outputs = zip(*(process.result() for process in started), strict=True)
    return list(codes), outputs


def write_idx(path, array):
    header = struct.pack(f">3xB{array.ndim}I", array.ndim, *array.shape)
    path.write_bytes(header[:2] + b"\x08" + header[3:] + array.tobytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of one process, of two, and of two that were killed."""
    folder = tmp_path_factory.mktemp("many_hosts")
    rng = np.random.default_rng(0)
    for split, count in (("train", 70), ("t10k", 30)):
        pixels = rng.integers(256, size=(count, 8, 8), dtype=np.uint8)
        write_idx(folder / f"{split}-images-idx3-ubyte", pixels)
        labels = rng.integers(10, size=count, dtype=np.uint8)
        write_idx(folder / f"{split}-labels-idx1-ubyte", labels)
    codes, outputs = side_by_side(
        folder, (train_alone, None), (train_and_be_killed, 0), (train_and_be_killed, 1)
    )
    # JAX ends the second process itself if it is first to see the other one gone.
    ends = (-signal.SIGKILL, -signal.SIGABRT)
    assert codes[:2] == [0, ends[0]], "\n".join(outputs)
    assert codes[2] in ends, "\n".join(outputs)
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
