"""How fast are the samplers? Ratios against `jax.random`, interleaved in one run.

python -m experiments.benchmark normal
"""

import dataclasses
import functools
import json
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

import reparam_jax as rj

Draw = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Config:
    """Times draws and gradients of samplers against the same lines on `jax.random`."""

    samplers: tyro.conf.Positional[tuple[str, ...]] = ("normal",)
    """Names of samplers."""
    exponents: tuple[int, ...] = (10, 12, 14, 16, 18, 20, 22, 24)
    """Array sizes, as powers of two."""
    repeats: int = 15
    """Timings of each program; their median counts."""
    compile_draws: int = 20
    """Draws in the program whose compilation is timed."""
    compile_lengths: tuple[int, ...] = (64, 1024, 4096)
    """Lengths of those draws."""
    out: pathlib.Path = pathlib.Path("runs/benchmark")
    """Folder for summary.json."""


def _reference_normal(key, mean, var):
    return mean + jnp.sqrt(var) * jax.random.normal(key, mean.shape, mean.dtype)


PEERS: Mapping[str, Mapping[str, Draw]] = {
    "normal": {"reparam_jax": rj.normal, "jax.random": _reference_normal},
}


def draw_and_gradient(draw: Draw) -> Callable:
    """Returns the value and gradients of the summed squares of a draw."""

    def loss(mean, var, key):
        return jnp.sum(jnp.square(draw(key, mean, var)))

    return lambda key, mean, var: jax.value_and_grad(loss, (0, 1))(mean, var, key)


def interleaved_seconds(
    programs: Mapping[str, Callable[[], object]], repeats: int, calls: int
) -> dict[str, float]:
    """Returns the median seconds of one call of each program, timed in turns.

    Args:
      programs: argument-free functions, by name.
      repeats: timings of each program.
      calls: calls within one timing.

    Returns:
      Seconds, by name.
    """
    seconds = {name: [] for name in programs}
    for program in programs.values():
        jax.block_until_ready(program())
    for _ in range(repeats):
        for name, program in programs.items():
            start = time.perf_counter()
            for _ in range(calls):
                jax.block_until_ready(program())
            seconds[name].append((time.perf_counter() - start) / calls)
    return {name: statistics.median(times) for name, times in seconds.items()}


def compile_seconds(draw: Draw, num_draws: int, length: int) -> float:
    """Returns the seconds to trace, lower and compile a program of many small draws."""

    def program(key, mean, var):
        keys = jax.random.split(key, num_draws)
        draws = [draw(keys[i], mean[i:], var[i:]) for i in range(num_draws)]
        return sum(jnp.sum(jnp.tanh(z)) for z in draws)

    mean = jnp.ones(length + num_draws)
    jax.clear_caches()
    start = time.perf_counter()
    jax.jit(program).lower(jax.random.key(0), mean, mean).compile()
    return time.perf_counter() - start


def _time_runs(sampler, exponent, config):
    size = 2**exponent
    arguments = jax.random.key(0), jnp.zeros(size), jnp.full(size, 2.0)
    for job, wrap in (("draw", lambda draw: draw), ("gradient", draw_and_gradient)):
        programs = {
            name: functools.partial(jax.jit(wrap(draw)), *arguments)
            for name, draw in PEERS[sampler].items()
        }
        calls = max(1, min(300, 2**20 // size))
        seconds = interleaved_seconds(programs, config.repeats, calls)
        yield _row(
            sampler, f"{job}, 2^{exponent} elements, ns each", seconds, 1e9 / size
        )


def _time_compilation(sampler, length, config):
    timings = [
        {
            name: compile_seconds(draw, config.compile_draws, length)
            for name, draw in PEERS[sampler].items()
        }
        for _ in range(5)
    ]
    seconds = {name: statistics.median(t[name] for t in timings) for name in timings[0]}
    yield _row(
        sampler, f"compile {config.compile_draws} draws of {length}, s", seconds, 1.0
    )


def _row(sampler, job, seconds, unit):
    ratio = seconds["jax.random"] / seconds["reparam_jax"]
    times = {name: value * unit for name, value in seconds.items()}
    return {"sampler": sampler, "job": job, **times, "ratio": ratio}


def run(config: Config) -> list[dict]:
    """Times every chosen sampler at every size.

    Args:
      config: what to time.

    Returns:
      One row for each sampler and job: the time of each peer, and the ratio of the time
      of `jax.random` to ours (above 1: ours is faster).
    """
    jobs = [
        (_time_runs, sampler, exponent)
        for sampler in config.samplers
        for exponent in config.exponents
    ] + [
        (_time_compilation, sampler, length)
        for sampler in config.samplers
        for length in config.compile_lengths
    ]
    return [
        row
        for timer, sampler, size in track(jobs, "timing", transient=True)
        for row in timer(sampler, size, config)
    ]


def report(rows: list[dict]) -> Table:
    """Lays the rows of `run` out as a table."""
    table = Table(title=f"jax {jax.__version__}, {jax.devices()[0].platform}")
    for column, value in rows[0].items():
        table.add_column(column, justify="left" if isinstance(value, str) else "right")
    for row in rows:
        table.add_row(*(x if isinstance(x, str) else f"{x:.2f}" for x in row.values()))
    return table


def main():
    """Runs the benchmark from the command line."""
    config = tyro.cli(Config, description=Config.__doc__)
    rows = run(config)
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "summary.json").write_text(json.dumps(rows, indent=2))
    Console().print(report(rows))


if __name__ == "__main__":
    main()
