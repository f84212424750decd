"""Power spherical: the law of its angle, and what its gradients estimate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import reparam_jax as rj

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow


def key(number=0):
    return jax.random.key(103 + number)


def gaps(dimension, concentration, count, dtype=np.float32):
    """``(1 - cos) / 2`` of the angle to the pole, by the side of it."""
    pole = np.eye(dimension, dtype=dtype)[0]
    draws = rj.power_spherical(
        key(dimension), pole, dtype(concentration), shape=(count, dimension)
    )
    draws = np.asarray(draws, np.float64)
    side = np.sum(draws[:, 1:] ** 2, -1)
    return np.where(
        draws[:, 0] > 0, side / (2 + 2 * draws[:, 0]), (1 - draws[:, 0]) / 2
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_angles_follow_the_law(dtype, alpha):
    points = [(2, 0.0), (3, 5.0), (4, 1e4), (40, 20.0)]
    with jax.enable_x64(dtype == np.float64):
        for dimension, concentration in points:
            law = scipy.stats.beta(
                (dimension - 1) / 2, (dimension - 1) / 2 + concentration
            )
            draws = gaps(dimension, concentration, 4000, dtype)
            pvalue = scipy.stats.kstest(draws, law.cdf).pvalue
            assert pvalue > alpha / len(points), (dimension, concentration)


@pytest.mark.parametrize("dimension", [2, 3, 16])
def test_gradients_are_those_of_the_expectation(dimension):
    mean = np.random.default_rng(dimension).normal(size=dimension)
    mean = (mean / np.linalg.norm(mean)).astype(np.float32)
    direction = np.eye(dimension, dtype=np.float32)[0]
    count = 20_000

    @jax.jit
    def slopes(concentration):
        def draw(mean, concentration):
            return rj.power_spherical(
                key(), mean, concentration, shape=(count, dimension)
            )

        return (
            jax.jvp(lambda k: draw(mean, k), (concentration,), (jnp.float32(1),))[1],
            jax.jvp(lambda m: draw(m, concentration), (mean,), (direction,))[1],
        )

    for concentration in (0.3, 20.0, 1e3):
        total = concentration + dimension - 1
        exact = (
            (dimension - 1) / total**2 * mean,
            concentration / total * (direction - mean * mean[0]),
        )
        for samples, expected in zip(
            slopes(np.float32(concentration)), exact, strict=True
        ):
            samples = np.asarray(samples, np.float64)
            error = samples.std(0) / count**0.5 + 1e-6 * np.abs(expected).max()
            assert np.max(np.abs(samples.mean(0) - expected) / error) < 5.5
