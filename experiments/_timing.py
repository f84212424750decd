"""Timers: programs in turns, so that all see the same machine; and compilation."""

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp


def interleaved_seconds(
    programs: Mapping[str, Callable[[], object]], repeats: int, calls: int
) -> dict[str, float]:
    """Returns the median seconds of one call of each program, timed in turns.

    The order is shuffled anew in every round, and an untimed call precedes each timing:
    threads of the program before it may still be spinning, and are not always to slow
    the same one.

    Args:
      programs: argument-free functions, by name.
      repeats: timings of each program.
      calls: calls within one timing.

    Returns:
      Seconds, by name.
    """
    seconds = {name: [] for name in programs}
    rounds = random.Random(0)
    for _ in range(repeats):
        for name in rounds.sample(list(programs), len(programs)):
            program = programs[name]
            jax.block_until_ready(program())
            start = time.perf_counter()
            for _ in range(calls):
                jax.block_until_ready(program())
            seconds[name].append((time.perf_counter() - start) / calls)
    return {name: statistics.median(times) for name, times in seconds.items()}


def compile_seconds(
    draw: Callable, values: Sequence[float], num_draws: int, length: int
) -> float:
    """Returns the seconds to trace, lower and compile a program of many small draws.

    Args:
      draw: from key and parameters to an array.
      values: of the parameters.
      num_draws: draws in the program, each one element longer than the next.
      length: elements of the last draw are one more.

    Returns:
      Seconds.
    """

    def program(key, *parameters):
        keys = jax.random.split(key, num_draws)
        draws = [draw(keys[i], *(x[i:] for x in parameters)) for i in range(num_draws)]
        return sum(jnp.sum(jnp.tanh(z)) for z in draws)

    parameters = [jnp.full(length + num_draws, value) for value in values]
    jax.clear_caches()
    start = time.perf_counter()
    jax.jit(program).lower(jax.random.key(0), *parameters).compile()
    return time.perf_counter() - start
