"""Which estimator the default takes for which distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj

ESTIMATES = {
    "pathwise": rj.Pathwise(),
    "sum": rj.Enumerate(),
    "score": rj.ScoreFunction(),
    "leave one out": rj.ScoreFunction(baseline="leave_one_out"),
}
CASES = {
    "normal": (lambda x: dist.Normal(x, 1.0), "pathwise", 4),
    "von Mises": (lambda x: dist.VonMises(x, 2.0), "pathwise", 4),
    "bit": (lambda x: dist.Bernoulli(logits=x), "sum", 4),
    "six bits": (lambda x: dist.Bernoulli(logits=x * jnp.ones(6)), "sum", 4),
    "seven bits": (
        lambda x: dist.Bernoulli(logits=x * jnp.ones(7)),
        "leave one out",
        4,
    ),
    "seven bits, one sample": (
        lambda x: dist.Bernoulli(logits=x * jnp.ones(7)),
        "score",
        1,
    ),
    "64 categories": (
        lambda x: dist.Categorical(logits=x * jnp.arange(64.0)),
        "sum",
        2,
    ),
    "65 categories": (
        lambda x: dist.Categorical(logits=x * jnp.arange(65.0)),
        "leave one out",
        2,
    ),
    "Poisson": (lambda x: dist.Poisson(jnp.exp(x)), "leave one out", 4),
    "one Poisson": (lambda x: dist.Poisson(jnp.exp(x)), "score", 1),
}


def cost(z):
    return jnp.sum(jnp.cos(z + 0.3) * jnp.arange(1.0, 1.0 + z.size).reshape(z.shape))


# Of two cases of a kind one runs by default.
SLOW = {"von Mises", "seven bits, one sample", "one Poisson"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
        for name in CASES
    ],
)
def test_each_law_has_its_estimator(name):
    dist_of, expected, num_samples = CASES[name]

    def slope(estimator):
        def loss(x):
            return rj.expectation(
                jax.random.key(7),
                cost,
                dist_of(x),
                num_samples=num_samples,
                estimator=estimator,
            )

        return jax.jit(jax.value_and_grad(loss))(0.4)

    found, wanted = slope(None), slope(ESTIMATES[expected])
    np.testing.assert_allclose(found, wanted, rtol=2e-5)
    others = {"pathwise", "sum", "score", "leave one out"} - {expected}
    for other in others:
        try:
            different = slope(ESTIMATES[other])
        except (TypeError, ValueError):
            continue
        assert abs(different[1] - wanted[1]) > 1e-3 * abs(wanted[1])


@pytest.mark.slow
def test_costs_of_the_batch_are_summed_element_by_element():
    # A thousand bits: two evaluations, and the exact gradient.
    logits = jnp.linspace(-3.0, 3.0, 1000)

    def loss(logits):
        costs = rj.expectation(
            jax.random.key(0), lambda b: (b - 0.3) ** 2, dist.Bernoulli(logits=logits)
        )
        return jnp.sum(costs)

    p = jax.nn.sigmoid(logits)
    np.testing.assert_allclose(jax.grad(loss)(logits), p * (1 - p) * 0.4, rtol=2e-5)


@pytest.mark.slow
def test_in_a_tree_the_smallest_are_summed_over():
    # 4 * 8 outcomes are summed; 40 more would be 1280, so those are sampled.
    tree = {
        "large": dist.Categorical(logits=jnp.zeros(40)),
        "small": dist.Bernoulli(logits=jnp.zeros(2)),
        "middle": dist.Categorical(logits=jnp.zeros(8)),
        "z": dist.Normal(0.0, 1.0),
    }
    rows = []

    def cost(draw):
        total = 1.0 * draw["large"] + draw["middle"] + draw["small"].sum() + draw["z"]
        jax.debug.callback(lambda _: rows.append(1), total)
        return total

    jax.block_until_ready(rj.expectation(jax.random.key(0), cost, tree, num_samples=3))
    jax.effects_barrier()
    assert len(rows) == 3 * 32
