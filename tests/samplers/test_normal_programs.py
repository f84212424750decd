"""Inside larger programs: loops, vmap, remat, strict modes; and the memory it takes."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj
from tests.ulps import ulps

SHAPE = (4, 4800)
MEAN = np.linspace(-2, 2, 19200).reshape(SHAPE).astype(np.float32)
VAR = np.geomspace(0.01, 9, 19200).reshape(SHAPE).astype(np.float32)
STD = np.sqrt(VAR)


def keys():
    return jax.random.split(jax.random.key(31), 5)


def eager_draws(draw=rj.normal):
    return np.stack([draw(key, MEAN, VAR) for key in keys()])


def noises():
    return np.stack([jax.random.normal(key, SHAPE) for key in keys()])


def assert_same_draws(actual, expected):
    scale = np.abs(MEAN) + np.abs(STD * noises())
    assert ulps(actual, np.asarray(expected), scale) <= 1


@pytest.mark.slow
def test_vmap_over_keys_draws_the_same():
    mapped = jax.vmap(lambda key: rj.normal(key, MEAN, VAR))
    assert_same_draws(mapped(keys()), eager_draws())
    assert_same_draws(jax.jit(mapped)(keys()), eager_draws())


def test_vmap_over_keys_and_parameters_draws_the_same():
    rows = jax.vmap(rj.normal)(keys()[:4], MEAN, VAR)
    for row, key, mean, var in zip(rows, keys(), MEAN, VAR, strict=False):
        expected = np.asarray(rj.normal(key, mean, var))
        assert ulps(row, expected, np.abs(mean) + np.abs(expected - mean)) <= 1


def test_a_scan_over_keys_draws_the_same():
    def scan(keys):
        return jax.lax.scan(
            lambda _, key: (None, rj.normal(key, MEAN, VAR)), None, keys
        )

    assert_same_draws(scan(keys())[1], eager_draws())
    assert_same_draws(jax.jit(scan)(keys())[1], eager_draws())


def scanned_loss(mean, var, keys):
    def body(total, key):
        return total + jnp.sum(rj.normal(key, mean, var)), None

    return jax.lax.scan(body, 0.0, keys)[0]


def mapped_loss(mean, var, keys):
    return jnp.sum(jax.vmap(rj.normal, (0, None, None))(keys, mean, var))


def unrolled_loss(mean, var, keys):
    return sum(jnp.sum(rj.normal(keys[i], mean, var)) for i in range(5))


def checkpointed_loss(mean, var, keys):
    draw = jax.checkpoint(rj.normal)
    return sum(jnp.sum(draw(keys[i], mean, var)) for i in range(5))


@pytest.mark.parametrize(
    "loss", [scanned_loss, mapped_loss, unrolled_loss, checkpointed_loss]
)
def test_the_gradient_of_several_draws_is_the_sum_of_the_closed_forms(loss):
    for_mean, for_var = jax.jit(jax.grad(loss, argnums=(0, 1)))(MEAN, VAR, keys())
    np.testing.assert_array_equal(for_mean, np.full(SHAPE, 5.0))
    each = noises().astype(np.float64) / (2 * np.sqrt(VAR.astype(np.float64)))
    # Five slopes of 2 ulp each, added up.
    assert ulps(for_var, each.sum(0), np.abs(each).sum(0)) <= 6


def test_the_gradient_of_an_eager_scan_equals_the_jitted_one():
    gradient = jax.grad(scanned_loss, argnums=(0, 1))
    chex.assert_trees_all_equal(
        gradient(MEAN, VAR, keys()), jax.jit(gradient)(MEAN, VAR, keys())
    )


def test_checkpoint_draws_the_same_noise_again():
    def draw(mean, var):
        return rj.normal(keys()[0], mean, var)

    value, pullback = jax.vjp(draw, MEAN, VAR)
    again, pullback_again = jax.vjp(jax.checkpoint(draw), MEAN, VAR)
    np.testing.assert_array_equal(value, again)
    cotangent = np.ones(SHAPE, np.float32)
    chex.assert_trees_all_equal(pullback(cotangent), pullback_again(cotangent))


def test_checkpoint_frees_at_least_one_array_of_the_draws_size():
    shape = (1, 16, 300, 300)
    kernel = jax.ShapeDtypeStruct((32, 16, 3, 3), jnp.float32)
    parameter = jax.ShapeDtypeStruct(shape, jnp.float32)
    key = jax.ShapeDtypeStruct((), jax.random.key(0).dtype)

    def temporary_bytes(draw):
        def loss(mean, var, kernel, key):
            draws = draw(key, mean, var)
            return jnp.sum(jax.lax.conv(draws, kernel, (1, 1), "SAME") ** 2)

        gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
        compiled = gradient.lower(parameter, parameter, kernel, key).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    saved = temporary_bytes(rj.normal) - temporary_bytes(jax.checkpoint(rj.normal))
    assert saved >= 4 * np.prod(shape)


def loss_and_slopes(mean, var, key):
    def loss(mean, var):
        return jnp.sum(rj.normal(key, mean, var) ** 2)

    return jax.value_and_grad(loss, argnums=(0, 1))(mean, var)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(7,), SHAPE], ids=str)
def test_strict_dtype_promotion_is_no_obstacle(shape):
    mean, var = jnp.ones(shape), jnp.ones(shape)
    with jax.numpy_dtype_promotion("strict"):
        loss_and_slopes(mean, var, jax.random.key(0))
        jax.jit(loss_and_slopes)(mean, var, jax.random.key(0))
        for scale in ({"var": 2.0}, {"std": 2}, {"log_var": np.float32(1)}):
            draw = rj.normal(jax.random.key(0), mean, **scale)
            assert draw.dtype == jnp.float32
        short = mean.astype(jnp.bfloat16)
        assert rj.normal(jax.random.key(0), short, 1.0).dtype == jnp.bfloat16
        assert rj.normal_from_noise(mean, 0, var=var).dtype == jnp.float32


def test_debug_nans_finds_none_where_the_parameters_are_valid():
    var = jnp.array([0.0, 1e-40, 1e-30, 1.0, 1e30])
    with jax.debug_nans(True), jax.debug_infs(True):
        for program in (loss_and_slopes, jax.jit(loss_and_slopes)):
            _, slopes = program(jnp.ones(5) * 1e-3, var / 1e20, jax.random.key(0))
            chex.assert_tree_all_finite(slopes)
        rj.normal(jax.random.key(0), 0.0, log_var=jnp.array([-170.0, 170.0]))


def test_debug_nans_stops_at_a_bad_traced_value():
    # JAX runs the program again, eagerly, and there the value is concrete.
    sentence = r"`normal` needs `var` to be .* -1.0 at index \(1\)"
    with jax.debug_nans(True), pytest.raises(ValueError, match=sentence):
        jax.jit(rj.normal)(jax.random.key(0), jnp.zeros(3), jnp.array([1.0, -1.0, 1.0]))


def test_a_jitted_call_transfers_nothing():
    arguments = jnp.asarray(MEAN), jnp.asarray(VAR), jax.random.key(0)
    expected = jax.jit(loss_and_slopes)(*arguments[:2], jax.random.key(0))
    with jax.transfer_guard("disallow"):
        actual = jax.jit(loss_and_slopes)(*arguments)
        with pytest.raises(jax.errors.JaxRuntimeError, match="host-to-device transfer"):
            jax.jit(loss_and_slopes)(MEAN, *arguments[1:2], jax.random.key(0))
    chex.assert_trees_all_equal(actual, expected)


def test_a_second_use_of_a_key_raises():
    def twice(mean, key):
        return jnp.sum(rj.normal(key, mean, 1.0) * rj.normal(key, mean, 1.0))

    for mean in (jnp.ones(3), jnp.ones(SHAPE)):
        for use in (twice, jax.jit(twice), jax.grad(twice), jax.jit(jax.grad(twice))):
            with pytest.raises(jax.errors.KeyReuseError):
                use(mean, jax.random.key(0))
        for second in (jax.random.normal, rj.noise.uniform):
            key = jax.random.key(0)
            jax.grad(lambda mean, key: jnp.sum(rj.normal(key, mean, 1.0)))(mean, key)
            with pytest.raises(jax.errors.KeyReuseError):
                second(key)
