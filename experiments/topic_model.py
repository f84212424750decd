"""What do right gradients of Dirichlet draws buy at small concentrations?

A topic model: a document's shares of the topics are Dirichlet with a small
concentration, its words come from the mixture of the topics, and an encoder gives the
concentrations of the Dirichlet guide. Two arms train it on the evidence lower bound
with its closed-form divergence, from the same first weights, documents and minibatches,
for several concentrations of the prior: ``ours`` takes this library's draws, ``jax``
those of ``jax.random.dirichlet``, each with its gradient.

JAX's gradient is lost in draws all of whose gamma variables are below the smallest
float32, 1e-38: a share of about exp(-87 A) for a Dirichlet of total concentration A. So
it is right on average where A is above 0.1, as in the posterior of any long document,
and nearly 0 where A is below 0.01, as in a guide near a sparse prior: one that training
begins with, or falls back to, and then does not leave. First both gradients are
compared with exact ones, at the prior and at a posterior; then the trainings show what
comes of it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.console import Console

from . import _runs, _topic_corpus
from ._topic_gradients import compare, exact_gradient, measured_gradients
from ._topic_law import ARMS, ESTIMATORS, perplexities, true_concentration
from ._topic_report import (
    PLACES,
    SCORES,
    make_gradient_table,
    make_table,
    make_topic_table,
    plot,
)
from ._topic_training import Config, make_corpus, make_trainings

NUM_DIRECTIONS = 1000


def run(config: Config) -> dict[str, np.ndarray]:
    """Trains every concentration, seed and arm, or goes on, and writes the summary.

    Args:
      config: the options.

    Returns:
      ``concentrations``, ``seeds``, ``steps`` and ``words``; the scores of the held-out
      documents, each of shape (arms, concentrations, seeds), ``perplexities`` with a
      last axis of steps, and ``topics`` with two of topics and words;
      ``unigram_perplexity`` and, for known topics, ``true_perplexity``, of shape
      (concentrations, seeds), and ``ratio``, ``ratio_error`` and ``noise`` of the
      gradients, of shape (places, arms, concentrations).

    Raises:
      OtherRunError: the folder holds a run of another configuration.
      OptionsError: the options contradict each other.
      FileNotFoundError: a package whose docstrings are read is not installed.
    """
    _check(config)
    folder = _runs.open_folder(config.out, config, ignore=("out", "checkpoint_seconds"))
    first = make_corpus(config, config.concentrations[0], config.seed)
    sizes = {"train": len(first.train), "held_out": len(first.held_out)}
    packages = _topic_corpus.versions() if config.corpus == "docs" else {}
    _runs.write_json(folder / "corpus.json", sizes | {"packages": packages})
    arrays = {"words": np.array(first.words)} | _references(config)
    if config.corpus == "bars":
        gradients = _compare_gradients(config)
        _runs.write_json(folder / "gradients.json", gradients)
        shape = len(PLACES), len(ARMS), len(config.concentrations)
        for name in ("ratio", "ratio_error", "noise", "non_finite"):
            values = [row[name] for row in gradients]
            arrays[name] = np.array(values).reshape(shape)
    advance, state, count = make_trainings(config)
    _runs.repeat(
        folder,
        advance,
        state,
        count=count,
        title="training",
        seconds_between_checkpoints=config.checkpoint_seconds,
    )
    arrays |= _arrays_of(_runs.read_log(folder), config)
    _runs.write_json(folder / "summary.json", _summary(arrays))
    return arrays


def _check(config):
    _runs.check_divisors(config, log_every="steps")
    if config.corpus == "bars" and (config.topics % 2 or config.topics < 4):
        raise _runs.OptionsError(
            "Bars are rows and columns of a square: `topics` must be even and at least "
            f"4, got {config.topics}."
        )
    first = config.first_concentration
    if first is not None and first <= max(config.concentrations) / 10:
        raise _runs.OptionsError(
            "`first_concentration` must be above the guide's floor, a tenth of each of "
            f"`concentrations`: got {first}."
        )


def _compare_gradients(config):
    """Lists both arms' gradients against the exact ones, by place and concentration."""
    rows = {}
    for number, concentration in enumerate(config.concentrations):
        corpus = make_corpus(config, concentration, config.seed)
        assert corpus.truth is not None
        topics, counts = corpus.truth.topics, corpus.held_out[0]
        shares = corpus.truth.shares[0]
        guides = (
            np.full(config.topics, concentration),
            true_concentration(counts, shares, topics, concentration),
        )
        for place, at in zip(PLACES, guides, strict=True):
            rng = np.random.default_rng([config.seed, 2, number])
            exact, error = exact_gradient(
                at, topics, counts, num_directions=NUM_DIRECTIONS, rng=rng
            )
            for arm, estimator in ESTIMATORS.items():
                gradients = measured_gradients(
                    jax.random.fold_in(jax.random.key(config.seed), number),
                    jnp.asarray(at, jnp.float32),
                    jnp.asarray(topics, jnp.float32),
                    jnp.asarray(counts),
                    estimator=estimator,
                    num_draws=config.gradient_draws,
                )
                where = {"place": place, "arm": arm, "concentration": concentration}
                values = compare(np.asarray(gradients), exact, error)
                rows[place, arm, concentration] = where | values
    return [
        rows[place, arm, concentration]
        for place in PLACES
        for arm in ARMS
        for concentration in config.concentrations
    ]


