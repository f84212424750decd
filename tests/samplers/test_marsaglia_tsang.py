import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from reparam_jax.samplers._marsaglia_tsang import _proposals, gamma_parts

COUNT = 20_000
CONCENTRATIONS = (1e-6, 1e-3, 0.1, 0.9, 1.0, 1.5, 7.0, 100.0, 1e4, 1e6)
parts = jax.jit(gamma_parts)


def draw(concentration, dtype, number=0):
    array = np.full(COUNT, concentration, dtype)
    factor, exponent = parts(jax.random.key(number), array)
    assert factor.dtype == exponent.dtype == dtype
    return np.asarray(factor, np.float64), np.asarray(exponent, np.float64)


def uniforms(concentration, log_z):
    """P(a, z), for small z as the first term of its series, which needs only log z."""
    power = concentration * np.minimum(log_z, -30)
    small = np.exp(power - scipy.special.gammaln(concentration + 1))
    exact = scipy.special.gammainc(concentration, np.exp(log_z))
    return np.where(log_z < -30, small, exact)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("concentration", CONCENTRATIONS)
def test_the_law_from_the_smallest_concentrations_to_the_largest(
    concentration, dtype, alpha
):
    with jax.enable_x64(dtype == np.float64):
        factor, exponent = draw(concentration, dtype)
    concentration = float(dtype(concentration))
    assert np.min(factor) > 0
    found = uniforms(concentration, np.log(factor) - exponent)
    assert scipy.stats.kstest(found, "uniform").pvalue > alpha
    # The tails, where that test is blind: how many beyond each one's 1000-quantile.
    for tail in (found, 1 - found):
        count = int(np.sum(tail < 1e-3))
        assert scipy.stats.binomtest(count, COUNT, 1e-3).pvalue > alpha
    assert len(np.unique(found)) > 0.5 * COUNT


def test_the_exponent_is_zero_from_one_on():
    _, exponent = parts(jax.random.key(0), np.array([0.99, 1, 5], np.float32))
    np.testing.assert_array_equal(exponent == 0, [False, True, True])


@pytest.mark.parametrize("concentration", [1.0, 2.0, 50.0, 1e6, 1e30])
def test_candidates_are_kept_as_often_as_the_formula_says(concentration, alpha):
    depth = concentration - 1 / 3

    def density(x):
        y = x / (3 * np.sqrt(depth))
        series = -(y**4) / 4 + y**5 / 5 - y**6 / 6
        exact = np.log1p(y) - y + y**2 / 2 - y**3 / 3
        log_probability = 3 * depth * (series if abs(y) < 1e-3 else exact)
        return scipy.stats.norm.pdf(x) * np.exp(log_probability)

    lower = max(-3 * np.sqrt(depth), -12)
    expected = scipy.integrate.quad(density, lower, 12)[0]
    array = np.full(100_000, concentration, np.float32)
    _, accepts = jax.jit(lambda key, a: _proposals(a)(key))(jax.random.key(1), array)
    count = int(jnp.sum(accepts))
    assert scipy.stats.binomtest(count, array.size, min(expected, 1)).pvalue > alpha
    assert expected > 0.95


def test_bad_concentrations_end_and_leave_the_others_alone():
    good = np.array([0.5, 2.0, 0.5, 2.0, 3.0], np.float32)
    bad = np.array([np.nan, 2.0, -1.0, 0.0, 3.0], np.float32)
    expected = parts(jax.random.key(2), good)
    actual = parts(jax.random.key(2), bad)
    for mine, truth in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(mine[1::3], truth[1::3])
