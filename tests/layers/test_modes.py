"""Layers inside JAX and nnx transformations, in graph mode and in tree mode."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec

import reparam_jax as rj

SHAPE = (8, 5, 5, 2)
MEAN = np.linspace(-1, 1, 400).reshape(SHAPE).astype(np.float32)
VAR = np.linspace(0.5, 2, 400).reshape(SHAPE).astype(np.float32)

pytestmark = pytest.mark.usefixtures("nnx_mode")


def network(seed=0):
    return rj.layers.StochasticConv(2, 3, (3, 3), rngs=nnx.Rngs(seed))


def expected(layer, key):
    return layer.conv(rj.normal(key, MEAN, VAR))


def close(actual, desired):
    """Equal up to the order in which a convolution adds its products."""
    pairs = zip(jax.tree.leaves(actual), jax.tree.leaves(desired), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, atol=3e-6 * np.max(np.abs(other)))


def test_split_and_merge_under_jit_advance_the_stream():
    graph, state = nnx.split(network())

    @jax.jit
    def step(state):
        layer = nnx.merge(graph, state)
        return layer(MEAN, VAR), nnx.state(layer)

    eager = network()
    for _ in range(2):
        features, state = step(state)
        close(features, eager(MEAN, VAR))


def test_nnx_jit_advances_the_stream():
    layer, eager = network(), network()

    @nnx.jit
    def forward(layer, mean, var):
        return layer(mean, var)

    for _ in range(2):
        close(forward(layer, MEAN, VAR), eager(MEAN, VAR))


def test_gradients_of_parameters_mean_and_variance_flow_under_jit():
    layer = network()
    graph, params, rest = nnx.split(layer, nnx.Param, ...)

    def loss(params, mean, var, key):
        features = nnx.merge(graph, params, rest)(mean, var, rngs=key)
        return jnp.sum(features**2)

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
    for_params, for_mean, for_var = gradient(params, MEAN, VAR, jax.random.key(3))
    noise = jax.random.normal(jax.random.key(3), SHAPE)

    def by_hand(params, draws):
        return jnp.sum(nnx.merge(graph, params, rest).conv(draws) ** 2)

    draws = MEAN + np.sqrt(VAR) * noise
    hand_params, hand_draws = jax.grad(by_hand, argnums=(0, 1))(params, draws)
    close(for_params, hand_params)
    close(for_mean, hand_draws)
    close(for_var, hand_draws * noise / (2 * np.sqrt(VAR)))
    chex.assert_trees_all_equal_shapes_and_dtypes(for_params, params)


@pytest.mark.slow
def test_vmap_over_keys_and_scan_over_keys_draw_independently():
    layer = network()

    def keys():
        return jax.random.split(jax.random.key(5), 3)

    one_by_one = np.stack([expected(layer, key) for key in keys()])
    mapped = jax.vmap(lambda key: layer(MEAN, VAR, rngs=key))(keys())
    close(mapped, one_by_one)

    def body(_, key):
        return None, layer(MEAN, VAR, rngs=key)

    close(jax.jit(lambda keys: jax.lax.scan(body, None, keys)[1])(keys()), one_by_one)


@pytest.mark.slow
def test_remat_gives_the_same_draw_and_gradient():
    layer = network()

    def loss(mean, key):
        return jnp.sum(layer(mean, VAR, rngs=key) ** 2)

    def remat_loss(mean, key):
        return jnp.sum(jax.checkpoint(rematted)(mean, key) ** 2)

    def rematted(mean, key):
        return layer(mean, VAR, rngs=key)

    plain, again = (
        jax.jit(jax.value_and_grad(f))(MEAN, jax.random.key(3))
        for f in (loss, remat_loss)
    )
    close(plain, again)


def test_nnx_remat_draws_from_the_stream():
    layer, eager = network(), network()
    rematted = nnx.remat(lambda layer, mean, var: layer(mean, var))
    close(rematted(layer, MEAN, VAR), eager(MEAN, VAR))


def test_shard_map_draws_each_shard_from_its_own_key():
    layer = network()
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = PartitionSpec("data")

    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=(rows, rows, rows), out_specs=rows)
    def sharded(keys, mean, var):
        return layer(mean, var, rngs=keys[0])

    def keys():
        return jax.random.split(jax.random.key(5), 4)

    by_hand = [
        layer.conv(rj.normal(key, MEAN[2 * i : 2 * i + 2], VAR[2 * i : 2 * i + 2]))
        for i, key in enumerate(keys())
    ]
    close(sharded(keys(), MEAN, VAR), np.concatenate(by_hand))


def test_a_model_trains_through_the_three_layers():
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.head = rj.layers.GaussianHead(2, 2, rngs=rngs)
            self.sample = rj.layers.Sample(rngs=rngs)
            self.conv = rj.layers.StochasticConv(2, 1, (3, 3), rngs=rngs)

        def __call__(self, features):
            mean, var = self.head(features)
            return self.conv(self.sample(mean, var), var)

    graph, params, rest = nnx.split(Model(nnx.Rngs(0)), nnx.Param, ...)

    @jax.jit
    def step(params, rest):
        def loss(params):
            model = nnx.merge(graph, params, rest, copy=True)
            value = jnp.mean((model(MEAN) - 1.0) ** 2)
            return value, nnx.state(model, nnx.RngState)

        (value, rest_), slopes = jax.value_and_grad(loss, has_aux=True)(params)
        return jax.tree.map(lambda p, g: p - 0.03 * g, params, slopes), rest_, value

    losses = []
    for _ in range(60):
        params, rest, value = step(params, rest)
        losses.append(value)
    # Each draw is new, so the loss wanders while it falls.
    assert len(np.unique(losses)) == 60
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
