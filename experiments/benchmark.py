"""How fast are the samplers? `jax.random`, NumPyro and torch, interleaved in one run.

python -m experiments.benchmark normal network
python -m experiments.benchmark gamma beta dirichlet von_mises
python -m experiments.benchmark vae

Laws with concentrations are timed over those, beside TFP too (the nightly build; the
stable one does not import on current JAX), and their gradients compared: with the exact
ones draw by draw, in their mean, and by their variance. `vae` is the training step of a
convolutional VAE, beside torch's in several ways: its time, inside `jax.lax.scan` too,
the first one with compilation, its memory, and the test bound both reach. Peers that
are not installed are named and skipped; the extra `bench` installs torch.
"""

import dataclasses
import functools
import pathlib
import shlex
import statistics
import sys
from typing import Literal

import tyro
from rich.console import Console
from rich.progress import track

from . import (
    _accuracy,
    _data,
    _layout,
    _legend,
    _peers,
    _runs,
    _shape_peers,
    _shapes,
    _timing,
    _vae_peers,
)
from ._layout import ERROR, NETWORK, VAE, VARIANCE
from ._peers import BACKWARD, DRAW, FORWARD, GRADIENT
from ._shapes import OURS, SHAPES


@dataclasses.dataclass(frozen=True)
class Config:
    """What to time, and how often."""

    samplers: tyro.conf.Positional[tuple[str, ...]] = ("normal",)
    """Names of samplers; `network` for a draw and a convolution; `vae`; `all`."""
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
    vae_data: Literal["fashion", "digits"] = "fashion"
    """Images of the VAE, black and white."""
    vae_steps: int = 500
    """Training steps of the VAE before its test bound."""
    vae_seeds: int = 3
    """Trainings of the VAE for its test bound."""
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
            "setting": _legend.setting(samplers),
            "missing": _peers.missing(samplers),
            "rows": rows,
        }
        _runs.write_json(config.out / "summary.json", summary)
    return rows


def _chosen(names):
    if "all" in names:
        return [*_peers.existing(), NETWORK, VAE]
    for name in names:
        if name not in (NETWORK, VAE):
            _peers.check(name)
    return list(dict.fromkeys(names))


def _timers(samplers, config):
    for sampler in samplers:
        if sampler == NETWORK:
            for job in (FORWARD, BACKWARD):
                yield functools.partial(_time_network, job, config)
            continue
        if sampler == VAE:
            yield from _vae_timers(config)
            continue
        if sampler in SHAPES:
            yield from _shape_timers(sampler, config)
            continue
        for job in (DRAW, GRADIENT):
            for exponent in config.exponents:
                yield functools.partial(_time_draw, sampler, job, 2**exponent, config)
        for length in config.compile_lengths:
            yield functools.partial(_time_compilation, sampler, length, config)


def _vae_timers(config):
    train, test = (part.pixels for part in _data.binarize(config.vae_data))
    for measure in (_time_vae, _time_first_vae, _weigh_vae):
        yield functools.partial(measure, train[: _vae_peers.BATCH], config)
    for seed in range(config.vae_seeds):
        yield functools.partial(_bound_vae, train, test, seed, config)


def _time_vae(pixels, config):
    programs = _vae_peers.step_programs(pixels)
    seconds = _timing.interleaved_seconds(programs, config.repeats, 1)
    return _row(
        VAE, _vae_peers.TIME, len(pixels), "ms", seconds, 1e3 / _vae_peers.STEPS
    )


def _time_first_vae(pixels, config):
    del config
    seconds = _vae_peers.first_seconds(pixels)
    return _row(VAE, _vae_peers.FIRST, len(pixels), "s", seconds, 1.0)


def _weigh_vae(pixels, config):
    del config
    found = _vae_peers.step_bytes(pixels)
    return _row(VAE, _vae_peers.MEMORY, len(pixels), "MB", found, 1e-6)


def _bound_vae(train, test, seed, config):
    found = _vae_peers.bounds(train, test, steps=config.vae_steps, seed=seed)
    job = f"{_vae_peers.BOUND} after {config.vae_steps} steps, seed {seed}"
    return _row(VAE, job, len(test), "nats", found, 1.0) | {"ratios": {}}


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


def main() -> None:
    """Runs the benchmark from the command line."""
    config = tyro.cli(Config, description=__doc__)
    try:
        rows = run(config)
    except _peers.UnknownSamplerError as error:
        raise SystemExit(str(error)) from None
    command = shlex.join(["python", "-m", "experiments.benchmark", *sys.argv[1:]])
    legend = _legend.legend(_chosen(config.samplers), config)
    text = "\n\n".join([f"`{command}`", "\n".join(legend), _layout.markdown(rows)])
    (config.out / "benchmark.md").write_text(text)
    _layout.plot(rows, config.out / "benchmark.png")
    console = Console()
    console.print(*legend, *_layout.report(rows), sep="\n")
    console.print(f"the same in {config.out}/benchmark.md, with a figure beside it")


if __name__ == "__main__":
    main()
