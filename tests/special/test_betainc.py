import pathlib

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special

from reparam_jax.special import betainc

REFERENCE = pathlib.Path(__file__).parent / "reference" / "beta.csv"
TABLE = np.genfromtxt(REFERENCE, delimiter=",", names=True)[::2]


def density(a, b, x):
    with mpmath.workdps(40):
        a, b, x = (mpmath.mpf(float(v)) for v in (a, b, x))
        log_beta = mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b)
        logs = (a - 1) * mpmath.log(x) + (b - 1) * mpmath.log1p(-x) - log_beta
        return float(mpmath.exp(logs))


def point(dtype, rows=slice(None)):
    return [jnp.asarray(TABLE[name][rows].astype(dtype)) for name in "abx"]


def total(*args):
    return jnp.sum(betainc(*args))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_derivatives_against_mpmath(dtype):
    bound = 1e-5 if dtype == np.float32 else 2e-13
    with jax.enable_x64(dtype == np.float64):
        slopes = jax.jit(jax.grad(total, (0, 1, 2)))(*point(dtype))
    in_x = np.array(
        [density(*row) for row in zip(*map(TABLE.__getitem__, "abx"), strict=True)]
    )
    truths = -in_x * TABLE["dx_da"], -in_x * TABLE["dx_db"], in_x
    for slope, truth in zip(slopes, truths, strict=True):
        assert slope.dtype == dtype
        np.testing.assert_allclose(np.asarray(slope, float), truth, rtol=bound)


def test_values():
    a, b, x = np.float32([[0.5, 2, 30], [3, 0.1, 50], [0.1, 0.9, 0.4]])
    expected = scipy.special.betainc(*(v.astype(float) for v in (a, b, x)))
    np.testing.assert_allclose(betainc(a, b, x), expected, rtol=1e-5)


@pytest.mark.slow  # programs of second derivatives
@pytest.mark.parametrize("outer", [jax.jacfwd, jax.jacrev])
def test_second_derivatives_against_mpmath(outer):
    row = (1.3, 0.6, 0.35)
    with jax.enable_x64(True):
        hessian = np.array(jax.jit(outer(jax.grad(betainc, (0, 1)), (0, 2)))(*row))

    def cdf(a, b, x):
        return mpmath.betainc(a, b, 0, x, regularized=True)

    orders = ((2, 0, 0), (1, 0, 1)), ((1, 1, 0), (0, 1, 1))
    with mpmath.workdps(30):
        expected = [[float(mpmath.diff(cdf, row, o)) for o in pair] for pair in orders]
    np.testing.assert_allclose(hessian, expected, rtol=1e-11)


def test_at_the_ends_only_the_draw_has_a_slope():
    a, b = np.float32([2, 1, 0.5, 3, 3, 3]), np.float32([3, 3, 3, 2, 1, 0.5])
    x = np.float32([0, 0, 0, 1, 1, 1])
    in_a, in_b, in_x = jax.jit(jax.grad(total, (0, 1, 2)))(a, b, x)
    np.testing.assert_array_equal(in_a, 0)
    np.testing.assert_array_equal(in_b, 0)
    np.testing.assert_array_equal(in_x, [0, 3, np.inf, 0, 3, np.inf])


def test_outside_the_domain_value_and_derivatives_are_nan():
    a, x = np.float32([1, -1, 1, 1]), np.float32([0.5, 0.5, -0.1, 1.1])
    bad = np.array([0, 1, 1, 1], bool)
    np.testing.assert_array_equal(np.isnan(betainc(a, np.float32(2), x)), bad)
    slopes = jax.jit(jax.grad(lambda a, x: total(a, np.float32(2), x), (0, 1)))(a, x)
    for slope in slopes:
        np.testing.assert_array_equal(np.isnan(slope), bad)
