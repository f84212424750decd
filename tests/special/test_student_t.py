"""Student-t pathwise derivatives and CDF, against mpmath.

reference/student_t.csv holds 307 random points (df log-uniform in 1e-3 to 1e6, tail
probabilities down to 1e-6, t from 1e-8 to overflow, and both sides of the places where
the method changes), as float32 numbers, with, computed with mpmath in 34 digits,

    slope = -(1/f) integral_0^t (d log f/ddf) f, by quadrature; where t is large, as the
      integral over the tail,
    second = d slope/ddf + slope * d slope/dt, the first by a difference, the other from
      the score, 1 - F by betainc, the density f, and the score d log f/ddf.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj

CSV = pathlib.Path(__file__).parent / "reference" / "student_t.csv"
COLUMNS = CSV.read_text().partition("\n")[0].split(",")
DATA = dict(zip(COLUMNS, np.loadtxt(CSV, delimiter=",", skiprows=1).T, strict=True))


def gradient(function):
    return jax.jit(jax.grad(lambda df, t: jnp.sum(function(df, t)), (0, 1)))


# Compiled once for all tests, which share one shape.
slope = jax.jit(rj.special.student_t_pathwise_grad)
cdf = jax.jit(rj.special.student_t_cdf)
slope_gradient, cdf_gradient = gradient(slope), gradient(cdf)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    with jax.enable_x64(request.param is np.float64):
        yield request.param


def arguments(dtype):
    return DATA["df"].astype(dtype), DATA["t"].astype(dtype)


def repeated(values, dtype):
    """Values over and over, up to the shape that all tests share."""
    return np.resize(np.array(values, dtype), DATA["t"].shape)


def assert_relative(actual, expected, rtol, scale=None):
    """Compares where the dtype represents what is expected."""
    info = np.finfo(actual.dtype)
    size = np.abs(expected)
    normal = (info.tiny < size) & (size < info.max)
    assert np.mean(normal) > 0.9
    scale = size if scale is None else np.maximum(size, scale)
    error = np.abs(np.asarray(actual, np.float64) - expected) / scale
    assert np.max(error[normal]) < rtol
    assert not np.any(np.isnan(actual))


def bound(dtype, single, double):
    return single if dtype is np.float32 else double


def test_slope_is_the_reference(dtype):
    df, t = arguments(dtype)
    for sign in (1, -1):
        actual = slope(df, sign * t)
        assert actual.dtype == dtype
        assert_relative(actual, sign * DATA["slope"], bound(dtype, 2e-6, 1e-13))


# The partial derivatives, in each mode, add up to the second derivative of a draw.
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["jvp", "vjp"])
def test_second_derivative_of_a_draw_is_the_reference(dtype, mode):
    df, t = arguments(dtype)
    along = slope(df, t)
    if mode == "jvp":
        push = jax.jit(lambda *x: jax.jvp(slope, x, (jnp.ones_like(df), along)))
        _, actual = push(df, t)
    else:
        by_df, by_t = slope_gradient(df, t)
        actual = by_df + by_t * along
    assert_relative(actual, DATA["second"], bound(dtype, 4e-6, 4e-12))


# The slope by t is known from the density: d(f dt/ddf)/dt = -df/ddf.
def test_derivatives_of_the_slope_keep_the_mass(dtype):
    _, by_t = slope_gradient(*arguments(dtype))
    decay = (DATA["df"] + 1) * (DATA["t"] / (DATA["df"] + DATA["t"] ** 2))
    moved = decay * DATA["slope"]
    expected, terms = moved - DATA["score"], np.abs(moved) / 10
    use = np.abs(DATA["slope"]) < np.finfo(dtype).max
    tolerance = bound(dtype, 4e-6, 4e-12)
    assert_relative(by_t[use], expected[use], tolerance, terms[use])


def test_at_zero_the_slope_is_zero_and_rises_linearly(dtype):
    df = repeated([1e-3, 0.5, 1, 30, 1e6], dtype)
    t = np.zeros_like(df)
    np.testing.assert_array_equal(slope(df, t), 0)
    by_df, by_t = slope_gradient(df, t)
    np.testing.assert_array_equal(by_df, 0)
    tiny = np.full_like(df, 1e-20)
    np.testing.assert_allclose(slope(df, tiny) / tiny, by_t, rtol=2e-6)
    # minus the score at 0; at df = 1 it is (1 - 2 log 2) / 2.
    assert by_t[2] == pytest.approx(0.5 - np.log(2), rel=2e-6)


def test_far_out_and_beyond_the_domain_of_the_reference_all_is_finite(dtype):
    info = np.finfo(dtype)
    df = repeated([1e-3, 1e-2, 1, 1e6, 1e12, 1e12, 1e-6], dtype)
    t = [info.max**0.7, info.max**0.8, 1e30, 1e30, 3, 1e-20, 1e10]
    t = repeated(t, dtype)
    values = [slope(df, t), *slope_gradient(df, t)]
    values += [cdf(df, t), *cdf_gradient(df, t)]
    assert np.all(np.isfinite(values))
    # A Cauchy draw: dt/ddf = -(t / 2) (log(1 + t^2) + 1 - 2 log 2 + O(1 / t^2)).
    expected = -(t[2] / 2) * (2 * np.log(t[2]) + 1 - 2 * np.log(2))
    assert slope(df, t)[2] == pytest.approx(expected, rel=2e-6)


def test_cdf_is_the_reference_in_both_tails(dtype):
    df, t = arguments(dtype)
    assert_relative(cdf(df, -t), DATA["tail"], bound(dtype, 4e-6, 1e-12))
    assert_relative(cdf(df, t), 1 - DATA["tail"], bound(dtype, 5e-7, 1e-13))
    infinite = repeated([-np.inf, 0, np.inf], dtype)
    np.testing.assert_array_equal(cdf(df, infinite), repeated([0, 0.5, 1], dtype))


@pytest.mark.slow
def test_derivatives_of_the_cdf_are_the_density_and_its_flow(dtype):
    df, t = arguments(dtype)
    density = DATA["density"]
    by_df, by_t = cdf_gradient(df, t)
    assert_relative(by_t, density, bound(dtype, 4e-6, 3e-14))
    flow = -density * DATA["slope"]
    assert_relative(by_df, flow, bound(dtype, 4e-6, 1e-13))
    along = jnp.ones_like(df), jnp.zeros_like(t)
    _, forward = jax.jit(lambda *x: jax.jvp(cdf, x, along))(df, -t)
    assert_relative(forward, -flow, bound(dtype, 4e-6, 1e-13))


def forward(function):
    """The derivatives by both arguments of an elementwise function, in forward mode."""

    def partials(df, t):
        one, zero = jnp.ones_like(t), jnp.zeros_like(t)
        return [
            jax.jvp(function, (df, t), along)[1] for along in ((one, zero), (zero, one))
        ]

    return partials


def reverse(function):
    """The same, in reverse mode."""
    return jax.grad(lambda df, t: jnp.sum(function(df, t)), (0, 1))


MODES = [
    (np.float32, inner, outer)
    for inner in (forward, reverse)
    for outer in (forward, reverse)
] + [(np.float64, reverse, forward)]


# The score of a large df is of order 1 / df^2, and its factors' scores of order 1 / df.
# Where it crosses zero, the error is measured against its terms.
@pytest.mark.slow  # programs of second derivatives
@pytest.mark.parametrize(("dtype", "inner", "outer"), MODES)
def test_second_derivatives_of_the_cdf_are_those_of_the_density(dtype, inner, outer):
    use = DATA["density"] > 1e-30
    exact = {name: column[use] for name, column in DATA.items()}
    with jax.enable_x64(dtype is np.float64):
        df, t = (x[use] for x in arguments(dtype))
        by_df, twice = jax.jit(outer(lambda *x: inner(cdf)(*x)[1]))(df, t)
    decay = exact["t"] / (exact["df"] + exact["t"] ** 2)
    terms = exact["density"] * exact["t"] * decay / (2 * exact["df"])
    expected = exact["density"] * exact["score"]
    assert_relative(by_df, expected, bound(dtype, 4e-6, 3e-14), terms)
    expected = -(exact["df"] + 1) * decay * exact["density"]
    assert_relative(twice, expected, bound(dtype, 4e-6, 3e-14))


def test_outside_the_domain_values_and_gradients_are_nan_exactly_there():
    df = repeated([2, -1, 0, np.nan, np.inf, 2, 2], np.float32)
    t = repeated([1, 1, 1, 1, 1, np.nan, np.inf], np.float32)
    bad = repeated([False, True, True, True, True, True, False], bool)
    for derive, function in ((slope_gradient, slope), (cdf_gradient, cdf)):
        outside = bad | np.isinf(t) if function is slope else bad
        for values in (function(df, t), *derive(df, t)):
            np.testing.assert_array_equal(np.isnan(values), outside)
