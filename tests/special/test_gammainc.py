import jax
import mpmath
import numpy as np
import pytest
import scipy.special

import reparam_jax as rj
from tests.special.test_gamma import BITS, points, precision, relative

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow

PAIR = pytest.mark.parametrize(
    ("function", "law", "sign"),
    [
        (rj.special.gammainc, scipy.special.gammainc, 1),
        (rj.special.gammaincc, scipy.special.gammaincc, -1),
    ],
)


def some_points(bits):
    rows, concentration, z = points(bits)
    inside = (rows["concentration"] < 1e4) & (rows["z"] > 1e-30)
    return rows[inside], concentration[inside], z[inside]


def density(a, z):
    with mpmath.workdps(30):
        a, z = mpmath.mpf(float(a)), mpmath.mpf(float(z))
        return float(mpmath.exp((a - 1) * mpmath.log(z) - z - mpmath.loggamma(a)))


@BITS
@PAIR
def test_values_are_those_of_scipy(bits, function, law, sign):
    _, concentration, z = some_points(bits)
    with precision(bits):
        values = function(concentration, z)
    expected = law(concentration.astype(np.float64), z.astype(np.float64))
    # Values are JAX's, whose float32 loses digits as the concentration grows; on the
    # oldest JAX 7e-5.
    inside = (expected > 1e-3) & (expected < 0.999) & (concentration < 100)
    bound = {32: 1e-4, 64: 1e-11}[bits]
    assert relative(values[inside], expected[inside]) < bound


@BITS
@PAIR
@pytest.mark.parametrize("derive", [jax.jacfwd, jax.jacrev])
def test_derivatives_are_the_density_and_its_product_with_the_slope(
    bits, function, law, sign, derive
):
    rows, concentration, z = some_points(bits)
    expected = np.array([density(*x) for x in zip(concentration, z, strict=True)])
    with precision(bits):
        gradient = jax.jit(jax.vmap(derive(function, (0, 1))))
        by_concentration, by_z = gradient(concentration, z)
    # On the oldest JAX, whose log-gamma has fewer digits, 3e-13; else 4e-14.
    bound = {32: 8e-6, 64: 5e-13}[bits]
    # Further out, as many digits are lost as log(density) has.
    seen = expected * z > 1e-10
    assert relative(by_z[seen], sign * expected[seen]) < bound
    expected = -sign * expected * rows["slope"]
    assert relative(by_concentration[seen], expected[seen]) < bound


@BITS
@PAIR
def test_second_derivatives_are_those_of_mpmath(bits, function, law, sign):
    a, z = np.array([0.5, 2.5, 12.0]), np.array([0.2, 3.0, 9.0])
    with precision(bits):
        hessians = [
            jax.jit(jax.vmap(outer(jax.grad(function, (0, 1)), (0, 1))))(a, z)
            for outer in (jax.jacfwd, jax.jacrev)
        ]
    for (i, j), order in {(0, 0): (2, 0), (0, 1): (1, 1), (1, 1): (0, 2)}.items():
        with mpmath.workdps(40):
            truth = [
                sign
                * mpmath.diff(
                    lambda a, z: mpmath.gammainc(a, 0, z, regularized=True), x, order
                )
                for x in zip(a.tolist(), z.tolist(), strict=True)
            ]
        for hessian in hessians:
            error = relative(hessian[i][j], np.array(truth, np.float64))
            assert error < {32: 2e-5, 64: 1e-11}[bits]
            np.testing.assert_allclose(hessian[j][i], hessian[i][j], rtol=1e-5)


def test_at_zero():
    at_zero = jax.grad(rj.special.gammainc, 1)(1.0, 0.0)
    np.testing.assert_allclose(at_zero, 1.0, rtol=1e-5)
    assert float(rj.special.gammainc(3.0, 0.0)) == 0
    assert float(rj.special.gammaincc(3.0, 0.0)) == 1
    assert float(jax.grad(rj.special.gammainc, 1)(3.0, 0.0)) == 0
    assert float(jax.grad(rj.special.gammainc, 0)(3.0, 0.0)) == 0


@PAIR
def test_outside_the_domain_value_and_derivatives_are_nan_exactly_there(
    function, law, sign
):
    concentration, z = np.float32([1.0, -1.0, 2.0]), np.float32([1.0, 1.0, -1.0])
    bad = np.array([False, True, True])
    np.testing.assert_array_equal(np.isnan(function(concentration, z)), bad)
    for slope in jax.jit(jax.vmap(jax.grad(function, (0, 1))))(concentration, z):
        np.testing.assert_array_equal(np.isnan(slope), bad)
