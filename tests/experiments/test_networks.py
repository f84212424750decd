"""Tests of ``experiments._networks``: convolutions, patches, encoders and decoders."""

import jax
import numpy as np
import pytest
from flax import nnx

from experiments import _networks
from experiments._networks import ConvDecoder, ConvEncoder


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def xla_convolution(features, kernel, *, stride=1, padding="SAME"):
    return jax.lax.conv_general_dilated(
        features,
        kernel,
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@pytest.mark.parametrize("channels", [(2, 5), (5, 2)])
def test_convolve_is_the_convolution_with_its_gradients(channels):
    features, kernel = normal(0, 3, 4, 5, channels[0]), normal(1, 3, 3, *channels)
    cotangent = normal(2, 3, 4, 5, channels[1])
    found, pull_back = jax.vjp(_networks.convolve, features, kernel)
    expected, pull_back_expected = jax.vjp(xla_convolution, features, kernel)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(
        pull_back(cotangent), pull_back_expected(cotangent), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_sub_pixels_and_patches_are_inverse_and_ordered_as_documented():
    size, channels = 2, 3
    features = normal(0, 2, 4, 5, size**2 * channels)
    pixels = _networks.sub_pixels(features, size)
    for row, column, i, j, channel in np.ndindex(4, 5, size, size, channels):
        np.testing.assert_array_equal(
            pixels[:, size * row + i, size * column + j, channel],
            features[:, row, column, (i * size + j) * channels + channel],
        )
    np.testing.assert_array_equal(_networks.patches(pixels, size), features)


@pytest.mark.slow
def test_the_encoder_is_a_convolution_with_stride_four():
    encoder = ConvEncoder(8, 3, width=2, rngs=nnx.Rngs(0))
    pixels = normal(1, 2, 8, 8, 1)
    # Neighbouring patches of 4 x 4 side by side are a kernel of 12 x 12.
    kernel = _networks.sub_pixels(encoder.conv.kernel[...].transpose(3, 0, 1, 2), 4)
    convolved = xla_convolution(
        pixels, kernel.transpose(1, 2, 3, 0), stride=4, padding=((4, 4), (4, 4))
    )
    features = nnx.relu(convolved + encoder.conv.bias[...].reshape(1, 1, 1, -1))
    flat = features.reshape(2, -1)
    expected = encoder.readout(nnx.relu(encoder.hidden(flat)))
    np.testing.assert_allclose(encoder(pixels), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_decoder_paints_every_cell_on_its_own_and_its_neighbours_patches():
    decoder = ConvDecoder(28, 3, width=2, rngs=nnx.Rngs(0))
    # Of features that are 0 but in one cell, two cells in from the border, and again
    # one cell further down.
    features = np.zeros((2, 7, 7, 4), np.float32)
    features[0, 2, 2] = features[1, 3, 2] = normal(1, 4)
    first, second = np.asarray(_networks.sub_pixels(decoder.conv(features), 4))[..., 0]
    assert np.count_nonzero(first) == 12 * 12
    assert np.all(first[4:16, 4:16] != 0)
    np.testing.assert_array_equal(second[4:], first[:-4])


@pytest.mark.slow
@pytest.mark.parametrize("image_size", [8, 28])
def test_further_axes_lead_in_any_number_and_under_vmap(image_size):
    encoder = ConvEncoder(image_size, 6, width=2, rngs=nnx.Rngs(0))
    decoder = ConvDecoder(image_size, 3, width=2, rngs=nnx.Rngs(1))
    pixels = normal(2, 2, 3, image_size, image_size, 1)
    features, logits = encoder(pixels), decoder(encoder(pixels)[..., :3])
    assert features.shape == (2, 3, 6)
    assert logits.shape == pixels.shape
    one = decoder(encoder(pixels[1, 2])[:3])
    np.testing.assert_allclose(one, logits[1, 2], rtol=1e-4, atol=1e-5)
    mapped = jax.vmap(lambda pixels: decoder(encoder(pixels)[..., :3]))(pixels)
    np.testing.assert_allclose(mapped, logits, rtol=1e-4, atol=1e-5)


def test_equal_networks_have_equal_graph_definitions():
    graphdefs = [
        nnx.split(ConvEncoder(8, 6, width=2, rngs=nnx.Rngs(seed)))[0] for seed in (0, 1)
    ]
    assert graphdefs[0] == graphdefs[1]
