"""The trainings of ``vae``: options, and one interval of steps at a time."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from . import _data, _devices, _trials
from ._vae_latents import Latent
from ._vae_model import (
    Network,
    Objective,
    init_network,
    make_evaluate,
    make_pictures,
    make_train,
)

NUM_PICTURES = 10
MAX_PLACES = 2000


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    out: Path = Path("runs/vae")
    """Folder of the results; the same command goes on where it was stopped."""
    seed: int = 0
    """First seed. A seed sets first weights, minibatches and draws."""
    num_seeds: int = 3
    """How many seeds, counted up from the first."""
    data: Literal["digits", "fashion"] = "digits"
    """Scikit-learn's digits (8 x 8), or Fashion-MNIST from IDX files (28 x 28)."""
    data_dir: Path | None = None
    """Folder of the IDX files; by default Debian's package."""
    objectives: tuple[Objective, ...] = ("elbo", "stl", "iwae", "dreg")
    """What to maximise, each in trainings of its own."""
    num_samples: int = 5
    """Draws of the importance-weighted bound in training."""
    latent: Latent = "normal"
    """Law of the latent; the prior is standard normal, or uniform."""
    latents: int = 8
    """Length of the latent."""
    network: Network = "dense"
    """One hidden layer, or two convolutions, on each side."""
    width: int = 64
    """Of the hidden layer; or channels of the outer convolutions, half of the inner."""
    steps: int = 9000
    """Training steps of every objective and seed."""
    eval_every: int = 1000
    """Steps between two lines of the log, and checkpoints; divides `steps`."""
    batch_size: int = 64
    """Images in a minibatch; divisible by `devices`."""
    learning_rate: float = 3e-3
    """Of Adam at first; it falls to 0 along a half cosine."""
    weight_decay: float = 0.05
    """In each step the weights shrink by this, times the learning rate."""
    test_samples: int = 500
    """Draws of the test likelihood."""
    chunk_size: int = 50
    """How many of them are decoded at a time; divides `test_samples`."""
    devices: int = 1
    """Devices, of all processes together, to split each minibatch over."""
    coordinator: str | None = None
    """HOST:PORT of process 0 of several; `auto` on SLURM and TPU pods."""
    num_processes: int | None = None
    """How many processes train together; divides `devices`. Not with `auto`."""
    process_id: int | None = None
    """Which of them this one is, from 0. Not with `auto`."""
    debug: bool = False
    """Check on every step that bound and gradients are finite (slower)."""
    checkpoint_seconds: float = 5.0
    """Least time between two checkpoints."""


def make_trainings(
    config: Config,
    mesh: Mesh,
    keep_pictures: Callable[[Objective, dict[str, np.ndarray]], None],
) -> tuple[Callable[[int, Any], tuple[Any, list[dict]]], Any, int]:
    """Lays all trainings end to end, for ``_runs.repeat``.

    Args:
      config: the options.
      mesh: minibatches are split over it.
      keep_pictures: is given what the figure shows of each objective, at the end of its
        training with the first seed; perhaps again after a kill.

    Returns:
      ``advance``, which trains with one objective and seed for ``eval_every`` steps and
      logs a line, and after its last step a second one with the scores of the test
      split; the first state; how many calls there are.
    """
    train_images, test_images = _data.binarize(config.data, config.data_dir)
    optimizer = make_optimizer(config.learning_rate, config.steps, config.weight_decay)
    seeds = range(config.seed, config.seed + config.num_seeds)
    trials = list(itertools.product(seeds, config.objectives))
    graphdef, _ = init(config, config.seed, train_images)
    evaluate = make_evaluate(
        graphdef,
        num_samples=config.test_samples,
        chunk_size=config.chunk_size,
        mesh=mesh,
    )

    def start(trial):
        seed, _ = trial
        _, params = init(config, seed, train_images)
        params = _devices.replicate(mesh, params)
        opt_state = _devices.replicate(mesh, optimizer.init(params))
        return {"params": params, "opt_state": opt_state}

    def train(trial, state, interval):
        seed, objective = trial
        train_steps = make_train(
            graphdef,
            objective=objective,
            num_samples=config.num_samples,
            optimizer=optimizer,
            mesh=mesh,
            debug=config.debug,
        )
        _, step_key, test_key, picture_key = keys_of(seed)
        rows = choose_rows(
            seed,
            interval,
            count=len(train_images.pixels),
            shape=(config.eval_every, config.batch_size),
        )
        params, opt_state, value = train_steps(
            state["params"],
            state["opt_state"],
            _devices.feed(mesh, train_images.pixels, rows),
            step_key,
            np.uint32(interval * config.eval_every),
        )
        done = (interval + 1) * config.eval_every
        where = {"seed": seed, "objective": objective, "step": done}
        lines = [where | {"bound": float(value)}]
        if done == config.steps:
            scores = _devices.in_batches(
                functools.partial(evaluate, params),
                test_images.pixels,
                test_key,
                mesh=mesh,
                batch_size=config.batch_size,
            )
            lines.append(where | {name: _mean(x) for name, x in scores.items()})
            if seed == config.seed:
                pictures = make_pictures(graphdef, num_pictures=NUM_PICTURES, mesh=mesh)
                pixels = _devices.replicate(mesh, test_images.pixels[:MAX_PLACES])
                shown = jax.device_get(pictures(params, pixels, picture_key))
                keep_pictures(objective, shown)
        return {"params": params, "opt_state": opt_state}, lines

    return _trials.lay_out(trials, config.steps // config.eval_every, start, train)


@functools.cache
def make_optimizer(
    learning_rate: float, steps: int, weight_decay: float
) -> optax.GradientTransformation:
    """Makes Adam with a learning rate that falls to 0 along a half cosine.

    Args:
      learning_rate: the first one.
      steps: after which it is 0.
      weight_decay: decoupled from the moments (AdamW).

    Returns:
      The optimizer.
    """
    schedule = optax.cosine_decay_schedule(learning_rate, steps)
    return optax.adamw(schedule, weight_decay=weight_decay)


def keys_of(seed: int) -> jax.Array:
    """Splits a seed: for first weights, training steps, test, and pictures.

    Args:
      seed: an integer.

    Returns:
      Four keys.
    """
    return jax.random.split(jax.random.key(seed), 4)


def init(config: Config, seed: int, images: _data.Images):
    """Draws first weights, the same for all objectives.

    Args:
      config: the options.
      seed: of the training.
      images: what is encoded.

    Returns:
      The graph definition and the parameters.
    """
    return init_network(
        keys_of(seed)[0],
        image_size=images.pixels.shape[1],
        network=config.network,
        width=config.width,
        latent=config.latent,
        latents=config.latents,
    )


def choose_rows(
    seed: int, interval: int, *, count: int, shape: tuple[int, int]
) -> np.ndarray:
    """Chooses the images of an interval's minibatches, the same for all objectives.

    Args:
      seed: of the training.
      interval: its number.
      count: how many images there are.
      shape: steps of the interval, images of a minibatch.

    Returns:
      Rows of that shape; they depend on nothing else.
    """
    return np.random.default_rng([seed, interval]).integers(count, size=shape)


def _mean(values):
    return float(np.mean(values, dtype=np.float64))