def _references(config):
    """Perplexities without topics, and with the true ones."""
    seeds = range(config.seed, config.seed + config.num_seeds)
    shape = len(config.concentrations), config.num_seeds
    arrays = {"unigram_perplexity": np.zeros(shape)}
    if config.corpus == "bars":
        arrays["true_perplexity"] = np.zeros(shape)
    for row, concentration in enumerate(config.concentrations):
        for column, seed in enumerate(seeds):
            corpus = make_corpus(config, concentration, seed)
            total = corpus.train.sum(0, dtype=np.float64) + 1
            surprise = corpus.held_out @ -np.log(total / total.sum())
            per_word = surprise.sum() / corpus.held_out.sum()
            arrays["unigram_perplexity"][row, column] = np.exp(per_word)
            if corpus.truth is None:
                continue
            topics, shares = corpus.truth
            guide = true_concentration(corpus.held_out, shares, topics, concentration)
            scores = perplexities(
                jax.random.fold_in(jax.random.key(seed), 3),
                jnp.asarray(guide, jnp.float32),
                jnp.asarray(corpus.held_out),
                jnp.asarray(topics, jnp.float32),
                concentration,
                num_draws=config.num_draws,
            )
            arrays["true_perplexity"][row, column] = scores["perplexity"]
    return arrays


def _arrays_of(log, config):
    table = {
        (row["arm"], row["concentration"], row["seed"], row["step"]): row for row in log
    }
    seeds = range(config.seed, config.seed + config.num_seeds)
    steps = range(config.log_every, config.steps + 1, config.log_every)

    def gather(name, steps):
        return np.array(
            [
                [
                    [
                        [table[arm, concentration, seed, step][name] for step in steps]
                        for seed in seeds
                    ]
                    for concentration in config.concentrations
                ]
                for arm in ARMS
            ]
        )

    last = log[-1]
    arrays = {name: gather(name, steps[-1:])[..., 0] for name in SCORES if name in last}
    arrays["non_finite_steps"] = gather("non_finite_steps", steps).sum(-1)
    return arrays | {
        "concentrations": np.array(config.concentrations),
        "seeds": np.array(seeds),
        "steps": np.array(steps),
        "perplexities": gather("perplexity", steps),
        "topics": gather("topics", steps[-1:])[:, :, :, 0],
    }


def _summary(arrays):
    rows = []
    for row, concentration in enumerate(arrays["concentrations"]):
        for column, seed in enumerate(arrays["seeds"]):
            references = {
                name: float(arrays[name][row, column])
                for name in ("true_perplexity", "unigram_perplexity")
                if name in arrays
            }
            for place, arm in enumerate(ARMS):
                where = {"arm": arm, "concentration": float(concentration)}
                scores = {
                    name: float(arrays[name][place, row, column])
                    for name in SCORES
                    if name in arrays
                }
                rows.append(where | {"seed": int(seed)} | scores | references)
    return rows


def main() -> None:
    """Runs the experiment from the command line."""
    config = tyro.cli(Config, description=__doc__)
    console = Console()
    with _runs.plain_errors():
        arrays = run(config)
    if "ratio" in arrays:
        console.print(make_gradient_table(arrays))
    console.print(make_topic_table(arrays))
    console.print(make_table(arrays))
    plot(arrays, config.out / "topic_model.png")
    console.print(f"figure and summary in {config.out}")


if __name__ == "__main__":
    main()
