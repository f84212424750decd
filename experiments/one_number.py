r"""What is the gradient of one random number for its mean and its standard deviation?

With :math:`z = \mu + \sigma \epsilon` and the loss :math:`z`, the gradient is exactly 1
for the mean and exactly :math:`\epsilon` for the standard deviation. Beside it stand a
draw without the trick, whose gradient is 0, and the score function, whose gradient is
right on average only and far noisier. The expectation's gradient is (1, 0).
"""

import dataclasses
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import reparam_jax as rj

from . import _devices, _runs

PARAMETERS = ("mean", "std")
TRUTH = (1.0, 0.0)
COLORS = {"pathwise": "#1b6ca8", "no trick": "#8c8c8c", "score function": "#e08a1e"}


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    out: Path = Path("runs/one_number")
    """Folder of the results; the same command goes on where it was stopped."""
    seed: int = 0
    """Sets the draws."""
    mean: float = 2.0
    """Mean of the normal."""
    std: float = 5.0
    """Its standard deviation."""
    steps: int = 100
    """Batches of draws."""
    batch_size: int = 256
    """Draws in a batch; divisible by `devices`."""
    devices: int = 1
    """Devices to split each batch over."""
    debug: bool = False
    """Check on every batch that the pathwise gradients are exactly (1, noise)."""


def pathwise(key: jax.Array, mean: jax.Array, std: jax.Array) -> jax.Array:
    """The draw ``mean + std * noise``: its gradient is the path's.

    Args:
      key: one key.
      mean: mean of the normal.
      std: standard deviation of the normal.

    Returns:
      The loss, which is the draw.
    """
    return rj.normal(key, mean, std=std)


def no_trick(key: jax.Array, mean: jax.Array, std: jax.Array) -> jax.Array:
    """The same draw as a bare number: nothing leads back to mean and std.

    Args:
      key: one key.
      mean: mean of the normal.
      std: standard deviation of the normal.

    Returns:
      The loss, which is the draw.
    """
    return jax.lax.stop_gradient(rj.normal(key, mean, std=std))


def score_function(key: jax.Array, mean: jax.Array, std: jax.Array) -> jax.Array:
    """The same bare number, times the log-probability's gradient: right on average.

    Args:
      key: one key.
      mean: mean of the normal.
      std: standard deviation of the normal.

    Returns:
      The loss, whose gradient is the draw times that of its log-probability.
    """
    draw = no_trick(key, mean, std)
    log_prob = dist.Normal(mean, std).log_prob(draw)
    return draw * jnp.exp(log_prob - jax.lax.stop_gradient(log_prob))


ESTIMATORS = {
    "pathwise": pathwise,
    "no trick": no_trick,
    "score function": score_function,
}


def run(config: Config) -> dict[str, np.ndarray]:
    """Draws every batch, or goes on with it, and writes the summary.

    Args:
      config: the options.

    Returns:
      ``grads`` of one batch, of shape (estimators, draws, parameters); ``noise`` of
      that batch; ``mean`` and ``std_error`` of the gradients, after every batch, of
      shape (steps, estimators, parameters); ``std``, that of one gradient, of shape
      (estimators, parameters).

    Raises:
      OtherRunError: the folder holds a run of another configuration.
      OptionsError: the batch does not divide over the devices.
    """
    _runs.check_divisors(config, devices="batch_size")
    mesh = _devices.make_mesh(config.devices)
    folder = _runs.open_folder(config.out, config)
    draw_batch = _make_draw_batch(config, mesh)
    shape = (len(ESTIMATORS), len(PARAMETERS))

    def advance(index, state):
        _, grads = draw_batch(np.uint32(index))
        grads = np.asarray(grads, np.float64)
        state = {
            "sum": state["sum"] + grads.sum(1),
            "sum_of_squares": state["sum_of_squares"] + (grads**2).sum(1),
        }
        count = (index + 1) * config.batch_size
        mean = state["sum"] / count
        var = np.maximum(state["sum_of_squares"] / count - mean**2, 0.0)
        line = {"draws": count, "mean": mean.tolist(), "std": np.sqrt(var).tolist()}
        return state, [line]

    start = {"sum": np.zeros(shape), "sum_of_squares": np.zeros(shape)}
    _runs.repeat(folder, advance, start, count=config.steps, title="drawing")
    log = _runs.read_log(folder)
    mean, std = (np.array([line[name] for line in log]) for name in ("mean", "std"))
    draws = np.array([line["draws"] for line in log])
    _runs.write_json(
        folder / "summary.json",
        [
            {
                "estimator": name,
                "parameter": parameter,
                "truth": TRUTH[column],
                "mean": mean[-1, row, column],
                "std": std[-1, row, column],
                "draws": int(draws[-1]),
            }
            for row, name in enumerate(ESTIMATORS)
            for column, parameter in enumerate(PARAMETERS)
        ],
    )
    noise, grads = draw_batch(np.uint32(0))
    return {
        "noise": np.asarray(noise),
        "grads": np.asarray(grads),
        "mean": mean,
        "std_error": std / np.sqrt(draws)[:, None, None],
        "std": std[-1],
        "draws": draws,
    }


