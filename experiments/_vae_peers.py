"""A VAE's training step here and in PyTorch: time, compilation, memory, test bound."""

import functools
import importlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from . import _vae_step, _vae_torch
from ._peers import Programs, installed
from ._shapes import OURS

BATCH, STEPS = 128, 10
SCAN = f"{OURS}, in a scan"
TIME, FIRST, MEMORY = "training step", "first step", "memory of a step"
BOUND = "test bound"


def torch_variants() -> dict[str, dict]:
    """Returns the ways PyTorch computes the step, by peer; none if it is missing."""
    return _vae_torch.VARIANTS if installed("torch") else {}


def step_programs(pixels: np.ndarray) -> Programs:
    """Returns what each peer runs for ten training steps.

    Args:
      pixels: the minibatch, of shape (batch, height, width, 1).

    Returns:
      Argument-free functions by peer, ours first.
    """
    batch = jnp.asarray(pixels)

    def ten_in_a_scan(step, state, pixels):
        return jax.lax.scan(lambda now, _: step(now, pixels), state, length=STEPS)

    step, state = _our_step(pixels)
    scan = jax.jit(functools.partial(ten_in_a_scan, step), donate_argnums=0)
    programs: Programs = {
        OURS: _ten(_hold(jax.jit(step, donate_argnums=0), state, batch)),
        SCAN: _hold(scan, _our_step(pixels)[1], batch),
    }
    for peer in torch_variants():
        programs[peer] = _ten(_torch_program(peer, pixels))
    return programs


def first_seconds(pixels: np.ndarray) -> dict[str, float]:
    """Returns the seconds until each peer's first step is done, all compilation in it.

    Args:
      pixels: the minibatch.

    Returns:
      Seconds, by peer.
    """
    step, state = _our_step(pixels)
    ours = _hold(jax.jit(step, donate_argnums=0), state, jnp.asarray(pixels))
    programs = {OURS: ours}
    for peer in torch_variants():
        programs[peer] = _torch_program(peer, pixels)
    jax.clear_caches()
    seconds = {}
    for peer, program in programs.items():
        if peer != OURS:
            importlib.import_module("torch").compiler.reset()
        start = time.perf_counter()
        jax.block_until_ready(program())
        seconds[peer] = time.perf_counter() - start
    return seconds


def step_bytes(pixels: np.ndarray) -> dict[str, float]:
    """Returns the most bytes a step holds beside parameters, moments and pixels.

    Ours is what XLA plans; PyTorch's is the highest sum of what its profiler saw
    allocated and freed.

    Args:
      pixels: the minibatch.

    Returns:
      Bytes, by peer.
    """
    step, state = _our_step(pixels)
    jitted = jax.jit(step, donate_argnums=0)
    analysis = jitted.lower(state, jnp.asarray(pixels)).compile().memory_analysis()
    found = {OURS: analysis.temp_size_in_bytes}  # pyright: ignore
    for peer in torch_variants():
        program = _torch_program(peer, pixels)
        program()
        found[peer] = _torch_bytes(program)
    return found


def _torch_bytes(program):
    torch = importlib.import_module("torch")
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        program()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    events = sorted(
        (event for event in events if event["name"] == "[memory]"),
        key=lambda event: event["ts"],
    )
    return float(max(np.cumsum([event["args"]["Bytes"] for event in events])))


def bounds(
    train: np.ndarray, test: np.ndarray, *, steps: int, seed: int
) -> dict[str, float]:
    """Returns the test bound of ours and of PyTorch after the same steps.

    Both start at the same parameters and see the same minibatches; the noise is their
    own.

    Args:
      train: pixels, of shape (count, height, width, 1).
      test: pixels to evaluate.
      steps: of training.
      seed: sets parameters, minibatches and noise.

    Returns:
      Mean bounds in nats, by peer.
    """
    image_size = train.shape[1]
    rng = np.random.default_rng(seed)
    rows = [rng.integers(len(train), size=BATCH) for _ in range(steps)]
    graphdef, state = _vae_step.init(seed, image_size)
    params = jax.tree.map(np.asarray, nnx.to_pure_dict(state.params))
    step = jax.jit(_vae_step.make_step(graphdef), donate_argnums=0)
    for index in rows:
        state, _ = step(state, train[index])
    bound = jax.jit(_vae_step.make_bound(graphdef))
    parts = np.array_split(test, -(-len(test) // 1000))
    keys = jax.random.split(state.key, len(parts))
    ours = [
        np.asarray(bound(state.params, key, part))
        for key, part in zip(keys, parts, strict=True)
    ]
    found = {OURS: float(np.concatenate(ours).mean())}
    if installed("torch"):
        torch = importlib.import_module("torch")
        torch.manual_seed(seed)
        torch_step, torch_bound = _vae_torch.make_step(params, image_size)
        for index in rows:
            torch_step(torch.tensor(_nchw(train[index])))
        found["torch"] = torch_bound(_nchw(test))
    return found


def _nchw(pixels):
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _our_step(pixels):
    graphdef, state = _vae_step.init(0, pixels.shape[1])
    return _vae_step.make_step(graphdef), state


def _hold(step, state, batch):
    """Returns a function that makes a step, or steps, on from the last."""
    held = [state]

    def program():
        held[0], value = step(held[0], batch)
        return value

    return program


def _torch_program(peer, pixels):
    torch = importlib.import_module("torch")
    options = _vae_torch.VARIANTS[peer]
    state = _our_step(pixels)[1]
    params = jax.tree.map(np.asarray, nnx.to_pure_dict(state.params))
    step, _ = _vae_torch.make_step(params, pixels.shape[1], **options)
    batch = torch.tensor(_nchw(pixels))
    if options.get("channels_last"):
        batch = batch.contiguous(memory_format=torch.channels_last)
    return functools.partial(step, batch)


def _ten(program: Callable) -> Callable:
    def programs():
        for _ in range(STEPS):
            value = program()
        return value

    return programs
