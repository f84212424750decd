"""Statistics too slow for every change: the level of the law test, and many draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import reparam_jax as rj

pytestmark = pytest.mark.slow


def rejections(std):
    """Kolmogorov-Smirnov tests, of 2000, that reject the standard normal at 1 %."""
    keys = jax.random.split(jax.random.key(41), 2000)
    draw = jax.jit(jax.vmap(lambda key: rj.normal(key, 0.0, std=std, shape=(2000,))))
    draws = np.asarray(draw(keys), np.float64)
    return sum(scipy.stats.kstest(row, "norm").pvalue < 0.01 for row in draws)


def test_the_law_test_rejects_the_truth_as_often_as_it_says():
    low, high = scipy.stats.binom.interval(0.999, 2000, 0.01)
    assert low <= rejections(1.0) <= high


def test_the_law_test_rejects_a_std_wrong_by_a_quarter():
    assert rejections(1.25) > 1980


@pytest.mark.parametrize("scale", [{"var": 4.0}, {"std": 2.0}, {"log_var": np.log(4)}])
def test_moments_and_neighbours_of_sixty_million_draws(scale, alpha):
    num_draws, chunks = 2**20, 64
    draw = jax.jit(lambda key: rj.normal(key, 3.0, **scale, shape=(num_draws,)))
    sums = np.zeros(5)
    for index in range(chunks):
        key = jax.random.fold_in(jax.random.key(43), index)
        z = (np.asarray(draw(key), np.float64) - 3) / 2
        powers = [z, z**2 - 1, z**3, z**4 - 3, z * np.roll(z, 1)]
        sums += [np.sum(power) for power in powers]
    # Variances of z, z^2, z^3, z^4 and of the product of two standard normals.
    scores = sums / np.sqrt(num_draws * chunks * np.array([1, 2, 15, 96, 1]))
    assert np.max(np.abs(scores)) < scipy.stats.norm.isf(alpha / 2 / len(scores))


def test_float32_gradients_for_the_variance_average_to_their_expectation(alpha):
    # E d(z^2)/dv = 1, with variance m^2 / v + 2 at mean m and variance v.
    mean, var, num_draws = 1.0, 0.25, 2**22

    @jax.jit
    def slopes(key):
        variances = jnp.full(num_draws, var)
        return jax.grad(lambda v: jnp.sum(rj.normal(key, mean, v) ** 2))(variances)

    values = np.asarray(slopes(jax.random.key(47)), np.float64)
    score = (values.mean() - 1) / np.sqrt((mean**2 / var + 2) / num_draws)
    assert abs(score) < scipy.stats.norm.isf(alpha / 2)
