"""Eight devices: the draws of one device, no communication, no noise drawn twice."""

import functools
import math
import re
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import reparam_jax as rj
from tests import hlo
from tests.ulps import ulps

# The small shapes are drawn through `jax.random`, the others by the written-out cipher.
SHAPES = {
    "large": (16, 1024),
    "short axis": (256, 64),
    "small": (8, 64),
    "short rows": (16, 16),
}
AXES = {"8": {"data": 8}, "2x4": {"data": 2, "model": 4}}
KINDS = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}
everywhere = pytest.mark.parametrize(
    ("shape", "axes", "kind"),
    [
        ("large", "8", "auto"),
        ("large", "8", "explicit"),
        ("large", "2x4", "auto"),
        ("large", "2x4", "explicit"),
        ("short axis", "8", "explicit"),
        ("short axis", "2x4", "auto"),
        ("small", "8", "auto"),
        ("small", "2x4", "explicit"),
    ],
)


def key():
    return jax.random.key(37)


def sharding_on(axes, kind):
    sizes, names = tuple(AXES[axes].values()), tuple(AXES[axes])
    mesh = jax.make_mesh(sizes, names, axis_types=(KINDS[kind],) * len(names))
    return NamedSharding(mesh, PartitionSpec(*names, *(None,) * (2 - len(names))))


def parameters(shape):
    count = math.prod(shape)
    mean = np.linspace(-2, 2, count).reshape(shape).astype(np.float32)
    var = np.geomspace(0.01, 9, count).reshape(shape).astype(np.float32)
    return mean, var


def draw(key, mean, var):
    return rj.normal(key, mean, var)


def slopes(key, mean, var):
    return jax.grad(lambda m, v: jnp.sum(draw(key, m, v)), argnums=(0, 1))(mean, var)


def noise(key, mean, var):
    return rj.normal(key, 0 * mean, std=0 * var + 1)


class Result(NamedTuple):
    text: str
    arrays: list
    shardings: list


@functools.cache
def on_mesh(function, shape, axes, kind):
    sharding = sharding_on(axes, kind)
    with jax.set_mesh(sharding.mesh):
        mean, var = jax.device_put(parameters(SHAPES[shape]), sharding)
        compiled = jax.jit(function).lower(key(), mean, var).compile()
        arrays = jax.tree.leaves(compiled(key(), mean, var))
    return Result(
        compiled.as_text(),
        jax.tree.map(np.asarray, arrays),
        [a.sharding for a in arrays],
    )


@functools.cache
def on_one_device(function, shape):
    mean, var = parameters(SHAPES[shape])
    arrays = jax.tree.leaves(jax.jit(function)(key(), mean, var))
    return jax.tree.map(np.asarray, arrays)


