"""Tests of ``experiments._topic_law`` against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import special

from experiments._topic_law import (
    JaxDirichlet,
    log_likelihood,
    perplexities,
    true_concentration,
)

TOPICS = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])


def test_log_likelihood_by_hand():
    shares = jnp.array([[0.25, 0.75], [1.0, 0.0]])
    counts = jnp.array([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]])
    first = 2 * np.log(0.25 * 0.7 + 0.75 * 0.1) + np.log(0.25 * 0.1 + 0.75 * 0.6)
    expected = [first, 3 * np.log(0.2)]
    value = log_likelihood(shares, counts, jnp.asarray(TOPICS, jnp.float32))
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_true_concentration_by_hand():
    shares, counts = np.array([[0.25, 0.75]]), np.array([[2, 0, 1]])
    first = 2 * 0.25 * 0.7 / 0.25 + 0.25 * 0.1 / 0.475
    value = true_concentration(counts, shares, TOPICS, 0.1)
    np.testing.assert_allclose(value, [[0.1 + first, 0.1 + 3 - first]], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("prior", [0.5, 0.01])
def test_perplexity_is_that_of_the_marginal_likelihood(prior):
    # Of words a and b: E[theta_i theta_j] = (p_i p_j + p_i [i = j]) / (2 p (2 p + 1)).
    moments = (prior**2 + prior * np.eye(2)) / (2 * prior * (2 * prior + 1))
    marginal = TOPICS[:, 0] @ moments @ TOPICS[:, 2]
    num_draws = 20_000
    # Weights have a variance: the guide's concentrations are below twice the prior's.
    values = perplexities(
        jax.random.key(0),
        jnp.array([[1.6 * prior, 0.8 * prior]]),
        jnp.array([[1.0, 0.0, 1.0]]),
        jnp.asarray(TOPICS, jnp.float32),
        prior,
        num_draws=num_draws,
    )
    size = float(values["effective_draws"])
    assert 400 < size < num_draws
    # The relative error of the mean weight; half of it that of two words' perplexity.
    error = np.sqrt(1 / size - 1 / num_draws) / 2
    expected = marginal**-0.5
    assert abs(values["perplexity"] / expected - 1) < 5 * error


@pytest.mark.slow
def test_bound_is_the_likelihood_less_the_divergence():
    same = np.array([[0.7, 0.2, 0.1]] * 2)
    guide, prior = np.array([0.4, 0.02]), 0.05
    values = perplexities(
        jax.random.key(0),
        jnp.asarray(guide[None], jnp.float32),
        jnp.array([[3.0, 1.0, 0.0]]),
        jnp.asarray(same, jnp.float32),
        prior,
        num_draws=10,
    )
    total = guide.sum()
    divergence = special.gammaln(total) - special.gammaln(guide).sum()
    divergence -= special.gammaln(2 * prior) - 2 * special.gammaln(prior)
    means = special.digamma(guide) - special.digamma(total)
    divergence += (guide - prior) @ means
    bound = 3 * np.log(0.7) + np.log(0.2) - divergence
    np.testing.assert_allclose(values["bound_perplexity"], np.exp(-bound / 4), 1e-5)


@pytest.mark.slow
def test_the_arm_of_jax_is_the_draw_of_jax_with_its_gradient():
    concentration = jnp.array([[0.3, 0.6], [2.0, 1.0]])

    def cost(shares, weights):
        return (shares**2 * weights).sum(-1)

    def estimate(concentration, weights):
        law = dist.Dirichlet(concentration)
        draws = JaxDirichlet().draw(jax.random.key(0), law, 3)
        return JaxDirichlet().estimate(cost, law, draws, weights).sum()

    def by_hand(concentration, weights):
        keys = jax.random.split(jax.random.key(0), 3)
        draws = jnp.stack([jax.random.dirichlet(one, concentration) for one in keys])
        return (draws**2 * weights[None]).sum() / 3

    weights = jnp.array([[1.0, 2.0], [3.0, -1.0]])
    mine, theirs = (
        jax.value_and_grad(function)(concentration, weights)
        for function in (estimate, by_hand)
    )
    np.testing.assert_allclose(mine[0], theirs[0], rtol=1e-6)
    np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-4)
