"""Which bound trains the best variational autoencoder?

Black and white images are encoded as the law of a latent (normal, von Mises-Fisher on
the sphere, or Dirichlet on the simplex) and decoded from a draw. Four objectives train
the same network from the same first weights on the same minibatches: the evidence lower
bound (``elbo``), the same with the gradient that sticks the landing (``stl``), and the
importance-weighted bound with the standard gradient (``iwae``) or the doubly
reparameterised one (``dreg``). All are scored on the test split by the log-likelihood
that importance sampling with many draws gives; nothing is chosen there.
"""

import jax
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from . import _data, _devices, _runs
from ._tables import mean_and_error
from ._vae_figure import plot
from ._vae_latents import TITLES
from ._vae_training import MAX_PLACES, NUM_PICTURES, Config, make_trainings

SCORES = ("elbo", "log_likelihood", "ess")


def run(config: Config) -> dict[str, np.ndarray]:
    """Trains with every objective and seed, or goes on with it; writes the summary.

    Args:
      config: the options.

    Returns:
      ``objectives``, ``seeds`` and ``latent``; ``elbo`` and ``log_likelihood`` of the
      test split in nats per image, and ``ess``, the mean effective number of draws of
      the latter, each of shape (objectives, seeds). Of the first seed ``samples`` and
      ``reconstructions`` of the ``originals``, of shape (objectives, images, height,
      width), and ``places`` of test images in the latent, of shape (objectives, images,
      latents), with their ``labels``.

    Raises:
      OtherRunError: the folder holds a run of another configuration, or another
        process of this run has one.
      OptionsError: a count does not divide another.
      ValueError: the devices or processes do not fit this machine.
      FileNotFoundError: the data are not there.
    """
    _runs.check_divisors(
        config,
        eval_every="steps",
        devices="batch_size",
        chunk_size="test_samples",
    )
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
    advance, state, count = make_trainings(
        config, mesh, lambda *shown: _keep_pictures(folder, *shown)
    )
    _runs.repeat(
        folder,
        advance,
        state,
        count=count,
        title="training",
        seconds_between_checkpoints=config.checkpoint_seconds,
    )
    rows = [row for row in _runs.read_log(folder) if "log_likelihood" in row]
    fields = ("objective", "seed", *SCORES)
    summary = [{name: row[name] for name in fields} for row in rows]
    _runs.write_json(folder / "summary.json", summary)
    return _collect(config, folder, summary)


def _pictures(folder, objective):
    return folder / f"pictures_{objective}.npz"


def _keep_pictures(folder, objective, pictures):
    if jax.process_index() != 0:
        return
    path = _pictures(folder, objective)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **pictures)
    partial.replace(path)


def _collect(config, folder, summary):
    seeds = sorted({row["seed"] for row in summary})
    table = {(row["objective"], row["seed"]): row for row in summary}
    arrays = {
        name: np.array(
            [
                [table[which, seed][name] for seed in seeds]
                for which in config.objectives
            ]
        )
        for name in SCORES
    }
    shown = [np.load(_pictures(folder, which)) for which in config.objectives]
    for name in ("reconstructions", "samples", "places"):
        arrays[name] = np.stack([pictures[name] for pictures in shown])
    _, test_images = _data.binarize(config.data, config.data_dir)
    return arrays | {
        "objectives": np.array(config.objectives),
        "seeds": np.array(seeds),
        "latent": np.array(config.latent),
        "originals": test_images.pixels[:NUM_PICTURES, ..., 0],
        "labels": test_images.labels[:MAX_PLACES],
    }


def make_table(arrays: dict[str, np.ndarray]) -> Table:
    """Lays out the test scores, one row per objective.

    Args:
      arrays: from :func:`run`.

    Returns:
      A rich table.
    """
    table = Table(
        title=f"test split, {TITLES[arrays['latent'].item()]} latent: nats per image, "
        f"mean +- standard error over {len(arrays['seeds'])} seeds",
    )
    first = arrays["objectives"][0]
    for name in ("objective", "ELBO", "log-likelihood", f"more than {first}", "ESS"):
        table.add_column(name, justify="left" if name == "objective" else "right")
    gains = arrays["log_likelihood"] - arrays["log_likelihood"][:1]
    for row, objective in enumerate(arrays["objectives"]):
        scores = (arrays["elbo"], arrays["log_likelihood"], gains)
        cells = [mean_and_error(values[row]) for values in scores]
        table.add_row(objective, *cells, f"{arrays['ess'][row].mean():.0f}")
    return table


def main() -> None:
    """Runs the experiment from the command line."""
    config = tyro.cli(Config, description=__doc__)
    console = Console()
    with _runs.plain_errors():
        arrays = run(config)
    if jax.process_index() != 0:
        return
    console.print(make_table(arrays))
    plot(arrays, config.out / "vae.png")
    console.print(f"figure and summary in {config.out}")


if __name__ == "__main__":
    main()
