"""Tests of ``experiments._runs``."""

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import _devices, _runs

COUNT = 6
ROOT = Path(_runs.__file__).parent.parent

KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {folder!r})
import test_runs
test_runs.go(Path({out!r}), stop_at={stop_at}, stop=lambda: os.kill(os.getpid(), 9))
"""


@dataclasses.dataclass(frozen=True)
class Config:
    out: Path
    seed: int = 0
    rates: tuple[float, ...] = (0.1, 0.2)


class StopError(Exception):
    pass


def stop():
    raise StopError


def advance(index, state):
    noise = jax.random.normal(jax.random.fold_in(jax.random.key(0), index), (3,))
    state = {
        "weights": jnp.sin(3 * state["weights"] + noise),
        "best": np.asarray(max(float(state["best"]), index / 7)),
    }
    return state, [{"index": index, "weights": state["weights"].tolist()}] * 2


@dataclasses.dataclass(frozen=True)
class Counts:
    steps: int = 6
    eval_every: int = 2


@pytest.mark.parametrize("wrong", [(6, 4), (6, 0), (0, 2), (-6, 3), (6, -3)])
def test_counts_that_do_not_divide_or_are_not_positive_are_refused(wrong):
    _runs.check_divisors(Counts(), eval_every="steps")
    sentence = (
        "`--eval-every` must divide `--steps`, both at least 1: got "
        f"{wrong[1]} and {wrong[0]}."
    )
    with pytest.raises(_runs.OptionsError, match=sentence):
        _runs.check_divisors(Counts(*wrong), eval_every="steps")


def go(out, *, stop_at=None, stop=stop, seconds=0.0, seen=None):
    def advance_until(index, state):
        if index == stop_at:
            stop()
        if seen is not None:
            seen.append(index)
        return advance(index, state)

    folder = _runs.open_folder(out, Config(out))
    state = _runs.repeat(
        folder,
        advance_until,
        {"weights": jnp.ones(3), "best": np.asarray(-np.inf)},
        count=COUNT,
        title="test",
        seconds_between_checkpoints=seconds,
    )
    return folder, state


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return go(tmp_path_factory.mktemp("whole"))


def go_sharded(out, *, stop_at=None, seconds=0.0, seen=None):
    """A state whose rows lie on different devices, of one process or of several."""
    first = np.arange(3 * 16, dtype=np.float32).reshape(16, 3)
    mesh = _devices.make_mesh(jax.device_count())
    start = _devices.feed(mesh, first, np.arange(16))
    assert not start.sharding.is_fully_replicated

    def advance_until(index, state):
        if index == stop_at:
            stop()
        if seen is not None:
            seen.append(index)
        assert state.sharding == start.sharding
        return jax.jit(lambda state: 3 * state + index)(state), [{"index": index}]

    folder = _runs.open_folder(out, Config(out))
    state = _runs.repeat(
        folder,
        advance_until,
        start,
        count=COUNT,
        title="test",
        seconds_between_checkpoints=seconds,
    )
    expected = first
    for index in range(COUNT):
        expected = 3 * expected + index
    for shard in state.addressable_shards:
        np.testing.assert_array_equal(shard.data, expected[shard.index])


def assert_sharded_state_goes_on(out, *, seconds=0.0):
    with pytest.raises(StopError):
        go_sharded(out, stop_at=4, seconds=seconds)
    seen = []
    go_sharded(out, seconds=seconds, seen=seen)
    assert seen == [4, 5]


def assert_same_run(run, other):
    (folder, state), (other_folder, other_state) = run, other
    assert (folder / _runs.LOG).read_bytes() == (other_folder / _runs.LOG).read_bytes()
    for name, value in state.items():
        assert np.asarray(value).tobytes() == np.asarray(other_state[name]).tobytes()
        assert type(value) is type(other_state[name])


def test_the_log_has_every_line_once(whole):
    folder, _ = whole
    indices = [line["index"] for line in _runs.read_log(folder)]
    assert indices == [index for index in range(COUNT) for _ in range(2)]


@pytest.mark.parametrize("stop_at", [0, 1, 4])
@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_a_run_that_failed_goes_on_bit_for_bit(tmp_path, whole, stop_at, seconds):
    with pytest.raises(StopError):
        go(tmp_path, stop_at=stop_at, seconds=seconds)
    assert_same_run(go(tmp_path, seconds=seconds), whole)


def test_a_killed_run_goes_on_bit_for_bit(tmp_path, whole):
    script = KILLED.format(
        folder=str(Path(__file__).parent), out=str(tmp_path), stop_at=3
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert 0 < len(_runs.read_log(tmp_path)) < 2 * COUNT
    assert_same_run(go(tmp_path), whole)


def test_only_what_no_checkpoint_holds_is_computed_again(tmp_path):
    with pytest.raises(StopError):
        go(tmp_path, stop_at=3)
    seen = []
    go(tmp_path, seen=seen)
    assert seen == [3, 4, 5]
    go(tmp_path, seen=seen)
    assert seen == [3, 4, 5]


def test_a_finished_run_is_not_run_again(tmp_path, whole):
    go(tmp_path, seconds=1e9)
    seen = []
    assert_same_run(go(tmp_path, seconds=1e9, seen=seen), whole)
    assert seen == []


def test_a_sharded_state_goes_on_with_its_sharding(tmp_path):
    assert_sharded_state_goes_on(tmp_path)


def test_a_line_cut_short_by_the_kill_is_written_anew(tmp_path, whole):
    with pytest.raises(StopError):
        go(tmp_path, stop_at=4)
    with (tmp_path / _runs.LOG).open("a") as log:
        log.write('{"index": 4, "wei')
    assert_same_run(go(tmp_path), whole)


def test_a_folder_of_another_run_is_refused(tmp_path):
    _runs.open_folder(tmp_path, Config(tmp_path))
    _runs.open_folder(tmp_path, Config(tmp_path / "elsewhere"))
    with pytest.raises(
        _runs.OtherRunError,
        match=r"holds another run: rates was \[0.1, 0.2\], is \[0.1\]; seed was 0, is 1"
        r"\. Choose another `--out`",
    ):
        _runs.open_folder(tmp_path, Config(tmp_path, seed=1, rates=(0.1,)))
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 0


def test_a_folder_of_other_versions_is_refused(tmp_path, monkeypatch):
    _runs.open_folder(tmp_path, Config(tmp_path))
    monkeypatch.setattr(jax, "__version__", "0.0.1")
    with pytest.raises(_runs.OtherRunError, match=r"jax was .*, is 0\.0\.1"):
        _runs.open_folder(tmp_path, Config(tmp_path))


def test_plain_errors_end_with_the_sentence_alone():
    with pytest.raises(SystemExit, match="OtherRunError: the sentence"):
        with _runs.plain_errors():
            raise _runs.OtherRunError("the sentence")
    with pytest.raises(ZeroDivisionError):
        with _runs.plain_errors():
            raise ZeroDivisionError
