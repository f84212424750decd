r"""Does a GAN use the mean and variance of its noise where a gradient reaches them?

A generator is asked for images of a class, but sees only noise: normal, with one mean
and one variance for each class, all 0 and 1 at the start. So what it knows of the class
has come through the sample, by :math:`\mathrm{d}z / \mathrm{d}\mu = 1` and
:math:`\mathrm{d}z / \mathrm{d} \log \sigma^2 = \sigma \epsilon / 2`. In four arms the
gradient reaches both (``learned``), the mean alone (``mean``), or nothing (``cut``);
``codes`` is cut as well, but its means are random numbers from the start.

The scores are those of a small classifier, trained on the images that the GAN sees:
Frechet distance between its features of samples and of held-out images, over all and
class by class, how often it sees the class that was asked for, and the inception score
and class frequencies of what it sees. Real images are scored beside them: from so few,
even their distance is not 0.
"""

from pathlib import Path

import numpy as np
import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from . import _runs
from ._gan_training import ARMS, Config, make_trainings
from ._tables import mean_and_error

SCORES = (
    "frechet",
    "class_frechet",
    "accuracy",
    "classifier_score",
    "histogram_gap",
)
COLORS = {"learned": "#1b6ca8", "mean": "#e08a1e", "codes": "#4f9d69", "cut": "#8c8c8c"}


def run(config: Config) -> dict[str, np.ndarray]:
    """Trains every arm and seed, or goes on with it, and writes the summary.

    Args:
      config: the options.

    Returns:
      ``seeds``; ``steps``, after which was scored; each of ``SCORES``, of shape (arms,
      seeds, steps), and ``real_`` and its name for real images, of shape (seeds,);
      ``pixels`` of shape (arms, images, height, width), class by class in turn, of the
      first seed; ``mean`` and ``std`` of the noise at the end, of shape (arms, seeds,
      classes, latents).

    Raises:
      OtherRunError: the folder holds a run of another configuration.
      OptionsError: a count does not divide another.
      FileNotFoundError: the data are not there.
    """
    _runs.check_divisors(config, eval_every="steps")
    folder = _runs.open_folder(config.out, config, ignore=("out", "checkpoint_seconds"))
    advance, state, count = make_trainings(config, folder)
    _runs.repeat(
        folder,
        advance,
        state,
        count=count,
        title="training",
        seconds_between_checkpoints=config.checkpoint_seconds,
    )
    log = _runs.read_log(folder)
    _runs.write_json(
        folder / "summary.json",
        [
            {name: row[name] for name in ("arm", "seed", *SCORES)}
            for row in log
            if row["arm"] == "real" or row["step"] == config.steps
        ],
    )
    return _gather(folder, log)


def _gather(folder, log):
    """Collects the arrays of ``run`` from the log and the samples."""
    real = [row for row in log if row["arm"] == "real"]
    seeds = [row["seed"] for row in real]
    table = {(row["arm"], row["seed"], row["step"]): row for row in log}
    steps = sorted({row["step"] for row in log} - {0})
    arrays = {"seeds": np.array(seeds), "steps": np.array(steps)}
    for name in SCORES:
        arrays[f"real_{name}"] = np.array([row[name] for row in real])
        arrays[name] = np.array(
            [
                [[table[arm, seed, step][name] for step in steps] for seed in seeds]
                for arm in ARMS
            ]
        )
    samples = [[_read_samples(folder, arm, seed) for seed in seeds] for arm in ARMS]
    for name in ("mean", "std"):
        arrays[name] = np.array([[file[name] for file in row] for row in samples])
    return arrays | {"pixels": np.stack([row[0]["pixels"] for row in samples])}


def _read_samples(folder, arm, seed):
    with np.load(folder / "samples" / f"{arm}_{seed}.npz") as file:
        return dict(file)


