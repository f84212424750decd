"""Several trainings one after the other, as one run that can be killed and resumed."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Trial = TypeVar("Trial")


def lay_out(
    trials: Sequence[Trial],
    intervals: int,
    start: Callable[[Trial], Any],
    train: Callable[[Trial, Any, int], tuple[Any, list[dict]]],
) -> tuple[Callable[[int, Any], tuple[Any, list[dict]]], Any, int]:
    """Lays trainings end to end, for ``_runs.repeat``.

    Args:
      trials: what tells one training from another.
      intervals: how many intervals each training has.
      start: ``start(trial)`` gives the first state, a tree of arrays; of one structure
        and shape for all trials.
      train: ``train(trial, state, interval)`` gives the next state and the lines to
        log; they depend on nothing else.

    Returns:
      ``advance``, the first state, and how many calls there are.
    """

    def advance(index, state):
        number, interval = divmod(index, intervals)
        trial = trials[number]
        return train(trial, start(trial) if interval == 0 else state, interval)

    return advance, start(trials[0]), len(trials) * intervals
