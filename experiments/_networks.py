"""Encoders and decoders of small images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

PATCH = 4


class DenseEncoder(nnx.Module):
    """Maps images to features by one hidden layer.

    Args:
      image_size: height and width of the images.
      num_outputs: length of the result.
      width: of the hidden layer.
      rngs: an ``nnx.Rngs`` for the initial parameters.
    """

    def __init__(
        self, image_size: int, num_outputs: int, *, width: int, rngs: nnx.Rngs
    ):
        self.hidden = nnx.Linear(image_size**2, width, rngs=rngs)
        self.readout = nnx.Linear(width, num_outputs, rngs=rngs)

    def __call__(self, pixels: jax.Array) -> jax.Array:
        """Maps pixels (..., height, width, 1) to features (..., num_outputs)."""
        flat = pixels.reshape(*pixels.shape[:-3], -1)
        return self.readout(nnx.tanh(self.hidden(flat)))


class DenseDecoder(nnx.Module):
    """Maps latents to the logits of pixels by one hidden layer.

    Args:
      image_size: height and width of the images.
      num_inputs: length of the latent.
      width: of the hidden layer.
      rngs: an ``nnx.Rngs`` for the initial parameters.
    """

    def __init__(self, image_size: int, num_inputs: int, *, width: int, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(num_inputs, width, rngs=rngs)
        self.readout = nnx.Linear(width, image_size**2, rngs=rngs)
        self.image_size = image_size

    def __call__(self, latents: jax.Array) -> jax.Array:
        """Maps latents (..., num_inputs) to logits (..., height, width, 1)."""
        flat = self.readout(nnx.tanh(self.hidden(latents)))
        return flat.reshape(*flat.shape[:-1], self.image_size, self.image_size, 1)


class ConvEncoder(nnx.Module):
    """Maps images to features by an overlapping convolution and a hidden layer.

    A pixel of the convolution is a patch of 4 x 4: its 3 x 3 kernel sees 12 x 12 pixels
    and moves by 4.

    Args:
      image_size: height and width of the images, divisible by 4.
      num_outputs: length of the result.
      width: sets the convolution's channels, 2 * width, and the hidden layer's units,
        8 * width.
      rngs: an ``nnx.Rngs`` for the initial parameters.
    """

    def __init__(
        self, image_size: int, num_outputs: int, *, width: int, rngs: nnx.Rngs
    ):
        flat = 2 * width * (image_size // PATCH) ** 2
        self.conv = make_conv(PATCH**2, 2 * width, rngs=rngs)
        self.hidden = nnx.Linear(flat, 8 * width, rngs=rngs)
        self.readout = nnx.Linear(8 * width, num_outputs, rngs=rngs)

    def __call__(self, pixels: jax.Array) -> jax.Array:
        """Maps pixels (..., height, width, 1) to features (..., num_outputs)."""
        features = nnx.relu(self.conv(patches(pixels, PATCH)))
        flat = features.reshape(*features.shape[:-3], -1)
        return self.readout(nnx.relu(self.hidden(flat)))


class ConvDecoder(nnx.Module):
    """Maps latents to the logits of pixels: the mirror image of ``ConvEncoder``.

    The convolution gives 16 channels at a quarter of the resolution, which become the
    pixels of a patch (sub-pixel convolution): it replaces a transposed one.

    Args:
      image_size: height and width of the images, divisible by 4.
      num_inputs: length of the latent.
      width: sets the convolution's channels, 2 * width, and the hidden layer's units,
        8 * width.
      rngs: an ``nnx.Rngs`` for the initial parameters.

    References:
      Shi et al. Real-time single image and video super-resolution using an efficient
      sub-pixel convolutional neural network. CVPR 2016.
    """

    def __init__(self, image_size: int, num_inputs: int, *, width: int, rngs: nnx.Rngs):
        size = image_size // PATCH
        self.shape = size, size, 2 * width
        self.hidden = nnx.Linear(num_inputs, 8 * width, rngs=rngs)
        self.spread = nnx.Linear(8 * width, 2 * width * size**2, rngs=rngs)
        self.conv = make_conv(2 * width, PATCH**2, rngs=rngs)

    def __call__(self, latents: jax.Array) -> jax.Array:
        """Maps latents (..., num_inputs) to logits (..., height, width, 1)."""
        flat = nnx.relu(self.spread(nnx.relu(self.hidden(latents))))
        features = flat.reshape(*latents.shape[:-1], *self.shape)
        return sub_pixels(self.conv(features), PATCH)


def make_conv(num_inputs: int, num_outputs: int, *, rngs: nnx.Rngs) -> nnx.Conv:
    """Makes a 3 x 3 convolution computed by :func:`convolve`.

    Args:
      num_inputs: channels of the input.
      num_outputs: channels of the result.
      rngs: an ``nnx.Rngs`` for the initial parameters.

    Returns:
      The layer; height and width stay as they are.
    """
    return nnx.Conv(
        num_inputs,
        num_outputs,
        (3, 3),
        rngs=rngs,
        conv_general_dilated=_conv_general_dilated,
    )


def _conv_general_dilated(features, kernel, *_, **__):
    return convolve(features, kernel)


def convolve(features: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves with a 3 x 3 kernel by one matrix product, and so does its gradient.

    XLA's convolutions are fast on CPU, but those of a gradient are not inside
    ``jax.lax.scan``: only the ones of the entry computation are brought into the form
    that the fast code takes. A product is fast in either place.

    Args:
      features: of shape (count, height, width, inputs).
      kernel: of shape (3, 3, inputs, outputs).

    Returns:
      An array of shape (count, height, width, outputs); beyond the border is 0.
    """
    num_inputs, num_outputs = kernel.shape[2:]
    if num_inputs <= num_outputs:
        return _neighbours(features) @ kernel.reshape(9 * num_inputs, num_outputs)
    flipped = kernel[::-1, ::-1].transpose(2, 0, 1, 3)
    return _add_to_neighbours(features @ flipped.reshape(num_inputs, 9 * num_outputs))


