"""The reference is of the two kinds of `test_gamma`, for log z down to -1e8."""

import pathlib

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import reparam_jax as rj
from reparam_jax.special._log_gamma import log_gamma_slope
from tests import hlo
from tests.special.test_gamma import (
    BITS,
    DTYPES,
    by_forward,
    by_reverse,
    precision,
    relative,
)

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow

REFERENCE = np.genfromtxt(
    pathlib.Path(__file__).parent / "reference" / "log_gamma.csv",
    delimiter=",",
    names=True,
)
VALUE = {32: 4e-6, 64: 2e-14}
SECOND = {32: 1e-4, 64: 1e-12}


def points(bits):
    rows = REFERENCE[REFERENCE["bits"] == bits]
    names = "concentration", "log_z"
    return rows, *(rows[name].astype(DTYPES[bits]) for name in names)


@BITS
def test_slopes_are_those_of_the_reference(bits):
    rows, concentration, log_z = points(bits)
    with precision(bits):
        slopes = rj.special.log_gamma_pathwise_grad(concentration, log_z)
    assert slopes.dtype == DTYPES[bits]
    assert relative(slopes, rows["slope"]) < VALUE[bits]


@BITS
@pytest.mark.parametrize("derive", [by_forward, by_reverse])
def test_second_derivatives_of_draws_are_those_of_the_reference(bits, derive):
    rows, concentration, log_z = points(bits)
    with precision(bits):
        by_concentration, by_draw = jax.jit(
            lambda a, x: (
                derive(lambda a: log_gamma_slope(a, x), a),
                derive(lambda x: log_gamma_slope(a, x), x),
            )
        )(concentration, log_z)
    second = np.asarray(by_concentration, np.float64)
    second = second + np.asarray(by_draw, np.float64) * rows["slope"]
    terms = rows["second_by_concentration"], rows["second_by_draw"]
    error = np.abs(second - sum(terms)) / np.maximum(*np.abs(terms))
    assert np.max(error[rows["concentration"] <= 1e4]) < SECOND[bits]
    assert np.all(np.isfinite(second))


# By differences of the reference, in 60 digits, of the slope as a function of
# (concentration, log z).
HESSIANS = {
    (0.02, -1.2039728043259361): (305635.227942582, 1583.29099988602, 8.76440884113183),
    (0.7, -0.10536051565782628): (
        3.95323058978566,
        0.955287013500916,
        0.25373896039032,
    ),
    (0.7, 1.0986122886681098): (1.64549752356744, 0.512747825354255, 0.238176671497847),
    (5.5, 1.6094379124341003): (
        0.00503352853635,
        0.012480725787596,
        0.0307083966025119,
    ),
    (30.0, 3.332204510175204): (2.677878323401e-5, 3.88922862361e-4, 0.005569747521176),
    (400.0, 6.1092475827643655): (
        9.55023221334e-9,
        1.964393297105e-6,
        4.162048734022e-4,
    ),
}


@BITS
@pytest.mark.parametrize("mode", [jax.jacfwd, jax.jacrev])
def test_third_derivatives_of_draws_are_those_of_the_reference(bits, mode):
    with precision(bits):
        arguments = np.array(list(HESSIANS), DTYPES[bits]).T
        hessians = jax.jit(jax.vmap(mode(jax.grad(log_gamma_slope, (0, 1)), (0, 1))))
        (by_aa, by_ax), (by_xa, by_xx) = hessians(*arguments)
    expected = np.array(list(HESSIANS.values())).T
    bound = {32: 1e-3, 64: 1e-9}[bits]
    for actual, truth in zip((by_aa, by_ax, by_xx), expected, strict=True):
        assert relative(actual, truth) < bound
    assert relative(by_xa, expected[1]) < bound


@BITS
def test_far_tails(bits):
    concentration = np.array([1e-6, 0.3, 8.0, 1e6], DTYPES[bits])
    exact = concentration.astype(np.float64)
    digamma = np.array([float(mpmath.psi(0, mpmath.mpf(a) + 1)) for a in exact])
    with precision(bits):
        compute = jax.jit(rj.special.log_gamma_pathwise_grad)
        for log_z in (-1e8, -1e4):
            expected = (digamma - log_z) / exact
            slopes = compute(concentration, DTYPES[bits](log_z))
            assert relative(slopes, expected) < {32: 5e-7, 64: 1e-15}[bits]
        for log_z in (70.0, 85.0):
            expected = (log_z - digamma + 1 / exact) * np.exp(-log_z)
            slopes = compute(concentration, DTYPES[bits](log_z))
            assert relative(slopes, expected) < {32: 4e-6, 64: 1e-14}[bits]
        # Underflow is to 0, and the slopes of it are finite.
        gradient = jax.jit(jax.value_and_grad(log_gamma_slope, (0, 1)))
        above, slopes = gradient(DTYPES[bits](2), DTYPES[bits](1e5))
        assert above == 0
        assert np.all(np.isfinite(slopes))


def test_outside_the_domain_value_and_derivatives_are_nan_exactly_there():
    concentration = np.float32([1.0, -1.0, 0.0, 2.0, np.inf, 3.0])
    log_z = np.float32([1.0, 1.0, 1.0, -np.inf, 1.0, np.nan])
    bad = np.arange(6) > 0
    np.testing.assert_array_equal(
        np.isnan(rj.special.log_gamma_pathwise_grad(concentration, log_z)), bad
    )
    gradient = jax.jit(jax.vmap(jax.grad(rj.special.log_gamma_pathwise_grad, (0, 1))))
    for slope in gradient(concentration, log_z):
        np.testing.assert_array_equal(np.isnan(slope), bad)


def test_compiles_to_a_few_loops_over_the_array_without_gathers():
    text = hlo.compiled(log_gamma_slope, jnp.ones(2**20), jnp.ones(2**20))
    entry = text[text.index("ENTRY") :]
    assert 1 <= entry.count(" fusion(") <= 6
    assert " gather(" not in text
    assert " while(" not in text
