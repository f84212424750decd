"""The slopes against mpmath, over shapes and quantiles from end to end."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.stats

import reparam_jax as rj

COUNT = 300
slopes_of = jax.jit(rj.special.inverse_gaussian_pathwise_grad)


@functools.cache
def points():
    """Parameters, log-uniform, and draws at log-uniform quantiles of both tails."""
    rng = np.random.default_rng(11)
    mean = 10 ** rng.uniform(-3, 3, COUNT)
    ratio = 10 ** rng.uniform(-4, 6, COUNT)
    law = scipy.stats.invgauss(1 / ratio, scale=mean * ratio)
    tail = 10 ** rng.uniform(-6, np.log10(0.5), COUNT)
    draw = np.where(rng.random(COUNT) < 0.5, law.ppf(tail), law.isf(tail))
    return np.float32(mean), np.float32(mean * ratio), np.float32(draw)


def cdf(mean, shape, draw):
    root = mpmath.sqrt(shape / draw)
    lower = mpmath.ncdf(root * (draw / mean - 1))
    upper = mpmath.ncdf(-root * (draw / mean + 1))
    return lower + mpmath.exp(2 * shape / mean) * upper


def pdf(mean, shape, draw):
    exponent = -shape * (draw - mean) ** 2 / (2 * mean**2 * draw)
    return mpmath.sqrt(shape / (2 * mpmath.pi * draw**3)) * mpmath.exp(exponent)


def moved(function, arguments, place):
    """The derivative in one argument, by a difference at many digits."""
    step = arguments[place] * mpmath.mpf(10) ** -40
    ends = []
    for sign in (1, -1):
        at = list(arguments)
        at[place] += sign * step
        ends.append(function(*at))
    return (ends[0] - ends[1]) / (2 * step)


def slopes_at(mean, shape, draw):
    """By the Mills ratio, at the precision of the moment."""
    b = mpmath.sqrt(shape / draw) * (1 + draw / mean)
    tail = mpmath.erfc(b / mpmath.sqrt(2)) * mpmath.exp(b * b / 2)
    scale = mpmath.sqrt(2 * mpmath.pi * shape * draw**3) / mean**2
    return scale * tail, (draw - mean * scale * tail) / shape


def precise(*values):
    return [mpmath.mpf(float(value)) for value in values]


def test_the_reference_is_minus_the_slope_of_the_cdf_over_the_density():
    mean, shape, draw = points()
    keep = np.flatnonzero(shape < 20 * mean)[:20]
    with mpmath.workdps(150):
        for index in keep:
            here = precise(mean[index], shape[index], draw[index])
            for place, slope in enumerate(slopes_at(*here)):
                truth = -moved(cdf, here, place) / pdf(*here)
                assert abs(truth / slope - 1) < 1e-20


@pytest.mark.parametrize(
    ("dtype", "bound"), [(np.float32, 5e-7), (np.float64, 1.5e-15)]
)
def test_slopes_against_mpmath(dtype, bound):
    with jax.enable_x64(dtype == np.float64), mpmath.workdps(60):
        found = slopes_of(*(x.astype(dtype) for x in points()))
        assert all(slope.dtype == dtype for slope in found)
        for number, (for_mean, for_shape) in enumerate(np.asarray(found).T):
            mean, shape, draw = precise(*(x[number] for x in points()))
            truth = slopes_at(mean, shape, draw)
            assert abs(mpmath.mpf(float(for_mean)) / truth[0] - 1) < bound
            # Near the mean its terms cancel, and the second is measured by them.
            term = draw / (mean + draw) * (mean - draw) / shape
            size = abs(term) + abs(truth[1] - term)
            assert abs(mpmath.mpf(float(for_shape)) - truth[1]) < bound * size


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1e-4), (np.float64, 1e-9)])
def test_second_derivatives_along_the_path(dtype, bound):
    """Of the draw in its mean and shape, each slope moving with the draw."""

    def along(mean, shape, draw):
        function = rj.special.inverse_gaussian_pathwise_grad
        for_mean, for_shape = function(mean, shape, draw)
        one, zero = jnp.ones_like(mean), jnp.zeros_like(mean)
        at = (mean, shape, draw)
        _, (first, _) = jax.jvp(function, at, (one, zero, for_mean))
        _, (mixed, second) = jax.jvp(function, at, (zero, one, for_shape))
        return first, mixed, second

    def terms(here):
        values = slopes_at(*here)
        for which, place in ((0, 0), (0, 1), (1, 1)):

            def slope(*at, which=which):
                return slopes_at(*at)[which]

            yield moved(slope, here, place), moved(slope, here, 2) * values[place]

    mean, shape, draw = points()
    keep = np.flatnonzero(shape < 1e4 * mean)[:80]
    with jax.enable_x64(dtype == np.float64), mpmath.workdps(80):
        found = jax.jit(along)(*(x[keep].astype(dtype) for x in points()))
        for mine, index in zip(np.asarray(found).T, keep, strict=True):
            here = precise(mean[index], shape[index], draw[index])
            for value, parts in zip(mine, terms(here), strict=True):
                # Where the two terms of a derivative cancel, it is measured by them.
                error = abs(mpmath.mpf(float(value)) - sum(parts))
                assert error < bound * sum(map(abs, parts)), here


def test_extremes_stay_finite():
    """Draws far out in float32: neither overflow nor 0 / 0."""
    mean, shape = np.float32([1, 1, 1, 1e20]), np.float32([1e30, 1, 1e-20, 1])
    draw = np.float32([1, 1e-30, 1e15, 1e-15])
    for slope in slopes_of(mean, shape, draw):
        assert np.all(np.isfinite(slope))
    # At the mean, and for the largest shapes, a draw moves with its mean.
    assert float(slopes_of(1.0, 1e30, 1.0)[0]) == 1
