import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj
from reparam_jax.special._von_mises import von_mises_slope
from tests.special.reference_data import derivatives_and_differences, error, load

every_dtype = pytest.mark.parametrize("bits", [32, 64])
slope_of, cdf_of = rj.special.von_mises_pathwise_grad, rj.special.von_mises_cdf


def load_points(bits):
    table = load("von_mises", bits)
    dtype = np.dtype(f"float{bits}")
    return table, table["concentration"].astype(dtype), table["x"].astype(dtype)


@every_dtype
def test_slopes_are_right_for_concentrations_from_1e_3_to_1e6(bits):
    with jax.enable_x64(bits == 64):
        table, concentration, x = load_points(bits)
        slope = slope_of(concentration, x)
        assert slope.dtype == x.dtype
    assert error(slope, table["slope"]) < (2e-6 if bits == 32 else 4e-15)


def forward(concentration, x, slope):
    """Both terms of the second derivative along the path."""
    ones, zeros = jnp.ones_like(x), jnp.zeros_like(x)
    _, push = jax.linearize(von_mises_slope, concentration, x)
    return push(ones, zeros), push(zeros, slope)


def reverse(concentration, x, slope):
    in_concentration, in_x = jax.grad(lambda *p: jnp.sum(von_mises_slope(*p)), (0, 1))(
        concentration, x
    )
    return in_concentration, in_x * slope


@every_dtype
@pytest.mark.parametrize("mode", [forward, reverse])
def test_second_derivatives_along_the_path(bits, mode):
    with jax.enable_x64(bits == 64):
        table, concentration, x = load_points(bits)
        keep = np.isfinite(table["second"]) & (table["concentration"] <= 1e4)
        slope = table["slope"].astype(x.dtype)
        terms = jax.jit(mode)(concentration[keep], x[keep], slope[keep])
        terms = np.float64(terms)
    size = np.max(np.abs(terms), axis=0)
    second = np.sum(terms, axis=0)
    assert len(second) > 40
    assert error(second, table["second"][keep], size) < (3e-5 if bits == 32 else 1e-13)


@every_dtype
def test_the_slope_is_odd_and_0_at_0_and_at_the_ends(bits):
    with jax.enable_x64(bits == 64):
        _, concentration, x = load_points(bits)
        np.testing.assert_array_equal(
            slope_of(concentration, -x), -slope_of(concentration, x)
        )
        ends = np.array([-np.pi, 0, np.pi], x.dtype)
        slopes = slope_of(np.array([[0.0], [2], [1e5]], x.dtype), ends)
        # The float64 end lies 1.2e-16 inside, where the slope is -(1 + A) times that.
        assert np.max(np.abs(slopes)) <= (0 if bits == 32 else 2.5e-16)


def test_next_to_the_ends_the_slope_keeps_its_digits():
    """There it is -(1 + A) (π - x), whatever the concentration."""
    x = np.nextafter(np.float32(np.pi), np.float32(0)) - np.float32([0, 3e-6, 3e-5])
    distance = np.pi - np.float64(x)
    mean_cosine = np.float64([0.0004999999, 0.446389965])  # I1 / I0 at 1e-3 and 1
    slope = slope_of(np.float32([[1e-3], [1.0]]), x)
    expected = -(1 + mean_cosine[:, None]) * distance
    assert error(slope, expected) < 1e-6


def test_without_concentration_the_law_is_uniform():
    x = np.linspace(-3.1, 3.1, 32, dtype=np.float32)
    wide = np.float64(x)
    assert error(slope_of(0.0, x), -np.sin(wide)) < 2e-6
    assert error(cdf_of(0.0, x), (wide + np.pi) / (2 * np.pi)) < 1e-5
    # -d/dkappa ∫_0^x (cos t - kappa / 2) exp(kappa (cos t - cos x)) dt
    second = jax.vmap(jax.grad(slope_of, 0), (None, 0))(0.0, x)
    np.testing.assert_allclose(second, np.sin(2 * wide) / 4, atol=2e-6)


@every_dtype
def test_the_cdf_is_right_in_its_lower_tail_too(bits):
    with jax.enable_x64(bits == 64):
        table, concentration, x = load_points(bits)
        actual = cdf_of(concentration, x)
    assert error(actual, table["cdf"]) < (4e-6 if bits == 32 else 1e-13)
    np.testing.assert_array_equal(cdf_of(2.0, np.float32([-np.pi, np.pi])), [0, 1])
    assert float(cdf_of(2.0, 0.0)) == 0.5


@pytest.mark.slow  # programs of second derivatives
@pytest.mark.parametrize("function", [slope_of, cdf_of])
def test_derivatives_of_three_orders_are_differences(function):
    with jax.enable_x64(True):
        actual, truth = derivatives_and_differences(function, [3.0, 0.7], [1.0, 0.3])
    np.testing.assert_allclose(actual, truth, rtol=1e-8)


def test_the_slope_of_the_cdf_is_the_density():
    concentration, x = np.float32([0.0, 1, 50, 1e5]), np.float32([1.0, 2, 0.3, 0.001])
    density = jax.vmap(jax.grad(cdf_of, 1))(concentration, x)
    wide = np.float64(concentration), np.float64(x)
    expected = np.exp(wide[0] * (np.cos(wide[1]) - 1)) / (
        2 * np.pi * scaled_bessel(wide[0])
    )
    assert error(density, expected) < 3e-6


def scaled_bessel(concentration):
    """``I0(kappa) exp(-kappa)``, by the trapezoid rule."""
    t = np.pi * (np.arange(20_000) + 0.5) / 20_000
    return np.exp(concentration[:, None] * (np.cos(t) - 1)).mean(-1)


@pytest.mark.parametrize("function", [slope_of, cdf_of])
def test_outside_the_domain_is_nan_with_nan_gradients(function):
    concentration = np.float32([1.0, -1, np.inf, np.nan, 2, 2])
    x = np.float32([0.5, 0.5, 0.5, 0.5, 3.2, np.nan])
    bad = np.array([False, True, True, True, True, True])
    gradients = jax.grad(lambda *p: jnp.sum(function(*p)), (0, 1))(concentration, x)
    for values in (function(concentration, x), *gradients):
        np.testing.assert_array_equal(np.isnan(values), bad)
