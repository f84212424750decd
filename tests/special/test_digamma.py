import jax
import jax.numpy as jnp
import mpmath
import numpy as np

from reparam_jax.special._digamma import digamma, digamma_above_log, lowest
from tests.special.test_gamma import BITS, DTYPES, by_forward, precision, relative


def random_points(bits, low, high):
    exponents = np.random.default_rng(bits).uniform(low, high, 100)
    return (10**exponents).astype(DTYPES[bits])


@BITS
def test_digamma_and_its_derivatives_are_those_of_mpmath(bits):
    x = random_points(bits, -4, 6)
    with precision(bits):
        values = jax.jit(
            lambda x: (
                digamma(x),
                by_forward(digamma, x),
                by_forward(lambda x: by_forward(digamma, x), x),
            )
        )(x)
    last_place = np.finfo(DTYPES[bits]).eps
    for order, actual in enumerate(values):
        expected = np.array([float(mpmath.psi(order, mpmath.mpf(float(v)))) for v in x])
        # It crosses 0, next to which the bound is one of 1; its derivatives do not.
        scale = np.maximum(np.abs(expected), 1 if order == 0 else 0)
        error = np.abs(np.asarray(actual, np.float64) - expected) / scale
        assert np.max(error) < 16 * 2**order * last_place


@BITS
def test_digamma_above_log_keeps_its_relative_accuracy(bits):
    dtype = DTYPES[bits]
    x = np.maximum(random_points(bits, 0.5, 7), lowest(np.dtype(dtype)))
    x[0] = lowest(np.dtype(dtype))
    with precision(bits):
        actual = digamma_above_log(jnp.asarray(x.astype(dtype)))
    with mpmath.workdps(40):
        exact = [mpmath.mpf(float(v)) for v in x]
        expected = [mpmath.psi(0, 1 + v) - mpmath.log(v) for v in exact]
    last_place = np.finfo(dtype).eps
    assert relative(actual, np.array(expected, float)) < 8 * last_place


def test_lowest_is_where_the_methods_meet():
    x = jnp.nextafter(jnp.float32(6), jnp.float32([0.0, 10.0]))
    below, above = digamma(x)
    np.testing.assert_allclose(below, above, rtol=2e-6)
    assert jax.jit(digamma)(jnp.float32(1)) + 0.5772157 < 1e-6
