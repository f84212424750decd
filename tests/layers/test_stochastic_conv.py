import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import reparam_jax as rj
from reparam_jax.layers import StochasticConv

SHAPE = (2, 9, 8, 3)
MEAN = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
VAR = np.random.default_rng(1).uniform(0.1, 4, SHAPE).astype(np.float32)


def layer(**options):
    return StochasticConv(3, 4, (3, 3), rngs=nnx.Rngs(0), **options)


def convolve(draw, kernel, bias, padding="SAME"):
    features = jax.lax.conv_general_dilated(
        draw, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return features + bias.reshape(1, 1, 1, -1)


def close(actual, expected):
    """Equal up to the order in which a convolution adds its products."""
    np.testing.assert_allclose(actual, expected, atol=3e-6 * np.max(np.abs(expected)))


def draw(seed=7):
    return rj.normal(jax.random.key(seed), MEAN, VAR)


def test_features_are_the_convolution_of_a_draw():
    conv = layer()
    kernel, bias = conv.conv.kernel[...], conv.conv.bias[...]
    features = conv(MEAN, VAR, rngs=jax.random.key(7))
    chex.assert_shape(features, (2, 9, 8, 4))
    close(features, convolve(draw(), kernel, bias))
    still = conv(MEAN, VAR, deterministic=True)
    close(still, convolve(MEAN, kernel, bias))


def test_without_variance_the_layer_is_nnx_conv():
    conv = layer()
    plain = nnx.Conv(3, 4, (3, 3), rngs=nnx.Rngs(0))
    plain.kernel[...] = conv.conv.kernel[...]
    np.testing.assert_array_equal(conv(MEAN, 0.0 * VAR), plain(MEAN))


def test_options_reach_the_convolution():
    conv = layer(padding="VALID", strides=(2, 2), use_bias=False)
    features = conv(MEAN, VAR, rngs=jax.random.key(7))
    close(features, conv.conv(draw()))
    assert features.shape == (2, 4, 3, 4)
    assert conv.conv.bias is None


def test_gradients_of_mean_variance_kernel_and_bias_are_exact():
    graph, params, rest = nnx.split(layer(), nnx.Param, ...)
    weights = np.random.default_rng(2).normal(size=(2, 9, 8, 4)).astype(np.float32)

    def loss(params, mean, var):
        conv = nnx.merge(graph, params, rest)
        return jnp.sum(weights * conv(mean, var, rngs=jax.random.key(7)))

    slopes = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(params, MEAN, VAR)
    for_params, for_mean, for_var = slopes
    kernel, bias = params["conv"]["kernel"][...], params["conv"]["bias"][...]
    # By the transposed convolution, written out, and by linearity.
    padded = np.pad(weights, ((0, 0), (1, 1), (1, 1), (0, 0)))
    back = sum(
        padded[:, 2 - i : 11 - i, 2 - j : 10 - j] @ np.asarray(kernel[i, j]).T
        for i in range(3)
        for j in range(3)
    )
    noise = jax.random.normal(jax.random.key(7), SHAPE)
    close(for_mean, back)
    close(for_var, back * noise / (2 * np.sqrt(VAR)))
    _, pullback = jax.vjp(lambda k, b: convolve(draw(), k, b), kernel, bias)
    for_kernel, for_bias = pullback(weights)
    close(for_params["conv"]["kernel"][...], for_kernel)
    close(for_params["conv"]["bias"][...], for_bias)
    chex.assert_tree_all_finite(slopes)


def test_one_constructor_seed_feeds_parameters_and_sampling():
    conv, twin = layer(), layer()
    other = StochasticConv(3, 4, (3, 3), rngs=nnx.Rngs(1))
    np.testing.assert_array_equal(conv(MEAN, VAR), twin(MEAN, VAR))
    assert not np.any(conv.conv.kernel[...] == other.conv.kernel[...])
    separate = StochasticConv(3, 4, (3, 3), rngs=nnx.Rngs(params=0, sample=5))
    again = StochasticConv(3, 4, (3, 3), rngs=nnx.Rngs(params=0, sample=6))
    np.testing.assert_array_equal(separate.conv.kernel[...], again.conv.kernel[...])
    assert not np.any(separate(MEAN, VAR) == again(MEAN, VAR))


def test_the_contract_of_sample_reaches_through():
    conv = layer(deterministic=True)
    np.testing.assert_array_equal(conv(MEAN, VAR), conv.conv(MEAN))
    conv.train()
    assert np.any(conv(MEAN, VAR) != conv.conv(MEAN))
    conv.eval()
    np.testing.assert_array_equal(conv(MEAN, VAR), conv.conv(MEAN))
    renamed = layer(rng_collection="noise")
    features = renamed(MEAN, VAR, rngs=nnx.Rngs(noise=3))
    expected = renamed.conv(rj.normal(nnx.Rngs(noise=3).noise(), MEAN, VAR))
    close(features, expected)
    unset = layer(deterministic=None)
    with pytest.raises(ValueError, match="`Sample` has no `deterministic`"):
        unset(MEAN, VAR)


def test_bad_variances_raise_and_a_vector_per_channel_broadcasts():
    conv = layer()
    with pytest.raises(ValueError, match=r"`var` to be .* 432 of its 432 elements"):
        conv(MEAN, -VAR)
    channels = np.array([0.1, 1.0, 4.0], np.float32)
    features = conv(MEAN, channels, rngs=jax.random.key(7))
    close(features, conv.conv(rj.normal(jax.random.key(7), MEAN, channels)))
