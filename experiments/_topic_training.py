"""The trainings of ``topic_model``: options, model, and one interval at a time."""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
from flax import nnx

import reparam_jax as rj

from . import _topic_corpus, _trials
from ._topic_corpus import Corpus
from ._topic_law import (
    ARMS,
    ESTIMATORS,
    TopicModel,
    log_likelihood,
    perplexities,
)
from ._topic_scores import coherence, match


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    out: Path = Path("runs/topic_model")
    """Folder of the results; the same command goes on where it was stopped."""
    seed: int = 0
    """First seed. A seed sets documents, first weights, minibatches and draws."""
    num_seeds: int = 3
    """How many seeds, counted up from the first."""
    corpus: Literal["bars", "docs"] = "bars"
    """Documents of known topics, the rows and columns of a grid of words; or the
    docstrings of NumPy, SciPy, scikit-learn and Matplotlib."""
    topics: int = 8
    """How many topics; for `bars`, twice the side of the grid."""
    concentrations: tuple[float, ...] = (0.1, 0.01, 0.001, 0.0003)
    """Of every topic in the Dirichlet prior of a document's shares; each is a trial."""
    first_concentration: float | None = None
    """Of every topic in the guide before training; by default the prior's."""
    documents: int = 4000
    """Documents to train on, at most."""
    held_out: int = 500
    """Documents to score."""
    words: int = 20
    """Length of a document of `bars`."""
    vocabulary: int = 1000
    """Words of the corpus `docs`."""
    width: int = 64
    """Of the encoder's hidden layer."""
    steps: int = 3000
    """Training steps of every trial."""
    log_every: int = 300
    """Steps between two looks at the held-out documents; divides `steps`."""
    batch_size: int = 64
    """Documents in a minibatch."""
    learning_rate: float = 2e-3
    """Of Adam."""
    num_draws: int = 200
    """Draws that a held-out document's likelihood is averaged over."""
    gradient_draws: int = 100_000
    """Gradients of single draws that are compared with the exact one."""
    debug: bool = False
    """Check on every step that loss and gradients are finite (slower)."""
    checkpoint_seconds: float = 5.0
    """Least time between two checkpoints."""


@functools.cache
def make_train(
    graphdef: nnx.GraphDef,
    *,
    estimator: Any,
    learning_rate: float,
    debug: bool = False,
):
    """Makes the jitted interval of training steps.

    Args:
      graphdef: of a :class:`TopicModel`.
      estimator: of the gradient of the bound.
      learning_rate: of Adam.
      debug: checks on every step that loss and gradients are finite.

    Returns:
      ``train(params, opt_state, documents, rows, keys, prior, first)``, one step for
      each of the keys and rows of indices into the documents: the next two, the mean
      loss, and how many steps had gradients that are not finite.
    """
    optimizer = optax.adam(learning_rate)

    def loss_fn(params, counts, key, prior, first):
        model = nnx.merge(graphdef, params)
        guide = dist.Dirichlet(model.concentration(counts, prior, first))
        bound = rj.elbo(
            key,
            log_likelihood,
            guide,
            counts,
            model.topics(),
            prior=dist.Dirichlet(jnp.full(guide.event_shape, prior)),
            estimator=estimator,
        )
        return -bound.mean()

    def train(params, opt_state, documents, rows, keys, prior, first):
        def step(carry, minibatch):
            params, opt_state = carry
            chosen, key = minibatch
            loss, grads = jax.value_and_grad(loss_fn)(
                params, documents[chosen], key, prior, first
            )
            chex.assert_trees_all_equal_shapes_and_dtypes(grads, params)
            if debug:
                chex.assert_tree_all_finite((loss, grads))
            bad = ~jnp.isfinite(optax.tree.norm(grads))
            updates, opt_state = optimizer.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), (loss, bad)

        carry, (losses, bad) = jax.lax.scan(step, (params, opt_state), (rows, keys))
        return *carry, losses.mean(), bad.sum()

    jitted = jax.jit(train)
    return chex.chexify(jitted, async_check=False) if debug else jitted


