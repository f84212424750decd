import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx

import reparam_jax as rj
from tests.ulps import ulps

SHAPE = (5, 40, 8)
STD_OF = {"var": np.sqrt, "std": np.asarray, "log_var": lambda x: np.exp(x / 2)}


def key():
    return jax.random.key(11)


def parameters(name, mean_shape=SHAPE, scale_shape=SHAPE):
    rng = np.random.default_rng(0)
    mean = rng.normal(size=mean_shape) * 10.0 ** rng.integers(-4, 4, mean_shape)
    log_var = rng.uniform(-20, 20, scale_shape)
    scale = {"var": np.exp(log_var), "std": np.exp(log_var / 2), "log_var": log_var}
    return mean.astype(np.float32), {name: scale[name].astype(np.float32)}


def test_the_two_texts_by_hand():
    noise = jax.random.normal(key())
    draw = rj.normal(key(), 2.0, std=5.0)
    np.testing.assert_allclose(draw, 2 + 5 * noise, rtol=2e-7)
    assert rj.normal_from_noise(-1.5, 2.0, std=3.0) == -2.5
    assert rj.normal_from_noise(-1.5, 2.0, 9.0) == -2.5


@pytest.mark.parametrize(
    ("scale", "shape"),
    [
        ({"var": 1.0}, ()),
        ({"var": 1.0}, (100, 5)),
        ({"var": 1.0}, (12, 9, 17)),
        ({"std": 1.0}, (12, 9, 17)),
        ({"log_var": 0.0}, (12, 9, 17)),
    ],
    ids=str,
)
def test_standard_draws_equal_jax_random_bit_for_bit(scale, shape):
    draw = np.asarray(rj.normal(key(), 0.0, **scale, shape=shape))
    expected = np.asarray(jax.random.normal(key(), shape))
    np.testing.assert_array_equal(draw.view(np.uint32), expected.view(np.uint32))


def test_standard_draws_equal_jax_random_bit_for_bit_in_float64():
    with jax.enable_x64(True):
        draw = rj.normal(key(), np.float64(0), np.float64(1), shape=(17000,))
        assert draw.dtype == jnp.float64
        expected = jax.random.normal(key(), (17000,), jnp.float64)
        np.testing.assert_array_equal(draw, expected)


@pytest.mark.parametrize("name", ["var", "std", "log_var"])
@pytest.mark.parametrize(
    ("mean_shape", "scale_shape"),
    [(SHAPE, SHAPE), (SHAPE, (8,)), ((5, 1, 1), (40, 8))],
    ids=str,
)
def test_a_draw_is_mean_plus_std_times_noise(name, mean_shape, scale_shape):
    mean, scale = parameters(name, mean_shape, scale_shape)
    std = STD_OF[name](scale[name].astype(np.float64))
    noise = np.asarray(jax.random.normal(key(), SHAPE), np.float64)
    draw = rj.normal(key(), mean, **scale)
    assert draw.shape == SHAPE
    # Half a unit for each rounding: of the product, the sum, and the root. The
    # exponential is no better than two.
    most = {"std": 1.0, "var": 1.5, "log_var": 3.0}[name]
    assert ulps(draw, mean + std * noise, np.abs(mean) + np.abs(std * noise)) <= most


@pytest.mark.parametrize("name", ["var", "std", "log_var"])
def test_normal_is_normal_from_noise_of_that_noise(name):
    mean, scale = parameters(name)
    noise = jax.random.normal(key(), SHAPE)
    draw = rj.normal(key(), mean, **scale)
    from_noise = np.asarray(rj.normal_from_noise(noise, mean, **scale))
    std = STD_OF[name](scale[name])
    assert ulps(draw, from_noise, np.abs(mean) + np.abs(std * noise)) <= 1


@pytest.mark.parametrize(
    ("mean_shape", "scale_shape"), [((6, 1), (1, 300)), ((), (30,))]
)
def test_noise_is_not_shared_along_a_broadcast_axis(mean_shape, scale_shape):
    shape = np.broadcast_shapes(mean_shape, scale_shape)
    draw = rj.normal(key(), np.zeros(mean_shape), std=np.ones(scale_shape))
    np.testing.assert_array_equal(draw, jax.random.normal(key(), shape))


def test_noise_is_not_shared_along_the_axes_that_shape_adds():
    draw = rj.normal(key(), np.zeros(7), std=np.ones(()), shape=(9, 30, 7))
    np.testing.assert_array_equal(draw, jax.random.normal(key(), (9, 30, 7)))


