"""How fast are the samplers? `jax.random`, NumPyro and torch, interleaved in one run.

python -m experiments.benchmark normal network

Peers that are not installed are named and skipped; the extra `bench` installs torch.
"""

import dataclasses
import functools
import importlib
import importlib.metadata
import os
import pathlib
import platform
import shlex
import statistics
import sys

import jax
import numpy as np
import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

from . import _peers, _runs, _timing
from ._peers import BACKWARD, DRAW, FORWARD, GRADIENT, OURS

NETWORK = "network"
COLORS = {
    OURS: "#1b6ca8",
    "jax.random": "#e08a1e",
    "numpyro": "#4d9221",
    "torch": "#c2185b",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What to time, and how often."""

    samplers: tyro.conf.Positional[tuple[str, ...]] = ("normal",)
    """Names of samplers; `network` for a draw and a convolution; `all`."""
    exponents: tuple[int, ...] = (10, 12, 14, 16, 18, 20, 22, 24)
    """Array sizes, as powers of two."""
    repeats: int = 15
    """Timings of each program; their median counts."""
    compile_draws: int = 20
    """Draws in the program whose compilation is timed."""
    compile_lengths: tuple[int, ...] = (64, 1024, 4096)
    """Lengths of those draws."""
    network_size: int = 300
    """Height and width of the network's input, of 16 channels."""
    out: pathlib.Path = pathlib.Path("runs/benchmark")
    """Folder for summary.json, benchmark.md and benchmark.png."""


def run(config: Config) -> list[dict]:
    """Times everything chosen, and writes ``summary.json`` after every program timed.

    Args:
      config: what to time.

    Returns:
      Rows with ``sampler``, ``job``, ``elements`` and, by peer, ``times`` in ``unit``
      (``ns`` are per element) and their ``ratios`` to ours (above 1: ours is faster).

    Raises:
      UnknownSamplerError: the library has no such sampler.
    """
    samplers = _chosen(config.samplers)
    config.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for timer in track(list(_timers(samplers, config)), "timing", transient=True):
        rows.append(timer())
        summary = {"setting": setting(), "missing": _peers.missing(), "rows": rows}
        _runs.write_json(config.out / "summary.json", summary)
    return rows


def _chosen(names):
    if "all" in names:
        return [*_peers.existing(), NETWORK]
    for name in names:
        if name != NETWORK:
            _peers.check(name)
    return list(dict.fromkeys(names))


def _timers(samplers, config):
    for sampler in samplers:
        if sampler == NETWORK:
            for job in (FORWARD, BACKWARD):
                yield functools.partial(_time_network, job, config)
            continue
        for job in (DRAW, GRADIENT):
            for exponent in config.exponents:
                yield functools.partial(_time_draw, sampler, job, 2**exponent, config)
        for length in config.compile_lengths:
            yield functools.partial(_time_compilation, sampler, length, config)


def _time_draw(sampler, job, size, config):
    programs = _peers.draw_programs(sampler, job, size)
    calls = max(1, min(300, 2**20 // size))
    seconds = _timing.interleaved_seconds(programs, config.repeats, calls)
    return _row(sampler, job, size, "ns", seconds, 1e9 / size)


def _time_network(job, config):
    size = config.network_size
    programs = _peers.network_programs(job, size)
    seconds = _timing.interleaved_seconds(programs, config.repeats, 1)
    return _row(NETWORK, job, size * size * 16, "ms", seconds, 1e3)


def _time_compilation(sampler, length, config):
    draws = _peers.jax_draws(sampler)
    values = _peers.LAWS[sampler].values
    timings = [
        {
            peer: _timing.compile_seconds(draw, values, config.compile_draws, length)
            for peer, draw in draws.items()
        }
        for _ in range(min(5, config.repeats))
    ]
    seconds = {peer: statistics.median(t[peer] for t in timings) for peer in draws}
    job = f"compile {config.compile_draws} draws"
    return _row(sampler, job, length, "s", seconds, 1.0)


def _row(sampler, job, elements, unit, seconds, scale):
    return {
        "sampler": sampler,
        "job": job,
        "elements": elements,
        "unit": unit,
        "times": {peer: value * scale for peer, value in seconds.items()},
        "ratios": {peer: value / seconds[OURS] for peer, value in seconds.items()},
    }


def setting() -> str:
    """Describes versions, processor and threads, in one line."""
    libraries = ("jax", *filter(_peers.installed, _peers.OPTIONAL))
    parts = [f"{name} {importlib.metadata.version(name)}" for name in libraries]
    if "torch" in libraries:
        threads = importlib.import_module("torch").get_num_threads()
        parts[-1] += f" (eager, on CPU, {threads} threads)"
    parts += [f"jax on {jax.default_backend()}", f"{os.cpu_count()} cores of {_cpu()}"]
    variables = ("XLA_FLAGS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    parts += [f"{name}={os.environ[name]}" for name in variables if name in os.environ]
    return ", ".join([*parts, "float32"])


def _cpu():
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.split(":")[1].strip() for line in lines if "model name" in line)
    return next(names, platform.processor())


def lay_out(rows: list[dict]) -> dict[str, list[list[str]]]:
    """Lays the rows of :func:`run` out as text.

    Args:
      rows: from :func:`run`.

    Returns:
      By sampler, a table of cells, its header first. Beside a time, in brackets, is its
      ratio to ours; a dash stands for a peer that is not there.
    """
    tables = {}
    for row in rows:
        peers = row["times"] if row["sampler"] == NETWORK else COLORS
        header = ["job", "elements", *peers]
        job, elements = f"{row['job']}, {row['unit']}", _power(row["elements"])
        cells = [job, elements, *(_cell(row, peer) for peer in peers)]
        tables.setdefault(row["sampler"], [header]).append(cells)
    return tables


def _power(count):
    exponent = count.bit_length() - 1
    return f"2^{exponent}" if count == 2**exponent else str(count)


def _cell(row, peer):
    if peer not in row["times"]:
        return "-"
    time = _three_digits(row["times"][peer])
    return time if peer == OURS else f"{time} ({_three_digits(row['ratios'][peer])})"


def _three_digits(value):
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def report(rows: list[dict]) -> list[Table]:
    """Makes a table of each sampler's rows, for the console.

    Args:
      rows: from :func:`run`.

    Returns:
      Rich tables.
    """
    tables = []
    for sampler, (header, *lines) in lay_out(rows).items():
        table = Table(title=sampler)
        for column in header:
            table.add_column(column, justify="left" if column == "job" else "right")
        for line in lines:
            table.add_row(*line)
        tables.append(table)
    return tables


def markdown(rows: list[dict]) -> str:
    """Writes each sampler's rows as a Markdown table.

    Args:
      rows: from :func:`run`.

    Returns:
      The tables, each beneath its sampler's name.
    """
    texts = []
    for sampler, (header, *lines) in lay_out(rows).items():
        rule = ["---", *["--:"] * (len(header) - 1)]
        table = ["| " + " | ".join(line) + " |" for line in (header, rule, *lines)]
        texts += [f"`{sampler}`", "\n".join(table)]
    return "\n\n".join(texts) + "\n"


def legend(config: Config) -> list[str]:
    """Says how the tables came about and how to read them.

    Args:
      config: of the run.

    Returns:
      Sentences.
    """
    sentences = [
        f"{setting()}, medians of {config.repeats}, all peers in turns.",
        f"In brackets: the time over {OURS}'s; above 1, {OURS} is faster.",
        "ns are per element. A dash: no such distribution, or nothing to compile.",
    ]
    if missing := _peers.missing():
        sentences.append(f"Not installed, so not timed: {', '.join(missing)}.")
    return sentences


def plot(rows: list[dict], path: pathlib.Path) -> None:
    """Draws time per element against elements, and the times of the network as bars.

    Args:
      rows: from :func:`run`.
      path: of the picture.
    """
    rows = [row for row in rows if not row["job"].startswith("compile")]
    samplers = list(dict.fromkeys(row["sampler"] for row in rows))
    figure = Figure(figsize=(11, 3.6 * len(samplers)), layout="constrained")
    grid = figure.subplots(len(samplers), 2, squeeze=False)
    for sampler, panels in zip(samplers, grid, strict=True):
        mine = [row for row in rows if row["sampler"] == sampler]
        jobs = list(dict.fromkeys(row["job"] for row in mine))
        for job, axes in zip(jobs, panels, strict=True):
            axes.set_title(f"{sampler}: {job}")
            draw = _plot_bars if sampler == NETWORK else _plot_lines
            draw(axes, [row for row in mine if row["job"] == job])
    figure.savefig(path, dpi=150)


def _plot_lines(axes, rows):
    peers = [peer for peer in COLORS if peer in rows[0]["times"]]
    for peer in peers:
        elements = [row["elements"] for row in rows]
        times = [row["times"][peer] for row in rows]
        axes.plot(elements, times, marker=".", color=COLORS[peer])
    axes.set_xscale("log", base=2)
    axes.set(yscale="log", xlabel="elements", ylabel="ns per element")
    axes.grid(alpha=0.3)
    _label_ends(axes, {peer: rows[-1]["times"][peer] for peer in peers})


def _label_ends(axes, ends):
    low, high = np.log(axes.get_ylim())
    place = -np.inf
    for peer, value in sorted(ends.items(), key=lambda end: end[1]):
        place = max((np.log(value) - low) / (high - low), place + 0.08)
        axes.text(
            1.02,
            place,
            peer,
            color=COLORS[peer],
            transform=axes.transAxes,
            va="center",
        )


def _plot_bars(axes, rows):
    (row,) = rows
    names = [peer.replace(", ", "\n") for peer in row["times"]]
    times = list(row["times"].values())
    colors = [COLORS.get(peer, "#8c8c8c") for peer in row["times"]]
    bars = axes.barh(names, times, color=colors)
    axes.bar_label(bars, labels=map(_three_digits, times), padding=3)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.2 * max(times)), xlabel=row["unit"])


def main() -> None:
    """Runs the benchmark from the command line."""
    config = tyro.cli(Config, description=__doc__)
    try:
        rows = run(config)
    except _peers.UnknownSamplerError as error:
        raise SystemExit(str(error)) from None
    command = shlex.join(["python", "-m", "experiments.benchmark", *sys.argv[1:]])
    text = "\n\n".join([f"`{command}`", "\n".join(legend(config)), markdown(rows)])
    (config.out / "benchmark.md").write_text(text)
    plot(rows, config.out / "benchmark.png")
    console = Console()
    console.print(*legend(config), *report(rows), sep="\n")
    console.print(f"the same in {config.out}/benchmark.md, with a figure beside it")


if __name__ == "__main__":
    main()
