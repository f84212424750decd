import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import reparam_jax as rj
from reparam_jax.layers import GaussianHead

FEATURES = np.random.default_rng(0).normal(size=(2, 4, 4, 5)).astype(np.float32)


def head(**options):
    return GaussianHead(5, 3, rngs=nnx.Rngs(0), **options)


@pytest.mark.parametrize("min_var", [1e-6, 0.25])
def test_mean_and_variance_are_linear_and_softplus_plus_floor(min_var):
    layer = head(min_var=min_var)
    mean, var = layer(FEATURES)
    linear = layer.linear(FEATURES)
    chex.assert_shape([mean, var], (2, 4, 4, 3))
    np.testing.assert_array_equal(mean, linear[..., :3])
    np.testing.assert_array_equal(var, jax.nn.softplus(linear[..., 3:]) + min_var)


def test_the_floor_holds_where_softplus_underflows():
    layer = head(min_var=1e-4)
    layer.linear.bias[...] = jnp.full(6, -1e4)
    _, var = layer(FEATURES)
    np.testing.assert_array_equal(var, np.float32(1e-4))


@pytest.mark.parametrize("min_var", [0.0, -1e-6, float("nan")])
def test_a_floor_that_is_not_positive_raises(min_var):
    with pytest.raises(ValueError, match=f"`min_var` to be positive, got {min_var}"):
        head(min_var=min_var)


def test_gradients_are_those_of_the_linear_layer_and_softplus():
    layer = head()
    graph, params = nnx.split(layer)

    def loss(params, features):
        mean, var = nnx.merge(graph, params)(features)
        return jnp.sum(mean) + jnp.sum(jnp.log(var))

    for_params, for_features = jax.jit(jax.grad(loss, argnums=(0, 1)))(params, FEATURES)
    raw = np.asarray(layer.linear(FEATURES), np.float64)[..., 3:]
    # d log(softplus(r) + floor) / d r = sigmoid(r) / (softplus(r) + floor)
    slope = 1 / (1 + np.exp(-raw)) / (np.logaddexp(0, raw) + 1e-6)
    cotangent = np.concatenate([np.ones_like(raw), slope], axis=-1)
    kernel = np.asarray(layer.linear.kernel[...], np.float64)
    for_kernel = np.einsum("bhwi,bhwo->io", FEATURES, cotangent)
    np.testing.assert_allclose(for_features, cotangent @ kernel.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        for_params["linear"]["kernel"][...], for_kernel, rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        for_params["linear"]["bias"][...], cotangent.sum((0, 1, 2)), rtol=1e-5
    )


def test_a_draw_from_the_head_passes_gradients_to_its_features():
    layer = head()

    def loss(features):
        mean, var = layer(features)
        return jnp.sum(rj.normal(jax.random.key(0), mean, var) ** 2)

    slopes = jax.jit(jax.grad(loss))(FEATURES)
    chex.assert_tree_all_finite(slopes)
    assert np.all(slopes != 0)


def test_options_reach_the_linear_layer():
    layer = head(dtype=jnp.bfloat16, use_bias=False)
    mean, var = layer(FEATURES)
    assert (mean.dtype, var.dtype) == (jnp.bfloat16, jnp.bfloat16)
    assert layer.linear.bias is None
    assert layer.linear.kernel[...].dtype == jnp.float32
