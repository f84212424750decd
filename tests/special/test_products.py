import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reparam_jax.special._products import exp_of_product, sum_error

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponentials_of_large_products_keep_their_last_bits(dtype):
    largest = np.sqrt(np.log(np.finfo(dtype).max) - 5)
    size = largest * np.sqrt(RNG.uniform(size=(2, 500)))
    first, second = dtype(size * [[-1], [1]])
    with jax.enable_x64(dtype is np.float64):
        actual = jax.jit(exp_of_product)(first, second)
        rounded = np.exp(dtype(first * second))
    exact = np.exp(np.longdouble(first) * second)
    errors = [
        np.max(np.abs(np.longdouble(values) / exact - 1)) / np.finfo(dtype).eps
        for values in (actual, rounded)
    ]
    assert errors[0] < 4 < 15 < errors[1]


def test_far_out_of_range_it_is_0_or_infinite_and_its_derivatives_0_or_not_nan():
    first = np.float32([-1e3, -876.0, -20.0])
    value, slope = jax.jvp(
        lambda x: exp_of_product(x, jnp.full_like(x, 999.0)), (first,), (first,)
    )
    np.testing.assert_array_equal(value, 0)
    np.testing.assert_array_equal(slope, 0)
    assert exp_of_product(np.float32(99), np.float32(99)) == np.inf


def test_derivatives_are_those_of_the_product():
    first, second = np.float32([0.3, -2.1]), np.float32([1.7, 3.3])

    def derive(function):
        return jax.vmap(jax.hessian(function, (0, 1)))(first, second)

    actual = np.array(derive(exp_of_product))
    expected = np.array(derive(lambda x, y: jnp.exp(x * y)))
    np.testing.assert_allclose(actual, expected, rtol=2e-6)


def test_the_error_of_a_sum_completes_it():
    large, small = np.float32(RNG.uniform([[10], [0]], [[20], [1]], (2, 100)))
    error = jax.jit(sum_error)(large, small)
    total = np.float64(large + small) + np.float64(error)
    np.testing.assert_array_equal(total, np.float64(large) + np.float64(small))
    assert np.any(error != 0)
