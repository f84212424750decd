"""Expectations of inverse Gaussian draws, and shapes far from the mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import reparam_jax as rj

COUNT = 100_000


@jax.jit
def per_draw(key, mean, shape_parameter):
    """Draws, and the slopes of each in its own mean and shape."""
    wide = jnp.full(COUNT, mean), jnp.full(COUNT, shape_parameter)

    def total(mean, shape_parameter):
        draws = rj.inverse_gaussian(key, mean, shape_parameter)
        return jnp.sum(draws), draws

    slopes, draws = jax.grad(total, (0, 1), has_aux=True)(*wide)
    return draws, *slopes


@pytest.mark.parametrize("shape_parameter", [0.5, 2.0, 100.0])
def test_slopes_of_the_first_two_moments(shape_parameter, alpha):
    """E z = m and E z^2 = m^2 + m^3 / l."""
    mean = 1.5
    found = per_draw(jax.random.key(5), mean, shape_parameter)
    draws, for_mean, for_shape = (np.asarray(x, np.float64) for x in found)
    level = scipy.stats.norm.isf(alpha / 2 / 4)
    square_slope = 2 * mean + 3 * mean**2 / shape_parameter
    for values, exact, visible in (
        (for_mean, 1.0, 0.1),
        (for_shape, 0.0, 0.05 * mean / shape_parameter),
        (2 * draws * for_mean, square_slope, 0.2 * square_slope),
        (2 * draws * for_shape, -(mean**3) / shape_parameter**2, np.inf),
    ):
        error = values.std(ddof=1) / np.sqrt(COUNT)
        assert abs(values.mean() - exact) < level * error
        # A bias of this size is seen, but for one time in a thousand.
        assert (level + 3.1) * error < visible


@pytest.mark.parametrize("ratio", [1e-6, 1e-4, 1e-2, 1e4, 1e6])
def test_the_law_far_from_shape_one(ratio, alpha):
    """The rare large draws too, which carry the mean of the smallest shapes."""
    draws, *_ = per_draw(jax.random.key(6), 1.0, ratio)
    law = scipy.stats.invgauss(1 / float(np.float32(ratio)), scale=np.float32(ratio))
    draws = np.asarray(draws, np.float64)
    assert scipy.stats.kstest(draws[:5000], law.cdf).pvalue > alpha / 3
    for count, tail in (
        (np.sum(draws > law.isf(1e-4)), 1e-4),
        (np.sum(draws < law.ppf(1e-4)), 1e-4),
    ):
        assert scipy.stats.binomtest(int(count), COUNT, tail).pvalue > alpha / 3
