"""Estimators compile to what one would write by hand: XLA's own count of operations."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from reparam_jax.distributions._log_prob import log_prob

SAMPLES = 8
WEIGHTS = jnp.linspace(-1.0, 1.0, 64 * 16).reshape(64, 16)


def cost(z, weights):
    return jnp.sum(jnp.tanh(z @ weights))


def flops(loss, *arguments):
    compiled = jax.jit(jax.value_and_grad(loss)).lower(*arguments).compile()
    return compiled.cost_analysis()["flops"]


LAWS = {
    "normal": lambda x: dist.Normal(x, 0.7),
    "exponential": lambda x: dist.Exponential(jnp.exp(x)),
    "gamma": lambda x: dist.Gamma(jnp.exp(x), 2.0),
}


@pytest.mark.parametrize("name", LAWS)
def test_pathwise_is_the_mean_of_costs_of_samples(name):
    law = LAWS[name]

    def by_hand(x, key, weights):
        draws = rj.sample(key, law(x), (SAMPLES,))
        return jnp.mean(jax.vmap(lambda z: cost(z, weights))(draws))

    def by_expectation(x, key, weights):
        return rj.expectation(
            key, cost, law(x), weights, num_samples=SAMPLES, estimator=rj.Pathwise()
        )

    arguments = jnp.zeros(64), jax.random.key(0), WEIGHTS
    assert flops(by_expectation, *arguments) <= 1.01 * flops(by_hand, *arguments)


@pytest.mark.parametrize("batch", [False, True])
def test_leave_one_out_is_what_one_writes_by_hand(batch):
    def one(b, weights):
        return jnp.tanh(b @ weights).sum(-1)

    def law(logits):
        bits = dist.Bernoulli(logits=logits)
        return bits.to_event(1) if batch else bits

    def by_hand(logits, key, weights):
        draws = law(logits).sample(key, (SAMPLES,))
        costs = jax.vmap(lambda b: one(b, weights))(draws)
        log_probs = log_prob(law(logits), draws)
        if not batch:
            log_probs = log_probs.sum(-1)
        baseline = (costs.sum(0) - costs) / (SAMPLES - 1)
        advantage = jax.lax.stop_gradient(costs - baseline)
        surrogate = costs + advantage * (log_probs - jax.lax.stop_gradient(log_probs))
        return jnp.mean(surrogate, 0).sum()

    def by_expectation(logits, key, weights):
        estimator = rj.ScoreFunction(baseline="leave_one_out")
        value = rj.expectation(
            key, one, law(logits), weights, num_samples=SAMPLES, estimator=estimator
        )
        return value.sum()

    logits = jnp.ones((5, 64)) if batch else jnp.ones(64)
    arguments = logits, jax.random.key(0), WEIGHTS
    with jax.numpy_rank_promotion("allow"):
        wanted = flops(by_hand, *arguments)
    assert flops(by_expectation, *arguments) <= 1.05 * wanted