def _neighbours(features):
    """Gathers the 3 x 3 neighbours of a pixel in its channels."""
    height, width = features.shape[1:3]
    padded = jnp.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + height, j : j + width] for i, j in np.ndindex(3, 3)]
    return jnp.concatenate(shifted, axis=-1)


def _add_to_neighbours(features):
    """Adds ninths of a pixel's channels to its 3 x 3 neighbours: the transpose."""
    # One `split`: the transpose of nine slices would be a sum of nine padded arrays.
    shifted = [
        jnp.pad(part, ((0, 0), (i, 2 - i), (j, 2 - j), (0, 0)))
        for part, (i, j) in zip(
            jnp.split(features, 9, axis=-1), np.ndindex(3, 3), strict=True
        )
    ]
    return functools.reduce(jnp.add, shifted)[:, 1:-1, 1:-1]


def patches(pixels: jax.Array, size: int) -> jax.Array:
    """Divides height and width: the pixels of a patch become channels.

    Args:
      pixels: of shape (..., height, width, channels), divisible by ``size``.
      size: height and width of a patch.

    Returns:
      An array of shape (..., height / size, width / size, size**2 * channels), whose
      channels run over a patch's rows, columns and channels, the last one fastest. With
      one channel that is the order of PyTorch's ``pixel_unshuffle``.
    """
    *lead, height, width, channels = pixels.shape
    parts = pixels.reshape(
        *lead, height // size, size, width // size, size, channels
    ).swapaxes(-4, -3)
    return parts.reshape(*lead, height // size, width // size, size**2 * channels)


def sub_pixels(features: jax.Array, size: int) -> jax.Array:
    """Multiplies height and width: channels become the pixels of a patch.

    Args:
      features: of shape (..., height, width, size**2 * channels), ordered as by
        :func:`patches`, whose inverse this is.
      size: height and width of a patch.

    Returns:
      An array of shape (..., size * height, size * width, channels).
    """
    *lead, height, width, channels = features.shape
    channels //= size**2
    parts = features.reshape(*lead, height, width, size, size, channels)
    rows = parts.swapaxes(-4, -3)
    return rows.reshape(*lead, size * height, size * width, channels)
