"""Bounds far out in the tails, where probabilities underflow."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj

# Beyond a bound far out a draw exceeds it by about scale times this for each law.
TAILS = {dist.Laplace: 200.0, dist.Logistic: 200.0, dist.SoftLaplace: 200.0}


def key():
    return jax.random.key(67)


# There the laws are exponential: z = low - scale log(1 - u), so 1 - u = 1 / (1 + e^y).
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=() if kind is dist.SoftLaplace else pytest.mark.slow)
        for kind in TAILS
    ],
)
@pytest.mark.parametrize("side", [1, -1])
def test_in_the_tail_draws_are_exponential_from_the_bound(kind, side):
    def draw(loc, scale, bound):
        bounds = {"low": bound} if side > 0 else {"high": bound}
        law = dist.TruncatedDistribution(kind(loc, scale), **bounds)
        return rj.sample(key(), law, (50,))

    bound = side * TAILS[kind]
    draws, slopes = jax.jvp(draw, (0.0, 0.5, bound), (0.0, 1.0, 0.0))
    noise = rj.noise.logistic(key(), (50,))
    excess = side * jax.nn.softplus(side * noise)
    np.testing.assert_allclose(draws, bound + 0.5 * excess, rtol=1e-6)
    np.testing.assert_allclose(slopes, excess, rtol=1e-3, atol=1e-4)
    assert len(np.unique(draws)) > 45
    _, by_bound = jax.jvp(draw, (0.0, 0.5, bound), (0.0, 0.0, 1.0))
    np.testing.assert_allclose(by_bound, 1.0, rtol=1e-5)


# Far out 1 - F falls as 1 / t: z = low / (1 - u).
def test_cauchy_draws_in_the_tail():
    def draw(bound):
        law = dist.TruncatedCauchy(0.0, 1.0, low=bound)
        return rj.sample(key(), law, (50,))

    draws, slopes = jax.jvp(draw, (1e6,), (1.0,))
    noise = rj.noise.logistic(key(), (50,))
    expected = 1 + jnp.exp(noise)
    np.testing.assert_allclose(draws, 1e6 * expected, rtol=1e-5)
    np.testing.assert_allclose(slopes, expected, rtol=1e-5)


@pytest.mark.slow
def test_infinite_bounds_are_constants():
    def draw(loc, scale):
        low, high = jnp.array([-jnp.inf, 0.0]), jnp.array([1.0, jnp.inf])
        law = dist.TwoSidedTruncatedDistribution(dist.Laplace(loc, scale), low, high)
        return rj.sample(key(), law, (20,))

    def one_sided(loc, scale):
        left = dist.TruncatedDistribution(dist.Laplace(loc, scale), low=jnp.zeros(2))
        right = dist.TruncatedDistribution(dist.Laplace(loc, scale), high=jnp.ones(2))
        draws = [rj.sample(key(), law, (20,)) for law in (right, left)]
        return jnp.stack([draws[0][:, 0], draws[1][:, 1]], -1)

    found, expected = (
        jax.jvp(function, (0.3, 2.0), (0.0, 1.0)) for function in (draw, one_sided)
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_swapped_bounds_raise():
    law = dist.TruncatedCauchy(0.0, 1.0, low=2.0, high=1.0, validate_args=False)
    with pytest.raises(ValueError, match="`high - low`"):
        rj.sample(key(), law)
