"""The trainings of ``discrete_vae``: options, and one interval of steps at a time."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import nnx

from . import _data, _trials
from ._discrete_estimators import Estimator, Name, make_estimator
from ._discrete_model import DiscreteVae, Latent, Network
from ._discrete_scores import make_look


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    out: Path = Path("runs/discrete_vae")
    """Folder of the results; the same command goes on where it was stopped."""
    seed: int = 0
    """First seed. A seed sets first weights, minibatches and draws."""
    num_seeds: int = 3
    """How many seeds, counted up from the first."""
    estimators: Annotated[tuple[Name, ...], tyro.conf.arg(aliases=("--estimator",))] = (
        "disarm",
        "leave_one_out",
        "arm",
    )
    """Compared with each other, all at the weights that the first one trains."""
    evaluations: int = 2
    """Of the decoder by each image in a step; an estimator that needs more takes one
    estimate."""
    data: Literal["digits", "fashion"] = "digits"
    """Scikit-learn's digits (8 x 8), or Fashion-MNIST from IDX files (28 x 28)."""
    data_dir: Path | None = None
    """Folder of the IDX files; by default Debian's package."""
    latent: Latent = "bernoulli"
    """Law of one variable of the latent."""
    latents: int = 20
    """How many variables."""
    num_classes: int = 10
    """Values of one categorical variable."""
    network: Network = "linear"
    """One linear map each way, or one hidden layer between."""
    width: int = 200
    """Of the hidden layers."""
    steps: int = 6000
    """Training steps of every estimator and seed."""
    eval_every: int = 250
    """Steps between two looks at the test images; divides `steps`."""
    batch_size: int = 100
    """Images in a minibatch."""
    learning_rate: float = 2e-2
    """Of Adam, at first; it falls to 0 as a cosine."""
    tuning_rate: float = 1e-2
    """Of Adam for the parameters of `rebar` and `relax` themselves."""
    temperature: float = 0.5
    """Of `relaxed`, and the first one of `rebar`."""
    test_samples: int = 200
    """Draws for each test image."""
    pairs: int = 40
    """Pairs of gradients that a variance is measured from; ten times as many at the
    end."""
    debug: bool = False
    """Check on every step that bounds and gradients are finite (slower)."""
    checkpoint_seconds: float = 5.0
    """Least time between two checkpoints."""


def make_model(config: Config, image_size: int, key: jax.Array):
    """Makes a model with its first parameters.

    Args:
      config: the options.
      image_size: height and width of the images.
      key: sets the parameters.

    Returns:
      ``(graphdef, params)``, as of ``nnx.split``.
    """
    vae = DiscreteVae(
        image_size,
        latent=config.latent,
        latents=config.latents,
        num_classes=config.num_classes,
        network=config.network,
        width=config.width,
        rngs=nnx.Rngs(key),
    )
    return nnx.split(vae)


def make_estimators(config: Config, image_size: int) -> dict[str, Estimator]:
    """Makes the estimators to compare.

    Args:
      config: the options.
      image_size: height and width of the images.

    Returns:
      An estimator for each name.

    Raises:
      OptionsError: one of them cannot do with this latent.
    """
    logits_shape = (config.latents, config.num_classes)
    return {
        name: make_estimator(
            name,
            evaluations=config.evaluations,
            logits_shape=logits_shape[: 1 if config.latent == "bernoulli" else 2],
            num_pixels=image_size**2,
            temperature=config.temperature,
            learning_rate=config.tuning_rate,
        )
        for name in config.estimators
    }


def count_evaluations(config: Config) -> dict[str, dict[str, int]]:
    """Counts what each estimator spends on one image in one step.

    Args:
      config: the options.

    Returns:
      For each name its ``evaluations`` of the decoder, and those for ``tuning`` itself.

    Raises:
      OptionsError: an estimator cannot do with this latent.
    """
    return {
        name: {"evaluations": estimator.evaluations, "tuning": estimator.tuning}
        for name, estimator in make_estimators(config, image_size=1).items()
    }


