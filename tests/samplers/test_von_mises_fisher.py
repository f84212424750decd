"""Von Mises-Fisher: the law of its angle, and what its gradients estimate."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

import reparam_jax as rj
from reparam_jax.samplers._von_mises_fisher import _proposals, von_mises_fisher_angle

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow

COUNT = 4000
GRID = [(2, 0.0), (2, 0.7), (2, 30.0), (3, 5.0), (7, 400.0), (300, 1000.0)]


def key(number=0):
    return jax.random.key(101 + number)


@functools.partial(jax.jit, static_argnums=(0, 2))
def angles(dimension, concentration, count):
    spread = jnp.broadcast_to(concentration, (count,))
    return von_mises_fisher_angle(dimension, key(dimension), spread)


def cdf(dimension, concentration):
    """Of the angle, by quadrature of its density."""
    grid = np.linspace(0, np.pi, 200_001)
    with np.errstate(divide="ignore"):
        log = concentration * np.cos(grid) + (
            (dimension - 2) * np.log(np.sin(grid)) if dimension > 2 else 0
        )
    mass = scipy.integrate.cumulative_trapezoid(
        np.exp(log - log.max()), grid, initial=0
    )
    return lambda angle: np.interp(angle, grid, mass / mass[-1])


def mean_cosine(dimension, concentration):
    """And its derivative in the concentration."""
    with mpmath.workdps(40):
        if concentration == 0:
            return 0.0, 1 / dimension
        half, k = mpmath.mpf(dimension) / 2, mpmath.mpf(float(concentration))
        ratio = mpmath.besseli(half, k) / mpmath.besseli(half - 1, k)
        slope = 1 - (dimension - 1) / k * ratio - ratio**2
        return float(ratio), float(slope)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_angles_follow_the_law(dtype, alpha):
    with jax.enable_x64(dtype == np.float64):
        for dimension, concentration in GRID:
            draws = np.asarray(angles(dimension, dtype(concentration), COUNT))
            assert draws.dtype == dtype
            law = cdf(dimension, concentration)
            pvalue = scipy.stats.kstest(draws, law).pvalue
            assert pvalue > alpha / len(GRID), (dimension, concentration)


@pytest.mark.parametrize("dimension", [2, 3, 9])
def test_at_large_concentration_the_gap_is_chi_squared(dimension, alpha):
    # 2 k (1 - cos) tends to it as 1 / k; 1e6 is far below what float32 tells of cos.
    draws = np.asarray(angles(dimension, np.float32(1e6), COUNT), np.float64)
    gaps = 4e6 * np.sin(draws / 2) ** 2
    law = scipy.stats.chi2(dimension - 1).cdf
    assert scipy.stats.kstest(gaps, law).pvalue > alpha
    assert len(np.unique(draws)) > 0.99 * COUNT


@pytest.mark.parametrize("dimension", [2, 3, 20, 500])
def test_most_proposals_are_accepted_at_every_concentration(dimension):
    for concentration in (0.0, 1.0, 30.0, 1e3, 1e6):
        spread = jnp.full(20_000, concentration)
        _, accepted = _proposals(dimension, spread)(key())
        assert np.mean(accepted) > 0.65


@pytest.mark.parametrize("dimension", [2, 3, 16])
def test_the_gradient_of_the_mean_draw_is_that_of_its_expectation(dimension):
    mean = np.random.default_rng(dimension).normal(size=dimension)
    mean = (mean / np.linalg.norm(mean)).astype(np.float32)
    direction = np.eye(dimension, dtype=np.float32)[0]
    tangent = direction - mean * mean[0]
    count = 20_000

    @jax.jit
    def slopes(concentration):
        def draw(mean, concentration):
            return rj.von_mises_fisher(
                key(), mean, concentration, shape=(count, dimension)
            )

        one = jnp.ones_like(concentration)
        _, by_concentration = jax.jvp(
            lambda k: draw(jnp.asarray(mean), k), (concentration,), (one,)
        )
        _, by_mean = jax.jvp(
            lambda m: draw(m, concentration), (jnp.asarray(mean),), (direction,)
        )
        return by_concentration, by_mean

    for concentration in (0.0, 0.5, 20.0, 1e4):
        by_concentration, by_mean = slopes(np.float32(concentration))
        ratio, slope = mean_cosine(dimension, concentration)
        for samples, expected in (
            (by_concentration, slope * mean),
            (by_mean, ratio * tangent),
        ):
            samples = np.asarray(samples, np.float64)
            error = samples.std(0) / count**0.5 + 1e-6 * np.abs(expected).max()
            assert np.max(np.abs(samples.mean(0) - expected) / error) < 5.5


def test_the_second_derivative_is_that_of_the_expectation():
    count = 20_000

    def heights(concentration):
        return jnp.cos(angles(3, concentration, count))

    def first(concentration):
        return jax.jvp(heights, (concentration,), (1.0,))[1]

    samples = jax.jit(lambda k: jax.jvp(first, (k,), (1.0,))[1])(2.0)
    with mpmath.workdps(30):
        exact = float(mpmath.diff(lambda k: mpmath.coth(k) - 1 / k, 2, 2))
    assert abs(np.mean(samples) - exact) < 5 * np.std(samples) / count**0.5
    assert np.std(samples) / count**0.5 < abs(exact) / 20


def test_the_slope_of_a_draw_is_minus_cdf_slope_over_density():
    with jax.enable_x64(True):
        for dimension, concentration in ((2, 3.0), (6, 40.0)):
            spread = np.full(60, concentration)
            draws, slopes = jax.jvp(
                lambda k, dimension=dimension: von_mises_fisher_angle(
                    dimension, key(), k
                ),
                (spread,),
                (np.ones(60),),
            )
            step = 1e-3 * concentration
            change = cdf(dimension, concentration + step)(draws) - cdf(
                dimension, concentration - step
            )(draws)
            law = cdf(dimension, concentration)
            density = (law(draws + 1e-3) - law(draws - 1e-3)) / 2e-3
            np.testing.assert_allclose(
                slopes, -change / (2 * step) / density, rtol=1e-3
            )
