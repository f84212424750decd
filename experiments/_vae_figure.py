"""The figure of ``vae``: images, where the latents lie, likelihoods."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ._vae_latents import TITLES

COLORS = {"elbo": "#1b6ca8", "stl": "#4aa564", "iwae": "#e08a1e", "dreg": "#a83279"}


def plot(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Draws reconstructions and samples, a map of the latent, and likelihoods.

    Args:
      arrays: from ``vae.run``.
      path: of the picture.
    """
    count = len(arrays["objectives"])
    height = max(6.0, 0.7 + 0.62 * (1 + 2 * count))
    figure = Figure(figsize=(11.5, height), layout="constrained")
    axes = figure.subplot_mosaic(
        [["images", "places"], ["images", "likelihoods"]],
        width_ratios=(6, 5),
        height_ratios=(3, 2),
    )
    _plot_images(axes["images"], arrays)
    _plot_places(axes["places"], arrays)
    _plot_likelihoods(axes["likelihoods"], arrays)
    figure.savefig(path, dpi=150)


def flatten(places: np.ndarray, *, latent: str) -> np.ndarray:
    """Lays places of a latent out in the plane.

    A simplex of three corners becomes a triangle; other latents of more than two
    numbers are projected on their two principal axes.

    Args:
      places: of shape (count, latents).
      latent: law of the latent.

    Returns:
      An array of shape (count, 2).
    """
    size = places.shape[1]
    if size == 1:
        return np.concatenate([places, np.zeros_like(places)], 1)
    if size == 2:
        return places
    if latent == "dirichlet" and size == 3:
        return places @ np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]])
    from sklearn.decomposition import PCA

    return PCA(2, svd_solver="full").fit_transform(places)


def _plot_images(axes, arrays):
    rows = [arrays["originals"], *arrays["reconstructions"], *arrays["samples"]]
    names = arrays["objectives"].tolist()
    labels = ["test images", *names, *(f"{name} samples" for name in names)]
    image_height = rows[0].shape[1]
    border = (0, 0), (0, 0), (0, 1), (0, 1)
    bordered = np.pad(np.stack(rows), border, constant_values=0.4)
    mosaic = np.concatenate([np.concatenate(row, 1) for row in bordered])
    axes.imshow(mosaic, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    middles = (image_height + 1) * (np.arange(len(rows)) + 0.5) - 0.5
    axes.set(xticks=[], yticks=middles, yticklabels=labels)
    axes.set_title("Reconstructions, and samples from the prior")
    axes.tick_params(length=0)


def _plot_places(axes, arrays):
    latent = arrays["latent"].item()
    points = flatten(arrays["places"][0], latent=latent)
    digits = axes.scatter(*points.T, c=arrays["labels"], cmap="tab10", s=8)
    axes.figure.colorbar(digits, ax=axes, ticks=np.unique(arrays["labels"]))
    axes.set_aspect("equal", adjustable="datalim")
    trained = f"trained by {arrays['objectives'][0]}"
    axes.set_title(f"Test images in the {TITLES[latent]} latent, {trained}")


def _plot_likelihoods(axes, arrays):
    names = arrays["objectives"].tolist()
    for row, (name, values) in enumerate(
        zip(names, arrays["log_likelihood"], strict=True)
    ):
        offsets = 0.12 * (np.arange(len(values)) - (len(values) - 1) / 2)
        axes.scatter(values, row + offsets, color=COLORS[name], s=18, zorder=3)
        axes.plot([values.mean()] * 2, [row - 0.35, row + 0.35], color=COLORS[name])
    axes.set(
        yticks=range(len(names)),
        yticklabels=names,
        ylim=(len(names) - 0.5, -0.5),
        xlabel="test log-likelihood, nats per image (a point is a seed)",
    )
    axes.locator_params(axis="x", nbins=6)
    axes.grid(axis="x", alpha=0.3)
