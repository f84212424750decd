"""Do gradients reach the mean, the variance and every layer that produced them?

First one layer: a draw from Normal(mean, var) of shape (1, 300, 300, 16) goes through a
3x3 convolution to 32 channels, and the gradient norms of mean, variance and kernel are
shown.

Then what it buys: images are classified whose pixels are known only as a measured value
and the variance of its noise. A convolutional encoder gives mean and variance of a
latent; three arms pass it on to the convolutional decoder in three ways: ``sample``
draws from it, ``mean`` takes its mean, ``cut`` draws and stops the gradient there. All
else is the same: data, splits, first weights, minibatches, steps and, to choose from,
weights ``betas`` of the divergence in the loss. Every training is stopped early, and
each arm's beta chosen, on the validation split; the test split gives the figures.
"""

import functools
import json
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import nnx
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import reparam_jax as rj

from . import _devices, _runs
from ._bottleneck import ARMS, BEFORE, PLACES
from ._noisy_training import Config, make_trainings

COLORS = {"sample": "#1b6ca8", "mean": "#e08a1e", "cut": "#8c8c8c"}


@functools.partial(jax.jit, static_argnames="size")
def user_network(key: jax.Array, *, size: int = 300) -> dict[str, jax.Array]:
    """Differentiates through one draw and one convolution.

    Args:
      key: sets inputs, noise and weights.
      size: height and width of the input.

    Returns:
      The ``output`` of the layer, and the gradients of its mean square for the
      ``mean``, the ``var`` and the ``kernel``.
    """
    mean_key, var_key, draw_key, init_key = jax.random.split(key, 4)
    shape = (1, size, size, 16)
    mean = jax.random.normal(mean_key, shape)
    var = jax.random.uniform(var_key, shape, minval=0.1, maxval=1.0)
    layer = rj.layers.StochasticConv(16, 32, (3, 3), rngs=nnx.Rngs(init_key))
    graphdef, params, rest = nnx.split(layer, nnx.Param, ...)

    @functools.partial(jax.grad, argnums=(0, 1, 2), has_aux=True)
    def gradients(mean, var, params):
        output = nnx.merge(graphdef, params, rest)(mean, var, rngs=draw_key)
        return jnp.mean(output**2), output

    (mean_grad, var_grad, params_grad), output = gradients(mean, var, params)
    chex.assert_trees_all_equal_shapes_and_dtypes([mean_grad, var_grad], [mean, var])
    kernel_grad = params_grad["conv"]["kernel"][...]
    return {"output": output, "mean": mean_grad, "var": var_grad, "kernel": kernel_grad}


def run(config: Config) -> dict[str, np.ndarray]:
    """Trains every arm, seed and beta, or goes on with it, and writes the summary.

    Args:
      config: the options.

    Returns:
      ``seeds``; ``accuracy``, ``nll`` and ``ece`` on the test split and the chosen
      ``beta``, each of shape (arms, seeds); ``grad_norms`` of shape (arms, seeds,
      places).

    Raises:
      OtherRunError: the folder holds a run of another configuration, or another
        process of this run has one.
      OptionsError: a count does not divide another.
      ValueError: the devices or processes do not fit this machine.
      FileNotFoundError: the data are not there.
    """
    _runs.check_divisors(config, eval_every="steps", devices="batch_size")
    _devices.join(
        config.coordinator,
        config.num_processes,
        config.process_id,
        num_devices=config.devices,
    )
    mesh = _devices.make_mesh(config.devices)
    processes = ("coordinator", "num_processes", "process_id")
    folder = _runs.open_folder(
        config.out, config, ignore=("out", "checkpoint_seconds", *processes)
    )
    advance, state, count = make_trainings(config, mesh)
    tensors = user_network(jax.random.key(config.seed), size=config.user_size)
    _runs.write_json(
        folder / "user_network.json",
        {
            name: {
                "shape": list(tensor.shape),
                "norm": float(optax.tree.norm(tensor)),
            }
            for name, tensor in tensors.items()
        },
    )
    _runs.repeat(
        folder,
        advance,
        state,
        count=count,
        title="training",
        seconds_between_checkpoints=config.checkpoint_seconds,
    )
    rows = choose([row for row in _runs.read_log(folder) if "nll" in row])
    fields = ("arm", "seed", "accuracy", "nll", "ece", "grad_norm")
    _runs.write_json(
        folder / "summary.json",
        [{name: row[name] for name in fields} for row in rows],
    )
    seeds = sorted({row["seed"] for row in rows})
    table = {(row["arm"], row["seed"]): row for row in rows}
    arrays = {
        name: np.array([[table[arm, seed][name] for seed in seeds] for arm in ARMS])
        for name in ("accuracy", "nll", "ece", "beta", "grad_norms")
    }
    return {"seeds": np.array(seeds)} | arrays