@functools.cache
def make_score(graphdef: nnx.GraphDef, *, num_draws: int):
    """Makes the jitted scores of held-out documents.

    Args:
      graphdef: of a :class:`TopicModel`.
      num_draws: how many draws of a document's shares are weighted.

    Returns:
      ``score(params, key, counts, prior, first)``: those of :func:`perplexities`, the
      median ``total_concentration`` of the guide, and the topics.
    """

    @jax.jit
    def score(params, key, counts, prior, first):
        model = nnx.merge(graphdef, params)
        concentration = model.concentration(counts, prior, first)
        topics = model.topics()
        scores = perplexities(
            key, concentration, counts, topics, prior, num_draws=num_draws
        )
        total = jnp.median(concentration.sum(-1))
        return scores | {"total_concentration": total}, topics

    return score


def make_corpus(config: Config, concentration: float, seed: int) -> Corpus:
    """Draws or reads the documents of a trial.

    Args:
      config: the options.
      concentration: of the prior of the shares, which documents of ``bars`` follow.
      seed: of the documents, or of their split.

    Returns:
      The corpus.
    """
    rng = np.random.default_rng([seed, 0])
    sizes = config.documents, config.held_out
    if config.corpus == "docs":
        num_words = config.vocabulary
        return _topic_corpus.sample_docstrings(
            num_words=num_words, sizes=sizes, rng=rng
        )
    return _topic_corpus.make_bars(
        config.topics, concentration, num_words=config.words, sizes=sizes, rng=rng
    )


def make_trainings(
    config: Config,
) -> tuple[Callable[[int, Any], tuple[Any, list[dict]]], Any, int]:
    """Lays all trainings end to end, for ``_runs.repeat``.

    Args:
      config: the options.

    Returns:
      ``advance``, which trains one arm with one concentration and seed for
      ``log_every`` steps and logs a line with the scores of the held-out documents, the
      last one with the topics too; the first state; how many calls there are.
    """
    seeds = range(config.seed, config.seed + config.num_seeds)
    trials = list(itertools.product(config.concentrations, seeds, ARMS))
    optimizer = optax.adam(config.learning_rate)
    corpus_of = functools.lru_cache(maxsize=1)(functools.partial(make_corpus, config))

    def key_of(seed, *numbers):
        return functools.reduce(jax.random.fold_in, numbers, jax.random.key(seed))

    def init(concentration, seed):
        num_words = corpus_of(concentration, seed).train.shape[1]
        rngs = nnx.Rngs(key_of(seed, 0))
        model = TopicModel(num_words, config.topics, width=config.width, rngs=rngs)
        return nnx.split(model, nnx.Param)

    graphdef, _ = init(config.concentrations[0], config.seed)

    def start(trial):
        concentration, seed, _ = trial
        _, params = init(concentration, seed)
        return {"params": params, "opt_state": optimizer.init(params)}

    def train(trial, state, interval):
        concentration, seed, arm = trial
        corpus = corpus_of(concentration, seed)
        prior = jnp.float32(concentration)
        first = jnp.float32(config.first_concentration or concentration)
        params, opt_state, loss, bad = make_train(
            graphdef,
            estimator=ESTIMATORS[arm],
            learning_rate=config.learning_rate,
            debug=config.debug,
        )(
            state["params"],
            state["opt_state"],
            jnp.asarray(corpus.train),
            _minibatches(config, seed, interval, len(corpus.train)),
            jax.random.split(key_of(seed, 1, interval), config.log_every),
            prior,
            first,
        )
        score = make_score(graphdef, num_draws=config.num_draws)
        held_out = jnp.asarray(corpus.held_out)
        scores, topics = score(
            params, key_of(seed, 2, interval), held_out, prior, first
        )
        line = {
            "concentration": concentration,
            "seed": seed,
            "arm": arm,
            "step": (interval + 1) * config.log_every,
            "loss": float(loss),
            "non_finite_steps": int(bad),
        } | {name: float(value) for name, value in scores.items()}
        if line["step"] == config.steps:
            line |= _last_scores(corpus, np.asarray(topics, np.float64))
        return {"params": params, "opt_state": opt_state}, [line]

    return _trials.lay_out(trials, config.steps // config.log_every, start, train)


def _minibatches(config, seed, interval, count):
    rng = np.random.default_rng([seed, 1, interval])
    return rng.integers(count, size=(config.log_every, config.batch_size))


def _last_scores(corpus, topics):
    if corpus.truth is None:
        scores = {"coherence": coherence(topics, corpus.held_out)}
    else:
        partners, distances = match(topics, corpus.truth.topics)
        topics = topics[partners]
        scores = {"total_variation": float(distances.mean())}
    return scores | {"topics": np.round(topics, 5).tolist()}