def _make_draw_batch(config, mesh):
    """Makes ``index -> (noise, grads)``, the gradients at one batch of draws."""
    root = jax.random.key(config.seed)

    def draw_batch(index):
        keys = jax.random.split(jax.random.fold_in(root, index), config.batch_size)
        keys = _devices.split(mesh, keys)
        mean, std = jnp.float32(config.mean), jnp.float32(config.std)
        noise = jax.vmap(jax.random.normal)(jax.random.clone(keys))
        grads = [
            jnp.stack(
                jax.vmap(jax.grad(estimator, argnums=(1, 2)), in_axes=(0, None, None))(
                    jax.random.clone(keys), mean, std
                ),
                axis=-1,
            )
            for estimator in ESTIMATORS.values()
        ]
        chex.assert_shape(grads, (config.batch_size, len(PARAMETERS)))
        if config.debug:
            exact = jnp.stack([jnp.ones_like(noise), noise], axis=-1)
            chex.assert_trees_all_close(grads[0], exact, rtol=0, atol=0)
        return noise, jnp.stack(grads)

    jitted = jax.jit(draw_batch)
    return chex.chexify(jitted, async_check=False) if config.debug else jitted


def plot(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Draws the gradients of single draws over their noise, and their averages.

    Args:
      arrays: from :func:`run`.
      path: of the picture.
    """
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    rows = figure.subplots(2, 2, width_ratios=(1, 1.2))
    for column, (parameter, (single, average)) in enumerate(
        zip(PARAMETERS, rows, strict=True)
    ):
        for row, name in enumerate(ESTIMATORS):
            color = COLORS[name]
            grads = arrays["grads"][row, :, column]
            single.plot(arrays["noise"], grads, ".", color=color, label=name)
            mean = arrays["mean"][:, row, column]
            error = 2 * arrays["std_error"][:, row, column]
            average.plot(arrays["draws"], mean, color=color, label=name)
            average.fill_between(
                arrays["draws"], mean - error, mean + error, color=color, alpha=0.2
            )
        average.axhline(TRUTH[column], color="black", linestyle=":", linewidth=1)
        single.set(xlabel="noise of the draw", ylabel=f"gradient for the {parameter}")
        average.set(xscale="log", xlabel="draws averaged (band: 2 standard errors)")
    rows[0, 0].set_title("one draw: 1 and the noise, exactly")
    rows[0, 1].set_title("average of draws: dotted is the truth")
    rows[0, 1].legend(frameon=False)
    figure.savefig(path, dpi=150)


def make_table(arrays: dict[str, np.ndarray]) -> Table:
    """Lays out mean and spread of the gradients.

    Args:
      arrays: from :func:`run`.

    Returns:
      A rich table.
    """
    table = Table(title=f"gradient of the loss z over {arrays['draws'][-1]} draws")
    for name in ("estimator", "for", "truth", "mean", "standard error", "std of one"):
        table.add_column(name, justify="left" if name == "estimator" else "right")
    for row, name in enumerate(ESTIMATORS):
        for column, parameter in enumerate(PARAMETERS):
            index = (row, column)
            table.add_row(
                name,
                parameter,
                f"{TRUTH[column]:g}",
                f"{arrays['mean'][-1][index]:.4f}",
                f"{arrays['std_error'][-1][index]:.4f}",
                f"{arrays['std'][index]:.4f}",
            )
    return table


def main() -> None:
    """Runs the experiment from the command line."""
    config = tyro.cli(Config, description=__doc__)
    console = Console()
    with _runs.plain_errors():
        arrays = run(config)
    worked = rj.normal_from_noise(-1.5, 2.0, std=3.0)
    slopes = jax.grad(
        lambda mean, std: rj.normal_from_noise(-1.5, mean, std=std), argnums=(0, 1)
    )(2.0, 3.0)
    console.print(
        f"mean 2, std 3, noise -1.5: z = {worked:g}, gradient {slopes[0]:g} for the "
        f"mean and {slopes[1]:g} for the std",
        soft_wrap=True,
    )
    console.print(make_table(arrays))
    plot(arrays, config.out / "one_number.png")
    console.print(f"figure and summary in {config.out}")


if __name__ == "__main__":
    main()
