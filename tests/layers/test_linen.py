"""The layers as Flax Linen modules, through `nnx.bridge.to_linen`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import reparam_jax as rj

SHAPE = (2, 6, 6, 3)
MEAN = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
VAR = np.random.default_rng(1).uniform(0.1, 4, SHAPE).astype(np.float32)


def key(seed):
    return jax.random.key(seed)


def conv():
    return nnx.bridge.to_linen(rj.layers.StochasticConv, 3, 4, (3, 3))


def initialized(module, *arguments):
    return module.init({"params": key(0), "sample": key(1)}, *arguments)


def test_the_key_of_apply_decides_the_draw():
    module, variables = conv(), initialized(conv(), MEAN, VAR)
    assert set(variables) == {"params"}
    first, again, other = (
        module.apply(variables, MEAN, VAR, rngs={"sample": key(seed)})
        for seed in (2, 2, 3)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)


def test_features_are_the_convolution_of_one_draw_of_the_right_law():
    module, variables = conv(), initialized(conv(), MEAN, VAR)
    still = module.apply(variables, MEAN, VAR, deterministic=True)
    kernel, bias = (variables["params"]["conv"][name] for name in ("kernel", "bias"))
    expected = jax.lax.conv_general_dilated(
        MEAN, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(still, expected + bias.reshape(1, 1, 1, 4), atol=1e-5)
    drawn = module.apply(variables, MEAN, 0 * VAR, rngs={"sample": key(2)})
    np.testing.assert_allclose(drawn, still, atol=1e-5)


def test_jitted_gradients_reach_parameters_mean_and_variance():
    module, variables = conv(), initialized(conv(), MEAN, VAR)

    @jax.jit
    @jax.grad
    def slopes(arguments, key):
        variables, mean, var = arguments
        return jnp.sum(module.apply(variables, mean, var, rngs={"sample": key}))

    for_variables, for_mean, for_var = slopes((variables, MEAN, VAR), key(2))
    # The loss is linear in the draw, so its slope does not depend on the noise.
    kernel = np.asarray(variables["params"]["conv"]["kernel"])
    padded = np.pad(np.ones((6, 6)), 1)
    back = sum(
        padded[2 - i : 8 - i, 2 - j : 8 - j, None] * kernel[i, j].sum(-1)
        for i in range(3)
        for j in range(3)
    )
    np.testing.assert_allclose(for_mean, np.broadcast_to(back, SHAPE), atol=1e-5)
    noise = for_var * 2 * np.sqrt(VAR) / for_mean
    bias = for_variables["params"]["conv"]["bias"]
    np.testing.assert_array_equal(bias, np.full(4, 72.0))
    # What the slope for the variance reveals is the noise of the draw itself.
    first = module.apply(variables, MEAN, VAR, rngs={"sample": key(2)})
    features = jax.lax.conv_general_dilated(
        MEAN + np.sqrt(VAR) * noise,
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    bias = variables["params"]["conv"]["bias"].reshape(1, 1, 1, 4)
    np.testing.assert_allclose(first, features + bias, atol=2e-4)


def test_a_linen_network_holds_the_layers():
    class Network(linen.Module):
        @linen.compact
        def __call__(self, features):
            mean, var = nnx.bridge.to_linen(rj.layers.GaussianHead, 3, 3)(features)
            drawn = nnx.bridge.to_linen(rj.layers.Sample)(mean, var)
            return linen.Conv(4, (3, 3))(drawn)

    network = Network()
    variables = initialized(network, MEAN)

    @jax.jit
    @jax.value_and_grad
    def step(variables, key):
        return jnp.mean(network.apply(variables, MEAN, rngs={"sample": key}) ** 2)

    first, slopes = step(variables, key(2))
    second, _ = step(variables, key(3))
    assert first != second
    for slope in jax.tree.leaves(slopes):
        assert np.all(slope != 0)


@pytest.mark.parametrize("seed", [2, 3])
def test_sample_in_linen_draws_mean_plus_std_times_noise(seed):
    module = nnx.bridge.to_linen(rj.layers.Sample)
    assert initialized(module, MEAN, VAR) == {}
    noise = module.apply({}, 0 * MEAN, 0 * VAR + 1, rngs={"sample": key(seed)})
    draw = module.apply({}, MEAN, VAR, rngs={"sample": key(seed)})
    np.testing.assert_allclose(draw, MEAN + np.sqrt(VAR) * noise, rtol=1e-5, atol=1e-6)
    assert np.std(noise) > 0.5
