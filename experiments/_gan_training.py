"""The trainings of ``gan``: options, and one interval of steps at a time."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from . import _data
from ._gan_network import LAW, Graphs, Weights, init_networks, make_sampler
from ._gan_scores import Classifier, class_scores, distances, look, train_classifier
from ._gan_steps import make_advance, start_state
from ._trials import lay_out

ARMS = {"learned": LAW, "mean": ("mean",), "codes": (), "cut": ()}
NUM_CLASSES = 10
GRID_ROWS = 6


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    out: Path = Path("runs/gan")
    """Folder of the results; the same command goes on where it was stopped."""
    seed: int = 0
    """First seed. A seed sets splits, first weights, minibatches and noise."""
    num_seeds: int = 3
    """How many seeds, counted up from the first."""
    data: Literal["digits", "fashion"] = "digits"
    """Scikit-learn's digits (8 x 8), or Fashion-MNIST from IDX files (28 x 28)."""
    data_dir: Path | None = None
    """Folder of the IDX files of any 10 classes; by default Debian's package."""
    steps: int = 6000
    """Training steps of every arm and seed, of both networks each."""
    eval_every: int = 500
    """Steps between two scores; divides `steps`."""
    batch_size: int = 64
    """Images in a minibatch."""
    learning_rate: float = 1e-3
    """Of Adam, for both networks."""
    penalty: float = 1.0
    """Weight of the gradient penalty of the discriminator."""
    decay: float = 0.995
    """Of the average of the generator's weights that is scored."""
    latents: int = 16
    """Length of the noise."""
    width: int = 256
    """Of the hidden layers of both networks."""
    features: int = 32
    """Of the classifier that scores."""
    classifier_steps: int = 1500
    """Training steps of that classifier."""
    debug: bool = False
    """Check on every step that losses and gradients are finite (slower)."""
    checkpoint_seconds: float = 5.0
    """Least time between two checkpoints."""


class Trial(NamedTuple):
    """What tells one training from another."""

    seed: int
    arm: str


class Setting(NamedTuple):
    """What the arms of one seed share."""

    train: _data.Images
    test: _data.Images
    classifier: Classifier
    init_key: jax.Array
    step_key: jax.Array
    sample_key: jax.Array


def make_setting(config: Config, seed: int) -> Setting:
    """Loads the images and trains the classifier that scores all arms.

    Args:
      config: the options.
      seed: sets the splits, the classifier and the keys.

    Returns:
      The setting. Nothing is chosen on the validation split: it is trained on.
    """
    splits = _data.load(config.data, config.data_dir, seed=seed)
    both = zip(splits.train, splits.validation, strict=True)
    train = jax.device_put(_data.Images(*map(np.concatenate, both)))
    classifier_key, *keys = jax.random.split(jax.random.key(seed), 4)
    classifier = train_classifier(
        classifier_key,
        train,
        num_classes=NUM_CLASSES,
        features=config.features,
        steps=config.classifier_steps,
    )
    return Setting(train, splits.test, classifier, *keys)


def make_networks(config: Config, setting: Setting, arm: str) -> tuple[Graphs, Weights]:
    """Makes graphs and first weights of an arm; all arms have the same layers.

    Args:
      config: the options.
      setting: of the seed.
      arm: ``codes`` starts the means of the noise at random, the others at 0.

    Returns:
      The graphs and the weights.
    """
    return init_networks(
        jax.random.clone(setting.init_key),
        image_size=setting.test.pixels.shape[1],
        num_classes=NUM_CLASSES,
        width=config.width,
        latents=config.latents,
        codes=arm == "codes",
    )


def make_trainings(
    config: Config, folder: Path
) -> tuple[Callable[[int, Any], tuple[Any, list[dict]]], Any, int]:
    """Lays all trainings end to end, for ``_runs.repeat``.

    Args:
      config: the options.
      folder: of the run; at the end of a training its samples and the law of its
        noise are written to ``samples/ARM_SEED.npz``.

    Returns:
      ``advance``, which trains one arm with one seed for ``eval_every`` steps and
      logs the scores, and before the first arm of a seed those of real images; the
      first state; how many calls there are.
    """
    seeds = range(config.seed, config.seed + config.num_seeds)
    trials = [Trial(*pair) for pair in itertools.product(seeds, ARMS)]
    setting = functools.lru_cache(maxsize=1)(lambda seed: make_setting(config, seed))
    graphs, _ = make_networks(config, setting(config.seed), "learned")
    sample = make_sampler(graphs)

    def start(trial):
        _, weights = make_networks(config, setting(trial.seed), trial.arm)
        return start_state(weights, config.learning_rate)

    def train(trial, state, interval):
        shared = setting(trial.seed)
        advance = make_advance(
            graphs,
            trained=ARMS[trial.arm],
            steps=config.eval_every,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            penalty=config.penalty,
            decay=config.decay,
            debug=config.debug,
        )
        key = jax.random.fold_in(shared.step_key, interval)
        state, losses = advance(state, shared.train, key)
        average = state["average"]
        done = (interval + 1) * config.eval_every
        key = jax.random.fold_in(shared.sample_key, 0)
        pixels = np.asarray(sample(average, shared.test.labels, key))
        line = (
            {"seed": trial.seed, "arm": trial.arm, "step": done}
            | {name: float(loss) for name, loss in losses.items()}
            | score(shared, _data.Images(pixels, shared.test.labels))
        )
        if done == config.steps:
            labels = np.tile(np.arange(NUM_CLASSES), GRID_ROWS)
            key = jax.random.fold_in(shared.sample_key, 1)
            pixels = sample(average, labels, key)
            _write_samples(folder, trial, average, pixels)
        first = interval == 0 and trial.arm == trials[0].arm
        real = {"seed": trial.seed, "arm": "real", "step": 0}
        return state, [real | score_real(shared), line] if first else [line]

    return lay_out(trials, config.steps // config.eval_every, start, train)


def score(setting: Setting, images: _data.Images) -> dict[str, float]:
    """Scores images against the held-out ones.

    Args:
      setting: of the seed.
      images: pixels, and the classes they should be of.

    Returns:
      The scores of ``_gan_scores.distances`` and ``class_scores``.
    """
    held_out, _ = look(setting.classifier, setting.test.pixels)
    features, log_probs = look(setting.classifier, images.pixels)
    return distances(
        features, images.labels, held_out, setting.test.labels
    ) | class_scores(log_probs, images.labels)


def score_real(setting: Setting) -> dict[str, float]:
    """Scores real images, for comparison.

    Args:
      setting: of the seed.

    Returns:
      The distances of training images, as many as are held out, and the other scores
      of the held-out images, which the classifier was not trained on.
    """
    pixels, labels = (leaf[: len(setting.test.labels)] for leaf in setting.train)
    held_out = score(setting, setting.test)
    train = score(setting, _data.Images(pixels, np.asarray(labels)))
    return held_out | {name: train[name] for name in ("frechet", "class_frechet")}


def _write_samples(folder, trial, params, pixels):
    (folder / "samples").mkdir(exist_ok=True)
    np.savez(
        folder / "samples" / f"{trial.arm}_{trial.seed}.npz",
        pixels=np.asarray(pixels[..., 0]),
        mean=np.asarray(params["mean"][...]),
        std=np.exp(np.asarray(params["log_var"][...]) / 2),
    )
