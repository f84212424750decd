"""Several processes on one machine, over loopback."""

import concurrent.futures
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np

from experiments import _devices

ROOT = Path(_devices.__file__).parent.parent
SECONDS_UNTIL_HUNG = 180


def place(port, process_id):
    """Options of one of two processes with two devices each."""
    return [
        f"--coordinator=127.0.0.1:{port}",
        "--num-processes=2",
        f"--process-id={process_id}",
        "--devices=4",
    ]


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


def die_once_written(checkpoint):
    """Kills this process as soon as a checkpoint is complete."""
    while not checkpoint.exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


def write_images(folder):
    """Writes 70 random images for training and 30 for the test, as IDX files."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 70), ("t10k", 30)):
        pixels = rng.integers(256, size=(count, 8, 8), dtype=np.uint8)
        _write_idx(folder / f"{split}-images-idx3-ubyte", pixels)
        labels = rng.integers(10, size=count, dtype=np.uint8)
        _write_idx(folder / f"{split}-labels-idx1-ubyte", labels)


def _write_idx(path, array):
    header = struct.pack(f">3xB{array.ndim}I", array.ndim, *array.shape)
    path.write_bytes(header[:2] + b"\x08" + header[3:] + array.tobytes())


def start(task, folder, port, process_id):
    """Runs a test module's function in a process; its exit code and output."""
    script = (
        f"import pathlib, {task.__module__} as tests\n"
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
            cwd=ROOT,
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


def assert_first_two_ended(codes, outputs):
    """The one alone went through; of the other two, the first was killed."""
    # JAX ends the second process itself if it is first to see the other one gone.
    ends = (-signal.SIGKILL, -signal.SIGABRT)
    assert codes[:2] == [0, ends[0]], "\n".join(outputs)
    assert codes[2] in ends, "\n".join(outputs)
