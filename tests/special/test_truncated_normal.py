import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj
from reparam_jax.special._truncated_normal import (
    location_scale_slopes,
    make_pieces,
    truncated_normal_slopes,
)
from tests.special.reference_data import derivatives_and_differences, error, load

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow

every_dtype = pytest.mark.parametrize("bits", [32, 64])
slopes = rj.special.truncated_normal_pathwise_grad


def load_points(bits):
    table = load("truncated_normal", bits)
    dtype = np.dtype(f"float{bits}")
    return table, [table[name].astype(dtype) for name in ("low", "high", "z")]


def representable(values, bits):
    return np.abs(values) > (1e-36 if bits == 32 else 1e-290)


@every_dtype
def test_slopes_are_right_on_intervals_anywhere(bits):
    with jax.enable_x64(bits == 64):
        table, points = load_points(bits)
        for slope, name in zip(slopes(*points), ("in_low", "in_high"), strict=True):
            keep = representable(table[name], bits)
            assert np.mean(keep) > 0.6
            assert error(slope[keep], table[name][keep]) < (
                3e-6 if bits == 32 else 1e-13
            )
            np.testing.assert_array_equal(np.isfinite(slope), True)
            assert np.max(np.abs(slope[~keep]), initial=0) < 1e-35


def forward(low, high, z, slope, name):
    ones, zeros = jnp.ones_like(z), jnp.zeros_like(z)
    step = (ones, zeros) if name == "low" else (zeros, ones)
    place = ("low", "high").index(name)
    return jax.jvp(
        lambda *p: truncated_normal_slopes(*p)[place], (low, high, z), (*step, slope)
    )[1]


def reverse(low, high, z, slope, name):
    place = ("low", "high").index(name)
    in_bound, in_z = jax.grad(
        lambda *p: jnp.sum(truncated_normal_slopes(*p)[place]), (place, 2)
    )(low, high, z)
    return in_bound + in_z * slope


@every_dtype
@pytest.mark.parametrize("mode", [forward, reverse])
def test_second_derivatives_along_the_path(bits, mode):
    with jax.enable_x64(bits == 64):
        table, points = load_points(bits)
        for name in ("low", "high"):
            slope = table[f"in_{name}"].astype(points[0].dtype)
            second = jax.jit(mode, static_argnums=4)(*points, slope, name)
            size = table[f"size_{name}"]
            keep = representable(size, bits)
            truth = table[f"second_{name}"]
            assert error(second[keep], truth[keep], size[keep]) < (
                3e-6 if bits == 32 else 8e-15
            )
            np.testing.assert_array_equal(np.isfinite(second), True)


@pytest.mark.parametrize(
    ("point", "place"), [((1.2, 3.0, 2.1), 0), ((-1.5, 0.9, 0.4), 1)]
)
def test_derivatives_of_three_orders_are_differences(point, place):
    with jax.enable_x64(True):
        actual, truth = derivatives_and_differences(
            lambda *p: slopes(*p)[place], point, [0.8, -0.5, 1.1]
        )
    np.testing.assert_allclose(actual, truth, rtol=1e-8)


def test_at_the_bounds_the_draw_moves_with_them():
    low, high = np.float32([-3.0, 2, 999, -50]), np.float32([1.0, 5, 1000, -49.9])
    at_low, at_high = slopes(low, high, low), slopes(low, high, high)
    np.testing.assert_allclose(at_low, [[1, 1, 1, 1], [0, 0, 0, 0]], rtol=3e-7)
    np.testing.assert_allclose(at_high, [[0, 0, 0, 0], [1, 1, 1, 1]], rtol=3e-7)


def test_infinite_bounds_have_slope_0_and_finite_derivatives():
    z = np.float32([-40.0, -2, 0, 1, 30])
    for low, high in ((-np.inf, np.inf), (-np.inf, 50), (-50, np.inf)):
        bounds = np.full_like(z, low), np.full_like(z, high)
        in_low, in_high = slopes(*bounds, z)
        assert np.all((in_low == 0) | (low == -50))
        assert np.all((in_high == 0) | (high == 50))
        gradients = jax.grad(lambda *p: jnp.sum(sum(slopes(*p))), (0, 1, 2))(*bounds, z)
        assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


@every_dtype
def test_location_and_scale_slopes_do_not_cancel_in_narrow_intervals(bits):
    with jax.enable_x64(bits == 64):
        table, (low, high, z) = load_points(bits)
        actual = jax.jit(
            lambda low, high, z: location_scale_slopes(
                make_pieces(low, high, z, z - low, high - z)
            )
        )(low, high, z)
        tolerance = 2e-6 if bits == 32 else 4e-15
        keep = representable(table["in_loc"], bits)
        assert error(actual[0][keep], table["in_loc"][keep]) < tolerance
        # The slope in the scale has a zero between the bounds if these straddle 0.
        one_side = (table["low"] >= 0) | (table["high"] <= 0)
        truth = table["in_scale"]
        assert error(actual[1][one_side], truth[one_side]) < 2 * tolerance
        size = np.abs(truth) + np.abs(z)
        assert error(actual[1], truth, size) < 2 * tolerance


def test_outside_the_domain_is_nan_with_nan_gradients():
    low = np.float32([0.0, 1, 0, np.nan, 0, np.inf])
    high = np.float32([1.0, 0, 1, 1, np.inf, np.inf])
    z = np.float32([0.5, 0.5, 1.5, 0.5, np.inf, np.inf])
    bad = np.array([False, True, True, True, True, True])
    for values in (
        *slopes(low, high, z),
        *jax.grad(lambda *p: jnp.sum(sum(slopes(*p))), (0, 1, 2))(low, high, z),
    ):
        np.testing.assert_array_equal(np.isnan(values), bad)
