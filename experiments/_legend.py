"""What a benchmark ran on, and how to read its tables."""

import importlib
import importlib.metadata
import os
import pathlib
import platform
from collections.abc import Sequence
from typing import Any

import jax

from . import _peers, _vae_peers
from ._layout import ERROR, VAE, VARIANCE
from ._shapes import OURS, SHAPES


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


def legend(samplers: Sequence[str], config: Any) -> list[str]:
    """Says how the tables came about and how to read them.

    Args:
      samplers: what is timed.
      config: of the run.

    Returns:
      Sentences.
    """
    sentences = [
        f"{setting(samplers)}, medians of {config.repeats}, all peers in turns.",
        f"In brackets: the time over {OURS}'s; above 1, {OURS} is faster.",
        "ns are per element. A dash: no such distribution, or nothing to compile.",
    ]
    if any(sampler in SHAPES for sampler in samplers):
        sentences += _shape_legend(config)
    if VAE in samplers:
        sentences += _vae_legend(config)
    if missing := _peers.missing(samplers):
        sentences.append(f"Not installed, so not timed: {', '.join(missing)}.")
    return sentences


def _vae_legend(config):
    return [
        f"vae: minibatches of {_vae_peers.BATCH} images ({config.vae_data}), times by "
        f"{_vae_peers.STEPS} steps; torch's Adam is fused, its kernels are NCHW but "
        "where it says channels last.",
        f"{_vae_peers.MEMORY}: the most held beside parameters, moments and images.",
    ]


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
