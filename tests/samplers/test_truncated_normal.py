import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

import reparam_jax as rj
from tests.special.reference_data import error, load

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow

INF = np.inf
# Standardised bounds: near, one-sided, far out, narrow, and far wider than the law.
BOUNDS = (
    (-1.0, 2.0),
    (0.5, 3.0),
    (0.0, INF),
    (-INF, 0.0),
    (-INF, INF),
    (-3.0, 8.0),
    (6.0, 8.0),
    (-8.0, -6.0),
    (30.0, 31.0),
    (-1000.0, -999.0),
    (1000.0, 1e6),
    (-1e3, 1e3),
    (0.0, 1e-6),
    (-1e-6, 1e-6),
)
NOISE = scipy.special.logit(np.linspace(0.01, 0.99, 51))
TAILS = scipy.special.logit(np.logspace(-9, -2, 12))


def log_mass(low, high):
    """Of a standard normal law, without a difference of nearly equal numbers."""
    low, high = np.broadcast_arrays(low, high)
    with np.errstate(all="ignore"):
        low, high = np.where(low + high < 0, (-high, -low), (low, high))
        lower, upper = scipy.special.log_ndtr(-low), scipy.special.log_ndtr(-high)
        far = lower + np.log(-np.expm1(upper - lower))
        # Narrow pieces: the density in the middle times the width.
        middle = -np.square(low + high) / 8 - np.log(2 * np.pi) / 2
        narrow = middle + np.log(high - low)
        straddling = np.log1p(-np.exp(scipy.special.log_ndtr(low)) - np.exp(upper))
        wide = np.where(low < 0, straddling, far)
        return np.where(abs(high - low) < 1e-4 / (1 + abs(low)), narrow, wide)


def quantiles(noise, low, high, dtype):
    low, high = dtype(low), dtype(high)
    return np.asarray(
        rj.truncated_normal_from_noise(dtype(noise), dtype(0), dtype(1), low, high)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draws_are_quantiles_between_bounds_anywhere(dtype):
    with jax.enable_x64(dtype is np.float64):
        for low, high in BOUNDS:
            noise = dtype(np.concatenate([NOISE, TAILS, -TAILS]))
            draws = quantiles(noise, low, high, dtype)
            assert np.all((dtype(low) <= draws) & (draws <= dtype(high)))
            inside = (dtype(low) < draws) & (draws < dtype(high))
            assert np.mean(inside) > 0.6
            x, noise = np.float64(draws[inside]), np.float64(noise[inside])
            low, high = np.float64(dtype(low)), np.float64(dtype(high))
            lower, upper = log_mass(low, x), log_mass(x, high)
            # Rounding the draw moves the log-odds by its spacing times their slope.
            log_density = -np.square(x) / 2 - np.log(2 * np.pi) / 2
            slope = np.exp(log_density - lower) + np.exp(log_density - upper)
            rounding = np.spacing(np.abs(x).astype(dtype)) * slope
            off = np.abs(lower - upper - noise)
            size = 4e-6 if dtype is np.float32 else 1e-8
            assert np.all(off < size * (1 + np.abs(noise)) + 2 * rounding), (low, high)


@pytest.mark.parametrize(("low", "high"), [(6.0, 8.0), (-8.0, -6.0), (30.0, 31.0)])
def test_float32_draws_far_out_are_distinct_with_finite_gradients(low, high):
    bounds = jnp.full(1000, low), jnp.full(1000, high)

    def draw(*bounds):
        return rj.truncated_normal(jax.random.key(0), 0.0, 1.0, *bounds)

    draws, pull = jax.vjp(draw, *bounds)
    assert len(np.unique(draws)) > 980
    for slope in pull(jnp.ones_like(draws)):
        assert np.all((slope >= 0) & (slope <= 1.000001))
        assert len(np.unique(slope)) > 900


def test_slopes_in_loc_and_scale_are_those_of_the_reference():
    table = load("truncated_normal", 64)
    low, high, z = (table[name] for name in ("low", "high", "z"))
    noise = log_mass(low, z) - log_mass(z, high)
    # Where this noise is accurate, so that the draw is the reference's.
    keep = (np.abs(low) < 3) & (np.abs(high) < 3) & (high - low > 0.5) & (abs(z) > 0.05)
    assert np.sum(keep) > 15
    low, high, z, noise = low[keep], high[keep], z[keep], noise[keep]
    loc, scale = 5.0, 3.0
    with jax.enable_x64(True):

        def total(loc, scale):
            bounds = 5.0 + 3.0 * low, 5.0 + 3.0 * high
            draws = rj.truncated_normal_from_noise(noise, loc, scale, *bounds)
            return jnp.sum(draws), draws

        ones = np.ones_like(z)
        slopes, draws = jax.grad(total, (0, 1), has_aux=True)(loc * ones, scale * ones)
    np.testing.assert_allclose((np.asarray(draws) - loc) / scale, z, rtol=1e-9)
    assert error(slopes[0], table["in_loc"][keep]) < 1e-8
    assert error(slopes[1], table["in_scale"][keep]) < 1e-8


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (1000.0, 1000.01), (-3, 40)])
def test_slopes_obey_shift_and_scaling(low, high):
    """A shift of all locations shifts the draw; a scaling of all scales it."""
    noise = NOISE.copy()
    parameters = [np.full_like(noise, value) for value in (0.3, 1.7, low, high)]
    with jax.enable_x64(True):

        def total(*parameters):
            draws = rj.truncated_normal_from_noise(noise, *parameters)
            return jnp.sum(draws), draws

        slopes, draws = jax.grad(total, (0, 1, 2, 3), has_aux=True)(*parameters)
        slopes = np.asarray(slopes)
    np.testing.assert_allclose(slopes[0] + slopes[2] + slopes[3], 1, rtol=1e-12)
    scaled = np.sum(slopes * np.stack(parameters), axis=0)
    np.testing.assert_allclose(scaled, draws, rtol=1e-11)


def test_without_bounds_it_is_the_normal_law():
    noise = np.float32(NOISE)
    z = scipy.stats.norm.ppf(scipy.special.expit(np.float64(noise)))

    def total(loc, scale, low, high):
        draws = rj.truncated_normal_from_noise(noise, loc, scale, low, high)
        return jnp.sum(draws), draws

    parameters = [np.full_like(noise, value) for value in (2.0, 3.0, -INF, INF)]

    def slopes_in_loc(scale):
        return jax.grad(lambda loc: total(loc, scale, *parameters[2:])[0])(
            parameters[0]
        )

    slopes, draws = jax.grad(total, (0, 1, 2, 3), has_aux=True)(*parameters)
    np.testing.assert_allclose(draws, 2 + 3 * z, rtol=3e-6, atol=3e-6)
    np.testing.assert_allclose(slopes[0], 1, rtol=2e-6)
    np.testing.assert_allclose(slopes[1], z, rtol=4e-6, atol=1e-6)
    np.testing.assert_array_equal(slopes[2:], 0)
    mixed = jax.jit(jax.grad(lambda scale: jnp.sum(slopes_in_loc(scale))))
    np.testing.assert_allclose(mixed(parameters[1]), 0, atol=1e-5)