@everywhere
def test_noise_is_bit_for_bit_that_of_one_device(shape, axes, kind):
    (actual,) = on_mesh(noise, shape, axes, kind).arrays
    expected = np.asarray(jax.random.normal(key(), SHAPES[shape]))
    np.testing.assert_array_equal(actual.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("kind", KINDS)
def test_noise_in_short_rows_is_that_of_one_device_to_four_ulp(kind):
    # On two by four devices each holds rows of four elements, a loop that XLA's CPU
    # backend does not vectorise: `erf_inv` rounds otherwise there (3 ulp measured).
    (actual,) = on_mesh(noise, "short rows", "2x4", kind).arrays
    expected = np.asarray(jax.random.normal(key(), SHAPES["short rows"]))
    assert ulps(actual, expected) <= 4


@everywhere
def test_draws_are_those_of_one_device(shape, axes, kind):
    result = on_mesh(draw, shape, axes, kind)
    (expected,) = on_one_device(draw, shape)
    mean, var = parameters(SHAPES[shape])
    (epsilon,) = on_one_device(noise, shape)
    scale = np.abs(mean) + np.abs(np.sqrt(var) * epsilon)
    assert ulps(result.arrays[0], expected, scale) <= 1
    assert result.shardings[0].is_equivalent_to(sharding_on(axes, kind), 2)


@pytest.mark.slow
@everywhere
def test_gradients_are_those_of_one_device(shape, axes, kind):
    result = on_mesh(slopes, shape, axes, kind)
    chex.assert_trees_all_equal(result.arrays, on_one_device(slopes, shape))
    for sharding in result.shardings:
        assert sharding.is_equivalent_to(sharding_on(axes, kind), 2)


@everywhere
@pytest.mark.parametrize("function", [draw, slopes])
def test_neither_draws_nor_gradients_communicate(function, shape, axes, kind):
    assert hlo.collectives(on_mesh(function, shape, axes, kind).text) == []


def test_the_check_for_communication_sees_it():
    def total(key, mean, var):
        return jnp.sum(draw(key, mean, var))

    text = on_mesh(total, "large", "8", "auto").text
    assert hlo.collectives(text) == ["all-reduce f32[]"]


@pytest.mark.parametrize(
    ("shape", "axes", "kind"),
    [
        ("large", "8", "auto"),
        ("large", "2x4", "explicit"),
        ("short axis", "8", "explicit"),
        ("small", "2x4", "explicit"),
    ],
)
@pytest.mark.parametrize("function", [draw, slopes])
def test_no_device_draws_more_noise_than_its_own(function, shape, axes, kind):
    local = math.prod(SHAPES[shape]) // 8
    words = hlo.shapes(on_mesh(function, shape, axes, kind).text, "u32")
    # XLA may split a shard's rolled cipher in two halves, never gather more.
    assert max(math.prod(dimensions) for dimensions in words) in (local, local // 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_device_draws_more_noise_than_its_own_where_a_short_axis_is_sharded(kind):
    words = hlo.shapes(on_mesh(draw, "short axis", "2x4", kind).text, "u32")
    assert max(math.prod(dimensions) for dimensions in words) <= 256 * 64 // 8


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", ["large", "small"])
def test_noise_functions_place_what_one_device_draws(shape, kind):
    sharding = sharding_on("2x4", kind)
    for function in (rj.noise.bits, rj.noise.uniform, rj.noise.normal):

        def placed(key, function=function):
            drawn = function(key, SHAPES[shape], out_sharding=sharding)
            if kind == "explicit":
                return drawn
            return jax.lax.with_sharding_constraint(drawn, sharding)

        with jax.set_mesh(sharding.mesh):
            actual = jax.jit(placed)(key())
        assert actual.sharding.is_equivalent_to(sharding, 2)
        np.testing.assert_array_equal(actual, function(key(), SHAPES[shape]))


@pytest.mark.parametrize("kind", KINDS)
def test_shard_map_draws_each_shard_as_one_device_would(kind):
    sharding = sharding_on("8", kind)
    mean, _ = parameters(SHAPES["large"])

    def folded(key, index):
        return jax.random.fold_in(key, index)

    def shard(key, mean, var):
        return rj.normal(folded(key, jax.lax.axis_index("data")), mean, var)

    def loss(mean, var, key):
        draws = jax.shard_map(
            shard,
            in_specs=(PartitionSpec(), PartitionSpec("data", None), PartitionSpec()),
            out_specs=PartitionSpec("data", None),
        )(key, mean, var)
        return jnp.sum(draws), draws

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
    with jax.set_mesh(sharding.mesh):
        placed = jax.device_put(mean, sharding)
        (for_mean, for_var), draws = gradient(placed, jnp.float32(2.0), key())
    epsilon = np.concatenate(
        [jax.random.normal(folded(key(), i), (2, 1024)) for i in range(8)]
    )
    scale = np.abs(mean) + np.abs(np.sqrt(2) * epsilon)
    expected = mean + np.sqrt(np.float32(2)) * epsilon
    assert ulps(draws, expected, scale) <= 1
    np.testing.assert_array_equal(for_mean, 1)
    # The replicated variance collects the slopes of every shard.
    total = epsilon.astype(np.float64).sum() / (2 * np.sqrt(2))
    assert abs(for_var - total) <= 1e-6 * np.abs(epsilon).sum()


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_value_raises_on_a_mesh(kind):
    sharding = sharding_on("2x4", kind)
    mean, var = parameters(SHAPES["small"])
    var[5, 3], var[7, 1] = -2.0, -1.0
    sentence = (
        "2 of its 512 elements are not; the smallest of those is -2.0 at index (5, 3)"
    )
    with jax.set_mesh(sharding.mesh):
        mean, var = jax.device_put((mean, var), sharding)
        for call in (draw, slopes):
            with pytest.raises(ValueError, match=re.escape(sentence)):
                call(key(), mean, var)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_value_is_nan_exactly_there_on_a_mesh(kind):
    sharding = sharding_on("8", kind)
    mean, var = parameters(SHAPES["small"])
    var[5, 3] = -2.0

    @jax.jit
    def masked(key, mean, var):
        def loss(mean, var):
            return jnp.sum(jnp.where(var > 0, rj.normal(key, mean, var), 0.0))

        return jax.grad(loss, argnums=(0, 1))(mean, var)

    with jax.set_mesh(sharding.mesh):
        results = masked(key(), *jax.device_put((mean, var), sharding))
    for result in results:
        np.testing.assert_array_equal(np.isnan(result), var < 0)


def test_eager_calls_keep_the_sharding_of_their_parameters():
    for kind in KINDS:
        sharding = sharding_on("2x4", kind)
        with jax.set_mesh(sharding.mesh):
            _, var = jax.device_put(parameters(SHAPES["small"]), sharding)
            drawn = rj.normal(key(), 0.0, var)
            slope = jax.grad(lambda v: jnp.sum(rj.normal(key(), 0.0, v)))(var)
        assert drawn.sharding.is_equivalent_to(sharding, 2)
        assert slope.sharding.is_equivalent_to(sharding, 2)
