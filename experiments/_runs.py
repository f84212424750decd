"""A run's folder: configuration, log, checkpoints; killed and resumed, bit for bit."""

import contextlib
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import flax
import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from rich.progress import track

from ._devices import DevicesError, ProcessesError

State = TypeVar("State")
LOG = "metrics.jsonl"


class OtherRunError(ValueError):
    """The folder, or another process of this run, has another configuration."""


class OptionsError(ValueError):
    """The options contradict each other, or ask for what cannot be done."""


@contextlib.contextmanager
def plain_errors():
    """Ends the program with the sentence alone when the user can mend the error."""
    try:
        yield
    except (
        OtherRunError,
        OptionsError,
        DevicesError,
        ProcessesError,
        FileNotFoundError,
    ) as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from None


def check_divisors(config, **wholes: str) -> None:
    """Refuses counts that one of the options does not divide, or that are below 1.

    Args:
      config: a dataclass instance.
      **wholes: by the name of an option, the name of the one it divides.

    Raises:
      OptionsError: one does not.
    """
    for name, whole in wholes.items():
        part, total = getattr(config, name), getattr(config, whole)
        if min(part, total) < 1 or total % part:
            raise OptionsError(
                f"`{_flag(name)}` must divide `{_flag(whole)}`, both at least 1: got "
                f"{part} and {total}."
            )


def check_at_least(config, **least: int) -> None:
    """Refuses options that are too small.

    Args:
      config: a dataclass instance.
      **least: by the name of an option, its smallest value.

    Raises:
      OptionsError: one is smaller.
    """
    for name, bound in least.items():
        value = getattr(config, name)
        if value < bound:
            raise OptionsError(
                f"`{_flag(name)}` must be at least {bound}: got {value}."
            )


def _flag(name):
    return "--" + name.replace("_", "-")


def open_folder(path: Path, config, *, ignore: tuple[str, ...] = ("out",)) -> Path:
    """Makes the folder of a run, or comes back to it.

    Args:
      path: the folder; all processes of the run share it.
      config: a dataclass instance. The versions of JAX and Flax are kept beside it,
        for with others the numbers differ.
      ignore: names of the fields that change no number.

    Returns:
      ``path``, absolute.

    Raises:
      OtherRunError: the folder holds a run of another configuration, or another
        process of this run has one.
    """
    path = Path(path).absolute()
    mine = {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if name not in ignore
    }
    mine |= {"jax": jax.__version__, "flax": flax.__version__}
    text = json.dumps(mine, default=str)
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
    digests = multihost_utils.process_allgather(digest)
    if (digests != digest).any():
        raise OtherRunError(
            "The processes were started with different options or versions: only "
            "`--process-id` may differ."
        )
    mine = json.loads(text)
    file = path / "config.json"
    if file.exists():
        theirs = json.loads(file.read_text())
        names = sorted(mine.keys() | theirs.keys())
        differences = [
            f"{name} was {theirs.get(name)}, is {mine.get(name)}"
            for name in names
            if theirs.get(name) != mine.get(name)
        ]
        if differences:
            raise OtherRunError(
                f"{path} holds another run: {'; '.join(differences)}. Choose another "
                "`--out`, or delete that folder."
            )
    path.mkdir(parents=True, exist_ok=True)
    write_json(file, mine)
    return path


def repeat(
    folder: Path,
    advance: Callable[[int, State], tuple[State, list[dict]]],
    state: State,
    *,
    count: int,
    title: str,
    seconds_between_checkpoints: float = 5.0,
) -> State:
    """Advances a state ``count`` times, going on where a killed run stopped.

    The log and the state must depend on nothing but ``index`` and ``state``: then the
    log of a killed and resumed run is that of an uninterrupted one, byte for byte.

    Args:
      folder: from :func:`open_folder`. Checkpoints go into it, and ``metrics.jsonl``.
      advance: ``advance(index, state)`` gives the next state and the lines to log.
      state: the first state, a pytree of arrays; restored ones get its shardings.
        Its NumPy arrays are the same in every process, as the lines to log are.
      count: how often to advance.
      title: text beside the progress bar.
      seconds_between_checkpoints: no checkpoint is written sooner than that after
        another; what came after the last one is computed again.

    Returns:
      The last state.
    """
    log, is_first = folder / LOG, jax.process_index() == 0
    options = ocp.CheckpointManagerOptions(max_to_keep=2)
    with ocp.CheckpointManager(folder / "checkpoints", options=options) as manager:
        start, log_size = manager.latest_step() or 0, 0
        if start:
            like = jax.tree.map(
                ocp.utils.to_shape_dtype_struct, _saved(state, log_size)
            )
            saved = manager.restore(start, args=ocp.args.StandardRestore(like))
            state, log_size = saved["state"], int(saved["log_size"])
        if is_first:
            with log.open("ab") as lines_file:
                lines_file.truncate(log_size)
        saved_at = time.monotonic()
        for index in track(
            range(start, count),
            title,
            total=count,
            completed=start,
            disable=not is_first,
        ):
            state, lines = advance(index, state)
            text = "".join(json.dumps(line) + "\n" for line in lines).encode()
            log_size += len(text)
            if is_first:
                with log.open("ab") as lines_file:
                    lines_file.write(text)
            late = time.monotonic() - saved_at >= seconds_between_checkpoints
            # The first process's clock decides, after it has written its lines.
            late = multihost_utils.broadcast_one_to_all(np.asarray(late))
            if late or index + 1 == count:
                saved = _saved(state, log_size)
                manager.save(index + 1, args=ocp.args.StandardSave(saved))
                saved_at = time.monotonic()
    return state


def read_log(folder: Path) -> list[dict]:
    """Reads ``metrics.jsonl``.

    Args:
      folder: from :func:`open_folder`.

    Returns:
      Its lines, decoded.
    """
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def write_json(path: Path, value) -> None:
    """Writes ``value`` so that a reader sees the old file or the new, never half.

    Of the processes of a run, the first alone writes.

    Args:
      path: the file.
      value: anything JSON can hold.
    """
    if jax.process_index() != 0:
        return
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=2) + "\n")
    partial.replace(path)


def _saved(state, log_size):
    return {"state": state, "log_size": np.asarray(log_size)}
