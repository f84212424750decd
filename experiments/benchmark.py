"""How fast are the samplers? `jax.random`, NumPyro and torch, interleaved in one run.

python -m experiments.benchmark normal network
python -m experiments.benchmark gamma beta dirichlet von_mises

Laws with concentrations are timed over those, beside TFP too (the nightly build; the
stable one does not import on current JAX), and their gradients compared: with the exact
ones draw by draw, in their mean, and by their variance. Peers that are not installed
are named and skipped; the extra `bench` installs torch.
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
from collections.abc import Sequence

import jax
import tyro
from rich.console import Console
from rich.progress import track

from . import _accuracy, _layout, _peers, _runs, _shape_peers, _shapes, _timing
from ._layout import ERROR, NETWORK, VARIANCE
from ._peers import BACKWARD, DRAW, FORWARD, GRADIENT
from ._shapes import OURS, SHAPES


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
    concentrations: tuple[float, ...] = (0.01, 0.1, 1, 10, 100, 1e3, 1e4)
    """Of gamma, beta and the like; and one array from 1e-3 to 1e6, log-uniformly."""
    concentration_exponent: int = 20
    """Elements of those arrays, as a power of two."""
    concentration_repeats: int = 5
    """Timings of each program on those arrays; their median counts."""
    error_draws: int = 512
    """Draws at each concentration whose gradients are compared with exact ones."""
    variance_draws: int = 2**16
    """Draws at each concentration for the variance of a gradient."""
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
      (``ns`` are per element) and their ``ratios`` to ours (above 1: ours is faster);
      with the ``case`` of a law with concentrations, whose further rows hold what
      ``_accuracy`` returns.

    Raises:
      UnknownSamplerError: the library has no such sampler.
    """
    samplers = _chosen(config.samplers)
    config.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for timer in track(list(_timers(samplers, config)), "timing", transient=True):
        rows.append(timer())
        summary = {
            "setting": setting(samplers),
            "missing": _peers.missing(samplers),
            "rows": rows,
        }
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
        if sampler in SHAPES:
            yield from _shape_timers(sampler, config)
            continue
        for job in (DRAW, GRADIENT):
            for exponent in config.exponents:
                yield functools.partial(_time_draw, sampler, job, 2**exponent, config)
        for length in config.compile_lengths:
            yield functools.partial(_time_compilation, sampler, length, config)


def _shape_timers(sampler, config):
    cases = (*config.concentrations, None)
    for job in (DRAW, GRADIENT):
        for case in cases:
            yield functools.partial(_time_shape, sampler, job, case, config)
    for case in cases:
        yield functools.partial(_compare_errors, sampler, case, config)
    for case in config.concentrations:
        yield functools.partial(_compare_variances, sampler, case, config)


def _time_shape(sampler, job, case, config):
    size = 2**config.concentration_exponent
    concentrations = _shapes.concentrations(case, size)
    programs = _shape_peers.draw_programs(sampler, job, concentrations)
    seconds = _timing.interleaved_seconds(programs, config.concentration_repeats, 1)
    row = _row(sampler, job, size, "ns", seconds, 1e9 / size)
    return row | {"case": _case(case)}


def _compare_errors(sampler, case, config):
    concentrations = _shapes.concentrations(case, config.error_draws)
    errors, not_finite = _accuracy.gradient_errors(sampler, concentrations)
    return {
        "sampler": sampler,
        "job": ERROR,
        "case": _case(case),
        "errors": errors,
        "not_finite": not_finite,
    }


def _compare_variances(sampler, case, config):
    found = _accuracy.gradient_variances(sampler, case, config.variance_draws)
    job = f"{VARIANCE}, {SHAPES[sampler].words}"
    return {"sampler": sampler, "job": job, "case": _case(case)} | found


def _case(concentration):
    return "mixed" if concentration is None else f"{concentration:g}"


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


def setting(samplers: Sequence[str] = ()) -> str:
    """Describes versions, processor and threads, in one line.

    Args:
      samplers: what is timed.

    Returns:
      The line.
    """
    libraries = ("jax", *filter(_peers.installed, _peers.libraries(samplers)))
    parts = [_version(name) for name in libraries]
    parts += [f"jax on {jax.default_backend()}", f"{os.cpu_count()} cores of {_cpu()}"]
    variables = ("XLA_FLAGS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    parts += [f"{name}={os.environ[name]}" for name in variables if name in os.environ]
    return ", ".join([*parts, "float32"])


def _version(library):
    packages = importlib.metadata.packages_distributions().get(library, [library])
    text = f"{packages[0]} {importlib.metadata.version(packages[0])}"
    if library == "torch":
        threads = importlib.import_module("torch").get_num_threads()
        text += f" (eager, on CPU, {threads} threads)"
    return text


def _cpu():
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.split(":")[1].strip() for line in lines if "model name" in line)
    return next(names, platform.processor())


def legend(config: Config) -> list[str]:
    """Says how the tables came about and how to read them.

    Args:
      config: of the run.

    Returns:
      Sentences.
    """
    samplers = _chosen(config.samplers)
    sentences = [
        f"{setting(samplers)}, medians of {config.repeats}, all peers in turns.",
        f"In brackets: the time over {OURS}'s; above 1, {OURS} is faster.",
        "ns are per element. A dash: no such distribution, or nothing to compile.",
    ]
    if any(sampler in SHAPES for sampler in samplers):
        sentences += _shape_legend(config)
    if missing := _peers.missing(samplers):
        sentences.append(f"Not installed, so not timed: {', '.join(missing)}.")
    return sentences


def _shape_legend(config):
    return [
        f"By concentration: 2^{config.concentration_exponent} elements, medians of "
        f"{config.concentration_repeats}; both parameters of a beta are equal, a "
        "Dirichlet has 4, a normal is truncated to [c, 2 c]; mixed: one array, "
        "log-uniform from 1e-3 to 1e6.",
        "A dash in a gradient: the peer has none for the shape (NumPyro's and torch's "
        "von Mises say has_rsample=False), or, for its error, none that is a function "
        "of the draw (it goes through auxiliary gammas or an approximate quantile).",
        f"{ERROR}: the largest relative error over {config.error_draws} draws of each "
        f"peer, against {OURS}.special in float64 at the same draws; in brackets, the "
        "part of the gradients that is not finite.",
        f"{VARIANCE}: of the estimate of the expectation's derivative, over {OURS}'s, "
        f"from {config.variance_draws} draws; in brackets, where its mean is off by "
        "more than 5 standard errors, by how much of the closed form.",
    ]


def main() -> None:
    """Runs the benchmark from the command line."""
    config = tyro.cli(Config, description=__doc__)
    try:
        rows = run(config)
    except _peers.UnknownSamplerError as error:
        raise SystemExit(str(error)) from None
    command = shlex.join(["python", "-m", "experiments.benchmark", *sys.argv[1:]])
    text = "\n\n".join(
        [f"`{command}`", "\n".join(legend(config)), _layout.markdown(rows)]
    )
    (config.out / "benchmark.md").write_text(text)
    _layout.plot(rows, config.out / "benchmark.png")
    console = Console()
    console.print(*legend(config), *_layout.report(rows), sep="\n")
    console.print(f"the same in {config.out}/benchmark.md, with a figure beside it")


if __name__ == "__main__":
    main()