def plot(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Draws samples of every arm, the learned noise and the scores while training.

    Args:
      arrays: from :func:`run`.
      path: of the picture.
    """
    figure = Figure(figsize=(12, 6.6), layout="constrained")
    places = figure.add_gridspec(2, 12, height_ratios=(1, 1.9))
    for column, (arm, pixels) in enumerate(zip(ARMS, arrays["pixels"], strict=True)):
        axes = figure.add_subplot(places[0, 3 * column : 3 * column + 3])
        axes.imshow(_tile(pixels, arrays["mean"].shape[2]), cmap="gray", vmin=0, vmax=1)
        axes.set(title=f"{arm}: one column a class", xticks=[], yticks=[])
    noise, *scores = (
        figure.add_subplot(places[1, first : first + 4]) for first in (0, 4, 8)
    )
    law = dict(zip(ARMS, zip(arrays["mean"], arrays["std"], strict=True), strict=True))
    for arm in ("mean", "learned"):
        mean, std = map(np.ravel, law[arm])
        noise.plot(mean, std, ".", color=COLORS[arm], alpha=0.5, label=arm)
    noise.plot(0, 1, "k+", markersize=14, markeredgewidth=2, label="start, and cut")
    noise.set(
        xlabel="mean of the noise",
        ylabel="its standard deviation",
        title="learned noise (a point is class, coordinate, seed)",
    )
    noise.legend(frameon=False)
    _plot_curves(scores[0], arrays, "class_frechet")
    scores[0].set(yscale="log", title="Frechet distance of one class")
    _plot_curves(scores[1], arrays, "accuracy")
    scores[1].set(ylim=(0, 1.02), title="seen as the class asked for")
    scores[1].legend(frameon=False)
    figure.savefig(path, dpi=110)


def _tile(pixels, columns):
    """Lays images out in rows, with a grey line between them."""
    framed = np.pad(pixels, ((0, 0), (0, 1), (0, 1)), constant_values=0.5)
    _, height, width = framed.shape
    rows = framed.reshape(-1, columns, height, width).swapaxes(1, 2)
    return rows.reshape(-1, columns * width)


def _plot_curves(axes, arrays, name):
    for arm, values in zip(ARMS, arrays[name], strict=True):
        axes.plot(arrays["steps"], values.T, color=COLORS[arm], alpha=0.35)
        axes.plot(arrays["steps"], values.mean(0), color=COLORS[arm], label=arm)
    real = arrays[f"real_{name}"].mean()
    axes.axhline(real, color="black", linestyle=":", label="real images")
    axes.set(xlabel="steps (thin: a seed, thick: their mean)")


def make_table(arrays: dict[str, np.ndarray]) -> Table:
    """Lays out the last scores of every arm, and those of real images.

    Args:
      arrays: from :func:`run`.

    Returns:
      A rich table: means over the seeds and their standard errors.
    """
    names = SCORES[:-1]
    table = Table(title=f"scores over {len(arrays['seeds'])} seeds, mean +- its error")
    for name in ("images", *names):
        table.add_column(name.replace("_", " "), justify="right")
    for row, arm in enumerate(ARMS):
        table.add_row(
            arm, *(mean_and_error(arrays[name][row, :, -1], ".3f") for name in names)
        )
    table.add_section()
    table.add_row(
        "real", *(mean_and_error(arrays[f"real_{name}"], ".3f") for name in names)
    )
    return table


def main() -> None:
    """Runs the experiment from the command line."""
    config = tyro.cli(Config, description=__doc__)
    console = Console()
    with _runs.plain_errors():
        arrays = run(config)
    console.print(make_table(arrays))
    for row, arm in enumerate(ARMS):
        mean, std = arrays["mean"][row], arrays["std"][row]
        gap = arrays["histogram_gap"][row, :, -1].mean()
        console.print(
            f"{arm}: means of root mean square {np.sqrt(np.mean(mean**2)):.2f}, "
            f"standard deviations {std.min():.2f} to {std.max():.2f} with median "
            f"{np.median(std):.2f}, "
            f"class frequencies off by {gap:.3f}",
            soft_wrap=True,
        )
    plot(arrays, config.out / "gan.png")
    console.print(f"figure and summary in {config.out}")


if __name__ == "__main__":
    main()
