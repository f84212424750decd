import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import reparam_jax as rj
from tests.special.reference_data import error

RNG = np.random.default_rng(3)
X = np.concatenate(
    [
        RNG.uniform(-8.5, 8.5, 40),
        10 ** RNG.uniform(-6, 6, 30),
        -(10 ** RNG.uniform(-6, 0, 9)),
    ]
)


def exact(x):
    """The value and its first three derivatives."""
    with mpmath.workdps(60):
        x = mpmath.mpf(float(x))
        value = mpmath.exp(x * x) * mpmath.erfc(x)
        first = 2 * x * value - 2 / mpmath.sqrt(mpmath.pi)
        second = 2 * value + 2 * x * first
        third = 4 * first + 2 * x * second
        return [float(each) for each in (value, first, second, third)]


def forward(function):
    return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]


def reverse(function):
    return jax.grad(lambda x: jnp.sum(function(x)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_and_derivatives_on_the_whole_line(dtype):
    with jax.enable_x64(dtype is np.float64):
        x = dtype(X if dtype is np.float32 else np.append(X, [-25.5, -14.0]))
        expected = np.array([exact(each) for each in x]).T
        first = forward(rj.special.erfcx)
        functions = (rj.special.erfcx, first, reverse(first), forward(reverse(first)))
        for order, (function, truth) in enumerate(
            zip(functions, expected, strict=True)
        ):
            ulps = error(jax.jit(function)(x), truth) / np.finfo(dtype).eps
            assert ulps < (6 if order == 0 else 16), order


def test_it_stays_finite_and_positive_to_the_largest_numbers():
    values = rj.special.erfcx(np.float32([1e10, 1e34]))
    assert error(values, 1 / (np.sqrt(np.pi) * np.array([1e10, 1e34]))) < 1e-6
    np.testing.assert_array_equal(rj.special.erfcx(np.float32([-20.0])), np.inf)


def test_what_is_not_finite_is_nan_with_a_nan_gradient():
    x = np.float32([np.nan, -np.inf, np.inf, -5])
    for values in (rj.special.erfcx(x), reverse(rj.special.erfcx)(x)):
        np.testing.assert_array_equal(np.isnan(values), [True, True, True, False])
