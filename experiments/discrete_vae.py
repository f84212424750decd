"""Which gradient estimator trains a discrete latent best, at equal cost?

A variational autoencoder of black and white images has a latent of bits (or of
categories), through which no gradient flows. Each estimator trains the same first
weights on the same minibatches, with the same number of evaluations of the decoder in
each step. Two things are compared along the way: the bound of the test images, and the
noise in the encoder's gradient on one fixed minibatch, the trace of its covariance: at
the weights that each estimator has reached itself, and at those of the first one.
"""

from pathlib import Path

import numpy as np
import tyro
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from rich.console import Console
from rich.table import Table

from . import _runs
from ._discrete_training import Config, count_evaluations, make_trainings
from ._tables import mean_and_error

SCORES = (
    "elbo",
    "log_likelihood",
    "variance",
    "variance_error",
    "common_variance",
    "common_variance_error",
)


def run(config: Config) -> dict[str, np.ndarray]:
    """Trains every estimator and seed, or goes on with it, and writes the summary.

    Args:
      config: the options.

    Returns:
      ``estimators``; for each its ``evaluations`` in a step, and those for ``tuning``
      itself; ``seeds``; ``steps``, at which scores were taken; and the scores, each
      of shape (estimators, seeds, steps): ``elbo`` and ``log_likelihood``, of the test
      images in nats, ``variance`` of the encoder's gradient, ``common_variance`` at the
      first estimator's weights, and their standard errors.

    Raises:
      OtherRunError: the folder holds a run of another configuration.
      OptionsError: the options contradict each other, or an estimator cannot do with
        this latent.
      FileNotFoundError: the data are not there.
    """
    _check(config)
    costs = count_evaluations(config)
    advance, state, count = make_trainings(config)
    folder = _runs.open_folder(config.out, config, ignore=("out", "checkpoint_seconds"))
    _runs.repeat(
        folder,
        advance,
        state,
        count=count,
        title="training",
        seconds_between_checkpoints=config.checkpoint_seconds,
    )
    rows = _runs.read_log(folder)
    _runs.write_json(
        folder / "summary.json",
        [row | costs[row["estimator"]] for row in rows if row["step"] == config.steps],
    )
    names = config.estimators
    shape = config.num_seeds, -1, len(names)
    scores = {
        name: np.array([row[name] for row in rows]).reshape(shape).transpose(2, 0, 1)
        for name in SCORES
    }
    return {
        "estimators": np.array(names),
        "evaluations": np.array([costs[name]["evaluations"] for name in names]),
        "tuning": np.array([costs[name]["tuning"] for name in names]),
        "seeds": np.array([row["seed"] for row in rows]).reshape(shape)[:, 0, 0],
        "steps": np.array([row["step"] for row in rows]).reshape(shape)[0, :, 0],
    } | scores


def _check(config):
    _runs.check_divisors(config, eval_every="steps")
    if len(set(config.estimators)) < max(len(config.estimators), 1):
        raise _runs.OptionsError(
            "`--estimators` takes one name or more, each once: got "
            f"{' '.join(config.estimators) or 'none'}."
        )
    if config.pairs < 2:
        raise _runs.OptionsError(
            f"A standard error needs `--pairs` of at least 2: got {config.pairs}."
        )


def ratios(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Gives each estimator's variance over the first one's, both at its last weights.

    Args:
      arrays: from :func:`run`.

    Returns:
      An array of shape (estimators, seeds).
    """
    variances = arrays["common_variance"][..., -1]
    return variances / variances[:1]


def plot(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Draws the test bound, and the variance of the encoder's gradient, over the steps.

    Args:
      arrays: from :func:`run`.
      path: of the picture.
    """
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    bound, variance = figure.subplots(1, 2)
    for number, name in enumerate(arrays["estimators"]):
        color = f"C{number}"
        label = f"{name} ({_cost(arrays, number)})"
        for axes, score in ((bound, "elbo"), (variance, "variance")):
            values = arrays[score][number]
            axes.plot(arrays["steps"], values.T, color=color, linewidth=0.7, alpha=0.5)
            axes.plot(arrays["steps"], values.mean(0), color=color, label=label)
    # Of the first steps, every bound is far below all that is to be compared.
    settled = arrays["elbo"][..., len(arrays["steps"]) // 4 :]
    low, high = settled.min(), arrays["elbo"].max()
    margin = 0.1 * (high - low) + 0.05
    bound.set(
        ylim=(low - margin, high + margin),
        xlabel="step",
        ylabel="bound of the test images, nats",
        title="What each estimator trains (thin: one seed)",
    )
    variance.set(
        yscale="log",
        xlabel="step",
        ylabel="trace of the covariance",
        title="Noise of the encoder's gradient",
    )
    variance.yaxis.set_major_formatter("{x:g}")
    variance.yaxis.set_minor_formatter(LogFormatter())
    variance.legend(
        title="evaluations of the decoder by an image in a step", frameon=False
    )
    figure.savefig(path, dpi=150)


def _cost(arrays, number):
    evaluations, tuning = arrays["evaluations"][number], arrays["tuning"][number]
    return f"{evaluations} + {tuning}" if tuning else f"{evaluations}"


def make_table(arrays: dict[str, np.ndarray]) -> Table:
    """Lays out what was trained, one row per estimator: mean and standard error.

    Args:
      arrays: from :func:`run`.

    Returns:
      A rich table.
    """
    seeds = " ".join(map(str, arrays["seeds"]))
    table = Table(title=f"test images after {arrays['steps'][-1]} steps, seeds {seeds}")
    table.add_column("estimator")
    for name in ("evaluations a step", "ELBO, nats", "log-likelihood, nats"):
        table.add_column(name, justify="right")
    for number, name in enumerate(arrays["estimators"]):
        table.add_row(
            name,
            _cost(arrays, number),
            *(
                mean_and_error(arrays[score][number, :, -1])
                for score in ("elbo", "log_likelihood")
            ),
        )
    return table


def make_variance_table(arrays: dict[str, np.ndarray]) -> Table:
    """Lays out the noise of the encoder's gradient after the last step.

    Args:
      arrays: from :func:`run`.

    Returns:
      A rich table.
    """
    first = arrays["estimators"][0]
    table = Table(title="trace of the covariance of the encoder's gradient")
    table.add_column("estimator")
    for name in ("own weights", f"{first}'s", "ratio there", "of each seed"):
        table.add_column(name, justify="right")
    for number, (name, ratio) in enumerate(
        zip(arrays["estimators"], ratios(arrays), strict=True)
    ):
        table.add_row(
            name,
            mean_and_error(arrays["variance"][number, :, -1]),
            mean_and_error(arrays["common_variance"][number, :, -1]),
            mean_and_error(ratio),
            " ".join(f"{value:.3g}" for value in ratio),
        )
    return table


def main() -> None:
    """Runs the experiment from the command line."""
    config = tyro.cli(Config, description=__doc__)
    console = Console()
    with _runs.plain_errors():
        arrays = run(config)
    console.print(make_table(arrays))
    console.print(make_variance_table(arrays))
    plot(arrays, config.out / "discrete_vae.png")
    console.print(f"figure and summary in {config.out}")


if __name__ == "__main__":
    main()
