"""The trainings of ``noisy_inputs``: options, and one interval of steps at a time."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

from . import _data, _devices
from ._bottleneck import (
    ARMS,
    PLACES,
    init_network,
    make_gradient_norms,
    make_predict,
    make_step,
)
from ._scores import classification_scores

NUM_CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    out: Path = Path("runs/noisy_inputs")
    """Folder of the results; the same command goes on where it was stopped."""
    seed: int = 0
    """First seed. A seed sets splits, sensor noise, first weights and draws."""
    num_seeds: int = 3
    """How many seeds, counted up from the first."""
    data: Literal["digits", "fashion"] = "digits"
    """Scikit-learn's digits (8 x 8), or Fashion-MNIST from IDX files (28 x 28)."""
    data_dir: Path | None = None
    """Folder of the IDX files of any 10 classes; by default Debian's package."""
    user_size: int = 300
    """Height and width of the input in the first part."""
    low_std: float = 0.1
    """Smallest standard deviation of the sensor noise; pixels lie in [0, 1]."""
    high_std: float = 0.5
    """Largest one; between them it is log-uniform, pixel by pixel."""
    steps: int = 600
    """Training steps of every arm, seed and beta."""
    eval_every: int = 50
    """Steps between two looks at the validation split; divides `steps`."""
    batch_size: int = 64
    """Images in a minibatch; divisible by `devices`."""
    learning_rate: float = 2e-3
    """Of Adam."""
    betas: tuple[float, ...] = (0.0, 3e-3)
    """Weights of the divergence that each arm chooses from."""
    width: int = 24
    """Channels of the first and last convolution; twice as many between them."""
    latents: int = 24
    """Channels of the latent."""
    num_draws: int = 8
    """Draws that a prediction is averaged over."""
    devices: int = 1
    """Devices, of all processes together, to split each minibatch over."""
    coordinator: str | None = None
    """HOST:PORT of process 0 of several; `auto` on SLURM and TPU pods."""
    num_processes: int | None = None
    """How many processes train together; divides `devices`. Not with `auto`."""
    process_id: int | None = None
    """Which of them this one is, from 0. Not with `auto`."""
    debug: bool = False
    """Check on every step that loss and gradients are finite (slower)."""
    checkpoint_seconds: float = 5.0
    """Least time between two checkpoints."""


class Setting(NamedTuple):
    """What the three arms of one seed share."""

    graphdef: nnx.GraphDef
    params: nnx.State
    measured: _data.Splits[_data.Measured]
    step_key: jax.Array
    predict_key: jax.Array
    probe_key: jax.Array


def make_setting(config: Config, seed: int, mesh: Mesh) -> Setting:
    """Draws everything that is the same for all arms.

    Args:
      config: the options.
      seed: sets the splits, the sensor noise, the first weights and the keys.
      mesh: the weights are put on all of its devices; the images stay on the host.

    Returns:
      The setting.
    """
    images = _data.load(config.data, config.data_dir, seed=seed)
    measure = functools.partial(
        _data.measure,
        low_std=config.low_std,
        high_std=config.high_std,
        rng=np.random.default_rng([seed, 2]),
    )
    measured = _data.Splits(*map(measure, images))
    init_key, *keys = jax.random.split(jax.random.key(seed), 4)
    graphdef, params = init_network(
        init_key,
        image_size=images.train.pixels.shape[1],
        num_classes=NUM_CLASSES,
        width=config.width,
        latents=config.latents,
    )
    params = _devices.replicate(mesh, params)
    return Setting(graphdef, params, measured, *keys)


def make_trainings(
    config: Config, mesh: Mesh
) -> tuple[Callable[[int, Any], tuple[Any, list[dict]]], Any, int]:
    """Lays all trainings end to end, for ``_runs.repeat``.

    Args:
      config: the options.
      mesh: minibatches are split over it.

    Returns:
      ``advance``, which trains one arm with one seed and beta for ``eval_every``
      steps and logs a line, and after its last step a second one with the scores of
      the weights that validated best; the first state; how many calls there are.
    """
    seeds = range(config.seed, config.seed + config.num_seeds)
    trials = list(itertools.product(seeds, ARMS, config.betas))
    intervals = config.steps // config.eval_every
    optimizer = optax.adam(config.learning_rate)
    setting = functools.lru_cache(maxsize=1)(
        lambda seed: make_setting(config, seed, mesh)
    )
    graphdef = setting(config.seed).graphdef

    def programs(arm):
        step = make_step(
            graphdef,
            learning_rate=config.learning_rate,
            arm=arm,
            mesh=mesh,
            debug=config.debug,
        )
        predict = make_predict(
            graphdef,
            deterministic=arm == "mean",
            num_draws=config.num_draws,
            mesh=mesh,
        )
        return step, predict, make_gradient_norms(graphdef, arm=arm)

    def scores(predict, params, measured, key):
        log_probs = _devices.in_batches(
            functools.partial(predict, params),
            measured,
            key,
            mesh=mesh,
            batch_size=2 * config.batch_size,
        )
        return classification_scores(log_probs, measured.labels)

    def start(seed):
        params = setting(seed).params
        return {
            "params": params,
            "opt_state": _devices.replicate(mesh, optimizer.init(params)),
            "best": {
                "params": params,
                "nll": np.asarray(np.inf),
                "step": np.asarray(0),
            },
        }

    def advance(index, state):
        trial, interval = divmod(index, intervals)
        seed, arm, beta = trials[trial]
        shared = setting(seed)
        train = shared.measured.train
        step, predict, gradient_norms = programs(arm)
        state = start(seed) if interval == 0 else state
        params, opt_state, best = state["params"], state["opt_state"], state["best"]
        done = (interval + 1) * config.eval_every
        losses = []
        for number in range(interval * config.eval_every, done):
            rows = _minibatch(seed, number, len(train.labels), config.batch_size)
            params, opt_state, loss = step(
                params,
                opt_state,
                _devices.feed(mesh, train, rows),
                shared.step_key,
                np.uint32(number),
                np.float32(beta),
            )
            losses.append(loss)
        where = {"seed": seed, "arm": arm, "beta": beta}
        key = jax.random.fold_in(shared.predict_key, 0)
        nll = scores(predict, params, shared.measured.validation, key)["nll"]
        if nll < best["nll"]:
            best = {"params": params, "nll": np.asarray(nll), "step": np.asarray(done)}
        lines = [where | {"step": done} | _means(losses) | {"validation_nll": nll}]
        if done == config.steps:
            key = jax.random.fold_in(shared.predict_key, 1)
            probe = jax.tree.map(lambda leaf: leaf[: config.batch_size], train)
            probe_key = jax.random.fold_in(shared.probe_key, 0)
            norms = gradient_norms(shared.params, probe, probe_key)
            lines.append(
                where
                | {"step": int(best["step"]), "validation_nll": float(best["nll"])}
                | scores(predict, best["params"], shared.measured.test, key)
                | {"grad_norm": float(norms[PLACES[0]])}
                | {"grad_norms": [float(norms[place]) for place in PLACES]}
            )
        return {"params": params, "opt_state": opt_state, "best": best}, lines

    return advance, start(config.seed), len(trials) * intervals


def _means(losses):
    losses = jax.device_get(losses)
    return {
        name: float(np.mean([loss[name] for loss in losses], dtype=np.float64))
        for name in losses[0]
    }


def _minibatch(seed, index, count, batch_size):
    return np.random.default_rng([seed, 3, index]).integers(count, size=batch_size)
