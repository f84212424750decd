"""Figure and tables of ``topic_model``."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from ._tables import mean_and_error
from ._topic_corpus import bar_topics
from ._topic_law import ARMS
from ._topic_scores import top_words

COLORS = {"ours": "#1b6ca8", "jax": "#e08a1e"}
PLACES = ("prior", "posterior")
SCORES = (
    "perplexity",
    "bound_perplexity",
    "total_variation",
    "coherence",
    "non_finite_steps",
)
# Models that have a perplexity alone.
REFERENCES = {"truth": "true_perplexity", "unigram": "unigram_perplexity"}


def plot(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Draws gradients, perplexities by step, and the topics of the sparsest prior.

    Args:
      arrays: from ``topic_model.run``.
      path: of the picture.
    """
    concentrations, known = arrays["concentrations"], "ratio" in arrays
    figure = Figure(
        figsize=(3.1 * (len(concentrations) + known), 3 + 3 * known),
        layout="constrained",
    )
    top: Any = figure
    if known:
        halves: Any = figure.subfigures(2, 1, height_ratios=(1.1, 1))
        top = halves[0]
        _plot_bars(halves[1], arrays)
    axes = top.subplots(1, len(concentrations) + known, squeeze=False)[0]
    if known:
        _plot_ratio(axes[0], arrays)
    for column, panel in enumerate(axes[int(known) :]):
        _plot_steps(panel, arrays, column)
    axes[-1].legend(frameon=False)
    figure.savefig(path, dpi=130)


def _plot_ratio(axes, arrays):
    for row, arm in enumerate(ARMS):
        axes.errorbar(
            arrays["concentrations"],
            arrays["ratio"][0, row],
            2 * arrays["ratio_error"][0, row],
            color=COLORS[arm],
            marker="o",
            label=arm,
        )
    axes.axhline(1, color="black", linestyle=":", linewidth=1)
    axes.set(
        xscale="log",
        ylim=(0, None),
        xlabel="concentration of each topic",
        title="gradient over the exact one,\nguide at the prior",
    )
    axes.legend(frameon=False)


def _plot_steps(axes, arrays, column):
    for row, arm in enumerate(ARMS):
        for number, values in enumerate(arrays["perplexities"][row, column]):
            label = None if number else arm
            axes.plot(arrays["steps"], values, color=COLORS[arm], label=label)
    if "true_perplexity" in arrays:
        truth = arrays["true_perplexity"][column].mean()
        axes.axhline(truth, color="black", linestyle=":", linewidth=1, label="truth")
    concentration = arrays["concentrations"][column]
    axes.set(
        xlabel="steps",
        title=f"held-out perplexity,\nconcentration {concentration:g}",
    )


def _plot_bars(figure, arrays):
    sparsest = arrays["concentrations"].argmin()
    learned = [arrays["topics"][row, sparsest, 0] for row in range(len(ARMS))]
    num_topics, num_words = learned[0].shape
    rows = {"truth": bar_topics(num_topics)}
    rows |= dict(zip(ARMS, learned, strict=True))
    side = int(num_words**0.5)
    figure.suptitle(
        f"topics at concentration {arrays['concentrations'][sparsest]:g}, seed "
        f"{arrays['seeds'][0]}"
    )
    panels = figure.subplots(len(rows), num_topics)
    for row, (name, topics) in zip(panels, rows.items(), strict=True):
        for axes, topic in zip(row, topics, strict=True):
            axes.imshow(topic.reshape(side, side), cmap="gray_r", vmin=0, vmax=1 / side)
            axes.set(xticks=[], yticks=[])
        row[0].set_ylabel(name)


def make_table(arrays: dict[str, np.ndarray]) -> Table:
    """Lays out the held-out scores, mean and standard error over seeds.

    Args:
      arrays: from ``topic_model.run``.

    Returns:
      A rich table.
    """
    table = Table(title="held-out documents, mean +- standard error over seeds")
    names = [name for name in SCORES if name in arrays]
    for name in ("prior", "model", *names):
        table.add_column(name.replace("_", " "), justify="right")
    for row, concentration in enumerate(arrays["concentrations"]):
        models = {
            arm: [arrays[name][place, row] for name in names]
            for place, arm in enumerate(ARMS)
        }
        models |= {
            title: [arrays[name][row]]
            for title, name in REFERENCES.items()
            if name in arrays
        }
        for title, values in models.items():
            cells = [mean_and_error(value, ".3g", error_spec=".2g") for value in values]
            table.add_row(f"{concentration:g}", title, *cells)
        table.add_section()
    return table


def make_gradient_table(arrays: dict[str, np.ndarray]) -> Table:
    """Lays out the gradients against the exact ones, one row per place and arm.

    Args:
      arrays: from ``topic_model.run``, for known topics.

    Returns:
      A rich table.
    """
    table = Table(title="gradient for the concentrations, over the exact one (noise)")
    table.add_column("guide at the")
    table.add_column("arm")
    for concentration in arrays["concentrations"]:
        table.add_column(f"{concentration:g}", justify="right")
    for place, name in enumerate(PLACES):
        for row, arm in enumerate(ARMS):
            where = place, row
            cells = [
                f"{ratio:.3f} +- {error:.3f} ({noise:.3g})"
                for ratio, error, noise in zip(
                    arrays["ratio"][where],
                    arrays["ratio_error"][where],
                    arrays["noise"][where],
                    strict=True,
                )
            ]
            table.add_row(name, arm, *cells)
        table.add_section()
    return table


def make_topic_table(arrays: dict[str, np.ndarray], *, num_top: int = 6) -> Table:
    """Lays out the top words of the topics, of the first seed and sparsest prior.

    Args:
      arrays: from ``topic_model.run``.
      num_top: how many words of each topic.

    Returns:
      A rich table.
    """
    sparsest = arrays["concentrations"].argmin()
    table = Table(
        title=f"topics at concentration {arrays['concentrations'][sparsest]:g}, seed "
        f"{arrays['seeds'][0]}"
    )
    for arm in ARMS:
        table.add_column(arm)
    columns = arrays["topics"][:, sparsest, 0]
    for topics in zip(*columns, strict=True):
        tops = [arrays["words"][top_words(topic, num_top)] for topic in topics]
        table.add_row(*map(" ".join, tops))
    return table