def choose(trials: list[dict]) -> list[dict]:
    """Keeps, for each arm, the trials of the beta that validates best over the seeds.

    Args:
      trials: rows with ``arm``, ``seed``, ``beta`` and ``validation_nll``.

    Returns:
      One row per arm and seed.
    """

    def validation_nll(arm, beta):
        return np.mean(
            [
                row["validation_nll"]
                for row in trials
                if (row["arm"], row["beta"]) == (arm, beta)
            ]
        )

    betas = sorted({row["beta"] for row in trials})
    best = {arm: min(betas, key=lambda beta: validation_nll(arm, beta)) for arm in ARMS}
    return [row for row in trials if row["beta"] == best[row["arm"]]]


def plot(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Draws where gradients arrive, and the held-out scores.

    Args:
      arrays: from :func:`run`.
      path: of the picture.
    """
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    reach, buys = figure.subplots(1, 2, width_ratios=(2, 1))
    _plot_reach(reach, arrays["grad_norms"].mean(1))
    _plot_scores(buys, arrays["nll"], arrays["accuracy"])
    figure.savefig(path, dpi=150)


def _plot_reach(axes, norms):
    floor, top = norms[norms > 0].min() / 10, norms.max() * 8
    for number, (arm, values) in enumerate(zip(ARMS, norms, strict=True)):
        x = np.arange(len(PLACES)) + 0.28 * (number - 1)
        axes.bar(x, np.maximum(values, floor), 0.26, color=COLORS[arm], label=arm)
        for place in np.flatnonzero(values == 0):
            axes.text(
                x[place],
                floor * 1.1,
                "0",
                color=COLORS[arm],
                ha="center",
                va="bottom",
                fontsize="x-large",
                weight="bold",
            )
    middle = len(BEFORE) - 0.5
    axes.axvline(middle, color="black", linestyle=":", linewidth=1)
    axes.text(middle - 0.1, top / 1.5, "before the sample", ha="right", va="top")
    axes.text(middle + 0.1, top / 1.5, "after it", ha="left", va="top")
    axes.set(
        yscale="log",
        ylim=(floor, top),
        xticks=np.arange(len(PLACES)),
        xticklabels=[place.replace("_", "\n") for place in PLACES],
        ylabel="gradient norm of the cross-entropy",
        title="Do gradients reach mean, var and every layer that produced them?",
    )
    axes.legend(loc="upper left", frameon=False)


def _plot_scores(axes, nll, accuracy):
    position = np.arange(len(ARMS))
    colors = [COLORS[arm] for arm in ARMS]
    axes.bar(position, nll.mean(1), 0.6, color=colors, alpha=0.35)
    for column, values in enumerate(nll.T):
        offset = 0.12 * (column - (nll.shape[1] - 1) / 2)
        axes.scatter(position + offset, values, color=colors, zorder=3)
    top = nll.max()
    for x, arm_nll, arm_accuracy in zip(position, nll, accuracy, strict=True):
        text = f"{arm_nll.mean():.2f} nats\n{arm_accuracy.mean():.0%} right"
        axes.text(x, arm_nll.max() + 0.04 * top, text, ha="center", va="bottom")
    axes.set(
        ylim=(0, 1.25 * top),
        xticks=position,
        xticklabels=ARMS,
        ylabel="held-out negative log-likelihood",
        title="What it buys (a point is a seed)",
    )


def make_table(arrays: dict[str, np.ndarray]) -> Table:
    """Lays out the held-out scores, one row per arm and seed.

    Args:
      arrays: from :func:`run`.

    Returns:
      A rich table.
    """
    table = Table(title="held-out scores of the weights that validated best")
    names = ("accuracy", "nll", "ece", "beta")
    for name in ("arm", "seed", *names, f"grad norm of {PLACES[0]}"):
        table.add_column(name, justify="left" if name == "arm" else "right")
    for row, arm in enumerate(ARMS):
        for column, seed in enumerate(arrays["seeds"]):
            scores = [f"{arrays[name][row, column]:.3g}" for name in names]
            norm = f"{arrays['grad_norms'][row, column, 0]:.3g}"
            table.add_row(arm, str(seed), *scores, norm)
        table.add_section()
    return table


def make_layer_table(report: dict[str, dict]) -> Table:
    """Lays out shapes and norms of the first part, one row per tensor.

    Args:
      report: shape and norm of the output, and of the gradients, by name.

    Returns:
      A rich table.
    """
    table = Table(title="one draw, one convolution")
    for name in ("tensor", "shape", "norm"):
        table.add_column(name)
    for name in ("output", "mean", "var", "kernel"):
        label = name if name == "output" else f"gradient for {name}"
        shape = str(tuple(report[name]["shape"]))
        table.add_row(label, shape, f"{report[name]['norm']:.3g}")
    return table


def main() -> None:
    """Runs the experiment from the command line."""
    config = tyro.cli(Config, description=__doc__)
    console = Console()
    with _runs.plain_errors():
        arrays = run(config)
    if jax.process_index() != 0:
        return
    one_layer = json.loads((config.out / "user_network.json").read_text())
    console.print(make_layer_table(one_layer))
    console.print(make_table(arrays))
    plot(arrays, config.out / "noisy_inputs.png")
    console.print(f"figure and summary in {config.out}")


if __name__ == "__main__":
    main()
