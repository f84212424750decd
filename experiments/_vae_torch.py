"""The training step of ``_vae_step`` in PyTorch: the same function, written for it."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ._networks import PATCH
from ._vae_step import LATENTS, LEARNING_RATE, WIDTH

VARIANTS = {
    "torch": {},
    "torch, channels last": {"channels_last": True},
    "torch, compiled": {"compiled": True},
    "torch, compiled, channels last": {"compiled": True, "channels_last": True},
}


def make_network(image_size: int) -> Any:
    """Makes encoder and decoder, as ``forward(pixels, noise)``, to the mean loss.

    Args:
      image_size: height and width of the images.

    Returns:
      A ``torch.nn.Module``; pixels are NCHW.
    """
    torch = importlib.import_module("torch")
    functional, size = torch.nn.functional, image_size // PATCH
    flat = 2 * WIDTH * size**2

    class Vae(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = torch.nn.ModuleDict(
                {
                    "conv": torch.nn.Conv2d(PATCH**2, 2 * WIDTH, 3, padding=1),
                    "hidden": torch.nn.Linear(flat, 8 * WIDTH),
                    "readout": torch.nn.Linear(8 * WIDTH, 2 * LATENTS),
                }
            )
            self.decoder = torch.nn.ModuleDict(
                {
                    "hidden": torch.nn.Linear(LATENTS, 8 * WIDTH),
                    "spread": torch.nn.Linear(8 * WIDTH, flat),
                    "conv": torch.nn.Conv2d(2 * WIDTH, PATCH**2, 3, padding=1),
                }
            )

        def forward(self, pixels, noise):
            mean, log_std = self.encode(pixels).chunk(2, 1)
            variance = torch.exp(2 * log_std)
            logits = self.decode(mean + torch.exp(log_std) * noise)
            divergence = (mean.square() + variance - 1).sum() / 2 - log_std.sum()
            cross_entropy = functional.binary_cross_entropy_with_logits(
                logits, pixels, reduction="sum"
            )
            return (divergence + cross_entropy) / len(pixels)

        def encode(self, pixels):
            layers = self.encoder
            shrunk = functional.pixel_unshuffle(pixels, PATCH)
            features = functional.relu(layers["conv"](shrunk))
            hidden = functional.relu(layers["hidden"](features.flatten(1)))
            return layers["readout"](hidden)

        def decode(self, latents):
            layers = self.decoder
            hidden = functional.relu(layers["hidden"](latents))
            spread = functional.relu(layers["spread"](hidden))
            features = spread.unflatten(1, (2 * WIDTH, size, size))
            return functional.pixel_shuffle(layers["conv"](features), PATCH)

    return Vae()


def to_torch(params: dict, image_size: int) -> dict[str, np.ndarray]:
    """Lays our parameters out as PyTorch's: kernels output first, features NCHW.

    Args:
      params: a tree of arrays, by network, layer and name.
      image_size: height and width of the images.

    Returns:
      A ``state_dict`` of NumPy arrays.
    """
    size, found = image_size // PATCH, {}
    for network, layers in params.items():
        for layer, arrays in layers.items():
            kernel, bias = np.asarray(arrays["kernel"]), np.asarray(arrays["bias"])
            if layer == "conv":
                kernel = kernel.transpose(3, 2, 0, 1)
            elif (network, layer) == ("encoder", "hidden"):
                kernel = _channels_first(kernel.T, size)
            elif layer == "spread":
                kernel = _channels_first(kernel, size).T
                bias = _channels_first(bias, size)
            else:
                kernel = kernel.T
            for name, array in (("weight", kernel), ("bias", bias)):
                found[f"{network}.{layer}.{name}"] = np.array(array, order="C")
    return found


def _channels_first(array, size):
    """Moves the last axis from (height, width, channel) to (channel, height, width)."""
    parts = array.reshape(*array.shape[:-1], size * size, -1)
    return parts.swapaxes(-1, -2).reshape(array.shape)


def make_step(
    params: dict,
    image_size: int,
    *,
    compiled: bool = False,
    channels_last: bool = False,
) -> tuple[Callable[[np.ndarray], Any], Callable[[np.ndarray], float]]:
    """Makes one step of fused Adam from our first parameters.

    Args:
      params: as in :func:`to_torch`.
      image_size: height and width of the images.
      compiled: by ``torch.compile``, forward and backward.
      channels_last: the memory format of kernels and pixels.

    Returns:
      ``step(pixels)``, from a NCHW tensor to the loss, and ``bound(pixels)``, to the
      mean bound of a NumPy array of NCHW pixels.
    """
    torch = importlib.import_module("torch")
    network = make_network(image_size)
    first = to_torch(params, image_size)
    network.load_state_dict({name: torch.tensor(x) for name, x in first.items()})
    if channels_last:
        network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE, fused=True)

    def loss(pixels):
        return network(pixels, torch.randn(len(pixels), LATENTS))

    if compiled:
        loss = torch.compile(loss)

    def step(pixels):
        optimizer.zero_grad(set_to_none=True)
        value = loss(pixels)
        value.backward()
        optimizer.step()
        return value

    @torch.no_grad()
    def bound(pixels):
        noise = torch.randn(len(pixels), LATENTS)
        return -network(torch.tensor(pixels), noise).item()

    return step, bound