def test_shape_is_the_shape_of_the_whole_result():
    mean = np.array([-1, 2, 3], np.float32)
    draw = rj.normal(key(), mean, 1e-12, shape=(4, 3))
    np.testing.assert_allclose(draw, np.tile(mean, (4, 1)), atol=1e-5)
    assert rj.normal(key(), 0.0, 1.0, shape=(np.int64(4), 3)).shape == (4, 3)


@pytest.mark.parametrize(
    "mean_and_var",
    [
        (2, 9),
        (2.0, np.int32(9)),
        (np.array(2), np.array(9.0)),
        (2, jnp.int8(9)),
    ],
    ids=repr,
)
def test_integers_and_scalars_are_promoted_to_the_default_float(mean_and_var):
    draw = rj.normal(key(), *mean_and_var)
    assert draw.dtype == jnp.float32
    assert draw == rj.normal(key(), np.float32(2), np.float32(9))
    with jax.enable_x64(True):
        assert rj.normal(key(), *mean_and_var).dtype == jnp.float64


def test_integers_take_the_dtype_of_the_other_parameter():
    assert rj.normal(key(), 2, jnp.bfloat16(9)).dtype == jnp.bfloat16
    assert rj.normal(key(), np.arange(3), jnp.float16(9)).dtype == jnp.float16
    assert rj.normal(key(), jnp.bfloat16(2), jnp.float32(9)).dtype == jnp.float32
    assert rj.normal_from_noise(jnp.bfloat16(2), 0, 1.0).dtype == jnp.bfloat16


def test_parameters_may_be_nnx_variables():
    mean, var = jnp.array([1.0, -2.0]), jnp.array([0.25, 4.0])
    draw = rj.normal(key(), nnx.Param(mean), nnx.Param(var))
    np.testing.assert_array_equal(draw, rj.normal(key(), mean, var))
    given = rj.normal_from_noise(nnx.Param(mean), mean, std=nnx.Param(var))
    np.testing.assert_array_equal(given, mean + mean * var)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_short_dtypes_round_once_from_a_float32_draw(dtype):
    mean = jnp.linspace(-3, 3, 4096).astype(dtype)
    std = jnp.linspace(0.1, 2, 4096).astype(dtype)
    draw = rj.normal(key(), mean, std=std)
    assert draw.dtype == dtype
    wide = rj.normal(key(), mean.astype(jnp.float32), std=std.astype(jnp.float32))
    np.testing.assert_array_equal(draw, wide.astype(dtype))
    half = rj.normal(key(), mean, std=std, dtype=jnp.float32)
    np.testing.assert_array_equal(half, wide)


def test_bfloat16_draws_have_more_than_128_values():
    draw = rj.normal(key(), jnp.bfloat16(0), jnp.bfloat16(1), shape=(2**14,))
    assert len(np.unique(np.asarray(draw, np.float32))) > 1000


def test_dtype_overrides_the_parameters():
    mean, std = jnp.float32(1 / 3), jnp.float32(3.0)
    draw = rj.normal(key(), mean, std=std, dtype=jnp.bfloat16)
    assert draw.dtype == jnp.bfloat16
    assert draw == rj.normal(key(), mean, std=std).astype(jnp.bfloat16)
    noise = jnp.float32(-1.5)
    short = rj.normal_from_noise(noise, mean, std=std, dtype=jnp.float16)
    assert short == rj.normal_from_noise(noise, mean, std=std).astype(jnp.float16)


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2000)], ids=str)
def test_zero_size_arrays_work(shape):
    def total(mean, var):
        return jnp.sum(rj.normal(key(), mean, var))

    mean, var = jnp.zeros(shape), jnp.ones(shape)
    assert rj.normal(key(), mean, var).shape == shape
    slopes = jax.grad(total, argnums=(0, 1))(mean, var)
    assert [slope.shape for slope in slopes] == [shape, shape]
    # A scalar that no element uses has slope 0, not NaN.
    assert jax.grad(total)(0.0, var) == 0
    assert rj.normal_from_noise(np.zeros(shape), 0.0, 1.0).shape == shape


@pytest.mark.parametrize(
    ("scale", "shape"),
    [
        ({"var": 0.25}, (31, 31)),
        ({"var": 0.25}, (400, 500)),
        ({"std": 0.5}, (400, 500)),
        ({"log_var": np.log(0.25)}, (400, 500)),
    ],
    ids=str,
)
def test_follows_the_normal_law(scale, shape, alpha):
    draws = np.ravel(rj.normal(key(), -3.0, **scale, shape=shape)).astype(np.float64)
    assert scipy.stats.kstest((draws + 3) / 0.5, "norm").pvalue > alpha
