"""The reference is of 40 digits, and of two kinds.

Points of the whole domain (concentrations 1e-3 to 1e6, quantiles 1e-6 to 1 - 1e-6, the
same to 1e-12, any z, and the neighbourhood of where the methods meet), by the power
series of P in mpmath with digits to spare for its cancellation, and by its uniform
expansion where the concentration is above 200; and points of a grid computed by others.
"""

import contextlib
import functools
import pathlib

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import reparam_jax as rj
from reparam_jax.special._gamma import gamma_slope
from tests import hlo

REFERENCE = np.genfromtxt(
    pathlib.Path(__file__).parent / "reference" / "gamma.csv", delimiter=",", names=True
)
BITS = pytest.mark.parametrize("bits", [32, 64])
DTYPES = {32: np.float32, 64: np.float64}
VALUE = {32: 2e-6, 64: 2e-14}
SECOND = {32: 1e-4, 64: 1e-12}


def points(bits):
    rows = REFERENCE[REFERENCE["bits"] == bits]
    return rows, *(rows[name].astype(DTYPES[bits]) for name in ("concentration", "z"))


def precision(bits):
    return jax.enable_x64(True) if bits == 64 else contextlib.nullcontext()


def relative(actual, expected):
    actual = np.asarray(actual)
    return np.max(np.abs(actual.astype(np.float64) - expected) / np.abs(expected))


@BITS
def test_slopes_are_those_of_the_reference(bits):
    rows, concentration, z = points(bits)
    with precision(bits):
        slopes = rj.special.gamma_pathwise_grad(concentration, z)
    assert slopes.dtype == DTYPES[bits]
    assert relative(slopes, rows["slope"]) < VALUE[bits]


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def draw(concentration, z):
    """Stands for a sampler that drew z at any concentration."""
    return jnp.asarray(z) + 0 * concentration


@draw.defjvp
def _draw_jvp(z, primals, tangents):
    value = draw(primals[0], z)
    return value, gamma_slope(primals[0], value) * tangents[0]


def by_forward(function, x):
    return jax.jvp(function, (x,), (jnp.ones_like(x),))[1]


def by_reverse(function, x):
    return jax.grad(lambda x: jnp.sum(function(x)))(x)


@pytest.mark.slow
@BITS
@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (by_forward, by_forward),
        (by_forward, by_reverse),
        (by_reverse, by_forward),
        (by_reverse, by_reverse),
    ],
)
def test_second_derivatives_of_draws_are_those_of_the_reference(bits, outer, inner):
    rows, concentration, z = points(bits)
    terms = rows["second_by_concentration"], rows["second_by_draw"]
    scale = np.maximum(*np.abs(terms))
    with precision(bits):
        second = jax.jit(
            lambda a: outer(lambda a: inner(lambda a: draw(a, z), a), a),
        )(concentration)
    error = np.abs(np.asarray(second, np.float64) - sum(terms)) / scale
    # Below, the smaller term underflows.
    promised = (rows["concentration"] <= 1e4) & (scale > 1e-35)
    assert np.max(error[promised]) < SECOND[bits]
    assert np.all(np.isfinite(second))


# By differences of the reference, in 60 digits: d2/da2, d2/dadz, d2/dz2 of the slope.
HESSIANS = {
    (0.02, 0.3): (91690.5683827746, -1473.8252046602383, -77.09441658595736),
    (0.7, 0.9): (3.55790753080709, -0.5838877024764072, -0.6074873751668309),
    (0.7, 3.0): (4.936492570702313, -0.15188472973421194, -0.08579077506779002),
    (5.5, 5.0): (0.02516764268175165, -0.006762052637421908, -0.013175578491421511),
    (30.0, 28.0): (7.498059305522821e-4, -2.0233639841522e-4, -4.1335507151308e-4),
    (400.0, 450.0): (4.297604496004480e-6, -9.26030043320e-7, -1.744998719412017e-6),
}


@pytest.mark.slow
@BITS
@pytest.mark.parametrize("mode", [jax.jacfwd, jax.jacrev])
def test_third_derivatives_of_draws_are_those_of_the_reference(bits, mode):
    with precision(bits):
        arguments = np.array(list(HESSIANS), DTYPES[bits]).T
        hessians = jax.jit(jax.vmap(mode(jax.grad(gamma_slope, (0, 1)), (0, 1))))
        (by_aa, by_az), (by_za, by_zz) = hessians(*arguments)
    expected = np.array(list(HESSIANS.values())).T
    bound = {32: 2e-3, 64: 1e-10}[bits]
    for actual, truth in zip((by_aa, by_az, by_zz), expected, strict=True):
        assert relative(actual, truth) < bound
    assert relative(by_za, expected[1]) < bound


@BITS
def test_both_ends_of_the_dtype(bits):
    dtype = DTYPES[bits]
    tiny, largest = np.finfo(dtype).tiny, np.finfo(dtype).max
    ends = [(1e-12, tiny), (1e-3, tiny), (1.0, tiny), (1e-12, largest), (1e6, largest)]
    with precision(bits):
        concentration, z = np.array(ends, np.float64).T.astype(dtype)
        slopes, derivatives = jax.jit(
            lambda a, z: (
                rj.special.gamma_pathwise_grad(a, z),
                jax.grad(lambda *x: jnp.sum(gamma_slope(*x)), (0, 1))(a, z),
            )
        )(concentration, z)
    a, end = concentration.astype(np.float64), z.astype(np.float64)
    digamma = np.array([float(mpmath.psi(0, mpmath.mpf(x) + 1)) for x in a])
    to_draw = digamma - np.log(end)
    # In the upper tail log z - psi(a).
    expected = np.where(z == tiny, tiny * to_draw / a, 1 / a - to_draw)
    assert relative(slopes, expected) < {32: 2e-6, 64: 1e-11}[bits]
    assert np.all(np.isfinite(derivatives))


def test_at_zero():
    assert float(rj.special.gamma_pathwise_grad(0.5, 0.0)) == 0


def test_outside_the_domain_value_and_derivatives_are_nan_exactly_there():
    concentration = np.float32([1.0, -1.0, 0.0, 2.0, np.inf, 3.0])
    z = np.float32([1.0, 1.0, 1.0, -1.0, 1.0, np.nan])
    bad = np.arange(6) > 0
    np.testing.assert_array_equal(
        np.isnan(rj.special.gamma_pathwise_grad(concentration, z)), bad
    )
    gradient = jax.jit(jax.vmap(jax.grad(rj.special.gamma_pathwise_grad, (0, 1))))
    for slope in gradient(concentration, z):
        np.testing.assert_array_equal(np.isnan(slope), bad)


def test_compiles_to_a_few_loops_over_the_array_without_gathers():
    text = hlo.compiled(gamma_slope, jnp.ones(2**20), jnp.ones(2**20))
    entry = text[text.index("ENTRY") :]
    assert 1 <= entry.count(" fusion(") <= 5
    assert " gather(" not in text
    assert " while(" not in text
