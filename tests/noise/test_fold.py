"""The laws of the noise, from their quantile functions out to both ends."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.stats

import reparam_jax as rj
from reparam_jax.noise._couplings import QUANTILES
from reparam_jax.noise._fold import fold

LAWS = {
    rj.noise.cauchy: scipy.stats.cauchy,
    rj.noise.exponential: scipy.stats.expon,
    rj.noise.gumbel: scipy.stats.gumbel_r,
    rj.noise.half_cauchy: scipy.stats.halfcauchy,
    rj.noise.half_normal: scipy.stats.halfnorm,
    rj.noise.laplace: scipy.stats.laplace,
    rj.noise.logistic: scipy.stats.logistic,
    rj.noise.normal: scipy.stats.norm,
    rj.noise.uniform: scipy.stats.uniform,
}
every_law = pytest.mark.parametrize("noise", LAWS, ids=lambda noise: noise.__name__)

# By the uniform u and by 1 - u, both exact.
EXACT = {
    rj.noise.cauchy: lambda u, rest: (
        mpmath.cot(mpmath.pi * rest) if rest < u else -mpmath.cot(mpmath.pi * u)
    ),
    rj.noise.exponential: lambda u, rest: -mpmath.log(rest),
    rj.noise.gumbel: lambda u, rest: -mpmath.log(-mpmath.log(u)),
    rj.noise.half_cauchy: lambda u, rest: mpmath.tan(mpmath.pi * u / 2),
    rj.noise.laplace: lambda u, rest: (
        -mpmath.log(2 * rest) if rest < u else mpmath.log(2 * u)
    ),
    rj.noise.logistic: lambda u, rest: mpmath.log(u / rest),
    rj.noise.half_normal: lambda u, rest: mpmath.sqrt(2) * mpmath.erfinv(u),
    rj.noise.normal: lambda u, rest: -mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * u),
    rj.noise.uniform: lambda u, rest: u,
}
# At their zero these are right to a rounding of 1.
THROUGH_ZERO = (rj.noise.cauchy, rj.noise.gumbel, rj.noise.laplace, rj.noise.logistic)
# A float that is itself next to 1 stands in between, and rounds.
SHORT = (rj.noise.normal, rj.noise.half_normal, rj.noise.uniform)


def test_every_law_is_tested():
    assert LAWS.keys() == QUANTILES.keys() == EXACT.keys()


@every_law
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_quantiles_are_exact_to_both_ends(noise, dtype):
    eps = np.finfo(dtype).eps
    bits = {np.float32: 33, np.float64: 65}[dtype]
    first = 8 * eps if noise in SHORT else 2.0**-bits
    tails = np.append(np.geomspace(first, 0.5, 90, endpoint=False), 0.5).astype(dtype)
    with jax.enable_x64(dtype == np.float64), mpmath.workprec(250):
        for upper in (False, True):
            sides = np.full(tails.shape, upper)
            values = np.asarray(jax.jit(QUANTILES[noise])(sides, tails))
            assert values.dtype == dtype
            for tail, value in zip(tails, values, strict=True):
                rest = 1 - mpmath.mpf(float(tail))
                u = rest if upper else 1 - rest
                exact = EXACT[noise](u, 1 - u)
                size = abs(exact)
                if noise in THROUGH_ZERO:
                    size += 1
                if noise in SHORT and (upper or noise is rj.noise.normal):
                    size += 1 / float(tail)
                error = abs(mpmath.mpf(float(value)) - exact) / size
                assert error <= 4 * eps, (upper, float(tail), float(value))


@every_law
def test_quantiles_increase(noise):
    tails = np.geomspace(1e-6, 0.499, 200).astype(np.float32)
    lower = np.asarray(QUANTILES[noise](np.zeros(200, bool), tails))
    upper = np.asarray(QUANTILES[noise](np.ones(200, bool), tails))
    assert np.all(np.diff(lower) > 0)
    assert np.all(np.diff(upper) < 0)
    assert np.all(upper > lower)


def test_positive_noise_keeps_its_relative_precision_at_0():
    tails = np.geomspace(2.0**-33, 1e-3, 50).astype(np.float32)
    side = np.zeros(50, bool)
    slopes = {
        rj.noise.exponential: 1,
        rj.noise.half_cauchy: np.pi / 2,
        rj.noise.half_normal: np.sqrt(np.pi / 2),
    }
    for noise, slope in slopes.items():
        values = np.asarray(QUANTILES[noise](side, tails), np.float64)
        np.testing.assert_allclose(values, slope * tails, rtol=6e-4)
        np.testing.assert_allclose(values[:9], slope * tails[:9], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_folded_words_reach_both_ends_alike(dtype):
    bits = 8 * np.dtype(dtype).itemsize
    top = 2 ** (bits - 1)
    words = np.array([0, top - 1, top, 2 * top - 1, 5], f"uint{bits}")
    with jax.enable_x64(dtype == np.float64):
        upper, tail = (np.asarray(x) for x in fold(jnp.asarray(words), np.dtype(dtype)))
    assert tail.dtype == dtype
    np.testing.assert_array_equal(upper, [False, False, True, True, False])
    unit = 2.0**-bits
    np.testing.assert_array_equal(tail, [unit / 2, 0.5, unit / 2, 0.5, 5.5 * unit])


@every_law
def test_noise_follows_its_law(noise, alpha):
    draws = np.asarray(noise(jax.random.key(5), (2**16,)), np.float64)
    assert scipy.stats.kstest(draws, LAWS[noise].cdf).pvalue > alpha