def make_train(
    graphdef: nnx.GraphDef,
    estimator: Estimator,
    optimizer: optax.GradientTransformation,
    *,
    debug: bool = False,
):
    """Makes the jitted training over an interval of steps.

    Args:
      graphdef: of a :class:`DiscreteVae`.
      estimator: of the gradient.
      optimizer: of the model's parameters.
      debug: check on every step that bounds and gradients are finite.

    Returns:
      ``train(state, images, rows, key)``: the next state and the mean bound, from a
      dictionary of ``params``, ``opt_state`` and ``own``, the estimator's state, and
      the rows of the images in each step, of shape (steps, batch).
    """

    def loss(params, own, images, key):
        bounds = estimator.bounds(key, own, nnx.merge(graphdef, params), images)
        chex.assert_shape(bounds, (len(images),))
        return -jnp.mean(bounds), bounds

    def step(state, inputs, images):
        rows, key = inputs
        batch, (bound_key, own_key) = images[rows], jax.random.split(key)
        params, own = state["params"], state["own"]
        grads, bounds = jax.grad(loss, has_aux=True)(params, own, batch, bound_key)
        chex.assert_trees_all_equal_shapes_and_dtypes(grads, params)
        if debug:
            chex.assert_tree_all_finite((grads, bounds))
        own = estimator.update(own_key, own, nnx.merge(graphdef, params), batch, bounds)
        updates, opt_state = optimizer.update(grads, state["opt_state"], params)
        params = optax.apply_updates(params, updates)
        state = {"params": params, "opt_state": opt_state, "own": own}
        return state, jnp.mean(bounds)

    @jax.jit
    def train(state, images, rows, key):
        keys = jax.random.split(key, len(rows))
        take = functools.partial(step, images=images)
        state, bounds = jax.lax.scan(take, state, (rows, keys))
        return state, jnp.mean(bounds)

    return chex.chexify(train, async_check=False) if debug else train


class Programs(NamedTuple):
    """What a configuration compiles to; ``estimators`` and ``trains`` by name."""

    estimators: dict[str, Estimator]
    optimizer: optax.GradientTransformation
    trains: dict[str, Callable]
    look: Callable


@functools.cache
def make_programs(config: Config, image_size: int) -> Programs:
    """Makes all that is compiled, once for all runs of a process.

    Args:
      config: the options.
      image_size: height and width of the images.

    Returns:
      The programs.

    Raises:
      OptionsError: an estimator cannot do with this latent.
    """
    estimators = make_estimators(config, image_size)
    graphdef, _ = make_model(config, image_size, jax.random.key(0))
    optimizer = optax.adam(
        optax.cosine_decay_schedule(config.learning_rate, config.steps)
    )
    trains = {
        name: make_train(graphdef, estimator, optimizer, debug=config.debug)
        for name, estimator in estimators.items()
    }
    look = make_look(
        graphdef, estimators, num_samples=config.test_samples, pairs=config.pairs
    )
    return Programs(estimators, optimizer, trains, look)


def make_trainings(
    config: Config,
) -> tuple[Callable[[int, Any], tuple[Any, list[dict]]], Any, int]:
    """Lays the seeds end to end, for ``_runs.repeat``; estimators train side by side.

    Args:
      config: the options.

    Returns:
      ``advance``, the first state, and how many calls there are.

    Raises:
      OptionsError: an estimator cannot do with this latent.
      FileNotFoundError: the data are not there.
    """
    train_images, test_images = (
        jnp.asarray(part.pixels)
        for part in _data.binarize(config.data, config.data_dir)
    )
    image_size = train_images.shape[1]
    programs = make_programs(dataclasses.replace(config, out=Path()), image_size)
    intervals = config.steps // config.eval_every

    def start(seed):
        init_key, own_key = jax.random.split(jax.random.key(seed))
        _, params = make_model(config, image_size, init_key)
        return {
            name: {
                "params": params,
                "opt_state": programs.optimizer.init(params),
                "own": estimator.init(jax.random.clone(own_key)),
            }
            for name, estimator in programs.estimators.items()
        }

    def advance(seed, states, interval):
        rng = np.random.default_rng([seed, interval])
        shape = config.eval_every, config.batch_size
        rows = rng.integers(len(train_images), size=shape)
        root = jax.random.fold_in(jax.random.key(seed), interval)
        train_key, look_key = jax.random.split(root)
        # The same minibatches and noise for all: only the estimator differs.
        results = {
            name: train(states[name], train_images, rows, jax.random.clone(train_key))
            for name, train in programs.trains.items()
        }
        states = {name: state for name, (state, _) in results.items()}
        step = (interval + 1) * config.eval_every
        scores = programs.look(
            states,
            train_images[: config.batch_size],
            test_images,
            look_key,
            repeats=1 if step < config.steps else 10,
        )
        lines = [
            {"seed": seed, "estimator": name, "step": step, "train_bound": float(bound)}
            | scores[name]
            for name, (_, bound) in results.items()
        ]
        return states, lines

    seeds = range(config.seed, config.seed + config.num_seeds)
    return _trials.lay_out(seeds, intervals, start, advance)
