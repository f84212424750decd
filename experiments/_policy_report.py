"""Tables and figure of the policy gradients."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from . import _policy_cart_pole, _policy_regulator
from ._policy_bias import PARTS
from ._tables import mean_and_error

COLORS = ("#8c8c8c", "#1b6ca8", "#e08a1e", "#5aa469", "#b5485d", "#7a5ea8")


def _with_error(values):
    return mean_and_error(values, ",.0f")


def make_regulator_table(arrays: dict[str, np.ndarray]) -> Table:
    """Lays out bias and variance of every estimator on the regulator.

    Relative biases along the exact gradient, the smallest that would be seen, the worst
    element in standard errors, and the environment steps for a relative error of 10 %,
    their mean over the seeds.

    Args:
      arrays: from ``policy_gradients.run``.

    Returns:
      A rich table.
    """
    table = Table(title="regulator: biases, and environment steps for an error of 10 %")
    table.add_column("estimator")
    biases = [f"bias,\n{part}" for part in PARTS]
    steps = [f"steps,\n{part}" for part in PARTS]
    for name in (*biases, "seen\nfrom", "worst\nz", *steps):
        table.add_column(name, justify="right")
    for place, (name, arm) in enumerate(_policy_regulator.ARMS.items()):
        table.add_row(
            name + " (biased)" * arm.is_biased,
            *(f"{bias:+.3f}" for bias in arrays["bias"][place]),
            f"{arrays['smallest_bias'][place]:.3f}",
            f"{arrays['worst_z'][place]:.1f}",
            *(
                f"{mean:,.0f}" if np.isfinite(mean) else "never"
                for mean in arrays["steps_for_ten_percent"][place].mean(1)
            ),
        )
    return table


def make_cart_pole_table(arrays: dict[str, np.ndarray]) -> Table:
    """Lays out returns and gradient variances of every estimator on CartPole.

    The last column has the environment steps for a gradient of relative variance 1,
    over the norm of the exact one also where the estimator is biased.

    Args:
      arrays: from ``policy_gradients.run``.

    Returns:
      A rich table.
    """
    curves, steps = arrays["curves"], arrays["steps"]
    half = len(steps) // 2 - 1
    table = Table(
        title=f"CartPole: returns of {curves.shape[1]} seeds at equal environment steps"
    )
    table.add_column("estimator")
    names = [
        f"after {steps[max(half, 0)]:,}",
        f"after {steps[-1]:,}",
        "mean of the curve",
        "steps for a gradient",
    ]
    for name in names:
        table.add_column(name, justify="right")
    for place, (name, arm) in enumerate(_policy_cart_pole.ARMS.items()):
        table.add_row(
            name + " (biased)" * arm.is_biased,
            _with_error(curves[place, :, max(half, 0)]),
            _with_error(curves[place, :, -1]),
            _with_error(curves[place].mean(1)),
            _with_error(arrays["probe_var"][place]),
        )
    return table


def plot(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Draws what a gradient costs on the regulator, and the curves on CartPole.

    Args:
      arrays: from ``policy_gradients.run``.
      path: of the picture.
    """
    figure = Figure(figsize=(14, 5), layout="constrained")
    regulator, cart_pole = figure.subplots(1, 2)
    _plot_costs(regulator, arrays["steps_for_ten_percent"].mean(2))
    _plot_curves(cart_pole, arrays["steps"], arrays["curves"])
    figure.savefig(path, dpi=150)


def _plot_costs(axes, steps):
    names = [
        f"{name} (biased)" if arm.is_biased else name
        for name, arm in _policy_regulator.ARMS.items()
    ]
    for part, (label, color) in enumerate(zip(PARTS, COLORS[1:], strict=False)):
        rows = np.arange(len(names)) + 0.36 * part
        axes.barh(rows, steps[:, part], 0.34, color=color, label=label)
    axes.set(
        xscale="log",
        yticks=np.arange(len(names)) + 0.18,
        yticklabels=names,
        xlabel="environment steps for a relative error of 10 %",
        title="Regulator: what a gradient costs",
    )
    axes.invert_yaxis()
    axes.legend(frameon=False, loc="lower right")


def _plot_curves(axes, steps, curves):
    for place, (name, returns) in enumerate(
        zip(_policy_cart_pole.ARMS, curves, strict=True)
    ):
        mean = returns.mean(0)
        error = returns.std(0) / np.sqrt(max(len(returns) - 1, 1))
        color, style = COLORS[place % len(COLORS)], "-" if place < len(COLORS) else "--"
        axes.plot(steps, mean, style, color=color, label=name)
        axes.fill_between(steps, mean - error, mean + error, color=color, alpha=0.15)
    axes.set(
        xlabel="environment steps, with those of restarts",
        ylabel="return of an episode",
        title="CartPole (band: a standard error over the seeds)",
    )
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
