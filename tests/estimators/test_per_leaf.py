"""A tree of estimators for a tree of distributions, by quadrature over all draws."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from reparam_jax.estimators._per_leaf import PerLeaf
from tests.estimators import exact

MEAN, STD, LOGITS = 0.4, 0.7, np.array([0.6, -0.9])


def cost(draw):
    bits = draw["bits"]
    switch = 1.0 + 2.0 * bits[0] - 1.5 * bits[0] * bits[1]
    return switch * (draw["z"] - 0.2 * bits[1]) ** 2


def dist_of(parameters):
    mean, logits = parameters
    return {
        "z": dist.Normal(mean, STD),
        "bits": dist.Bernoulli(logits=logits).to_event(1),
    }


def expected(parameters):
    """The mean cost, with the moments of the normal law in closed form."""
    mean, logits = parameters
    total = 0.0
    for bits in np.asarray(exact.bits(2)):
        log_p = jnp.sum(bits * logits - jax.nn.softplus(logits))
        switch = 1.0 + 2.0 * bits[0] - 1.5 * bits[0] * bits[1]
        square = STD**2 + (mean - 0.2 * bits[1]) ** 2
        total += jnp.exp(log_p) * switch * square
    return total


def parameters():
    return jnp.asarray(MEAN), jnp.asarray(LOGITS)


def grid(samples=1):
    """All bits of several samples, and nodes for as many normal draws."""
    noise, noise_weights = exact.hermite(3, jnp.float64)
    noises = np.stack(np.meshgrid(*[noise] * samples), -1).reshape(-1, samples)
    of_noises = np.stack(np.meshgrid(*[noise_weights] * samples), -1)
    of_noises = of_noises.reshape(-1, samples).prod(-1)
    bits = np.asarray(exact.bits(2 * samples)).reshape(-1, samples, 2)
    p = 1 / (1 + np.exp(-LOGITS))
    of_bits = np.where(bits == 1, p, 1 - p).reshape(len(bits), -1).prod(-1)
    weights = np.outer(of_noises, of_bits).ravel()
    return np.repeat(noises, len(bits), 0), np.tile(bits, (len(noises), 1, 1)), weights


SCORE = rj.ScoreFunction()
LOO = rj.ScoreFunction(baseline="leave_one_out")
TREES = {
    "pathwise and score": ({"z": rj.Pathwise(), "bits": SCORE}, 1),
    "score for both": ({"z": SCORE, "bits": SCORE}, 1),
    "two score functions": ({"z": rj.ScoreFunction(), "bits": rj.ScoreFunction()}, 1),
    "pathwise and leave one out": ({"z": rj.Pathwise(), "bits": LOO}, 2),
    "leave one out for both": (LOO, 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TREES)
def test_mixed_trees_are_unbiased_to_second_order(name):
    estimator, samples = TREES[name]
    with jax.enable_x64(True):
        noise, bits, weights = grid(samples)
        by_path = isinstance(estimator, dict) and isinstance(
            estimator["z"], rj.Pathwise
        )
        draws = {"z": noise if by_path else MEAN + STD * noise, "bits": bits}
        if isinstance(estimator, dict):
            estimator = PerLeaf(estimator)

        def estimate(parameters, draws):
            return estimator.estimate(cost, dist_of(parameters), draws)

        for differentiate in jax.grad, jax.hessian:
            found = jax.jit(jax.vmap(differentiate(estimate), (None, 0)))(
                parameters(), draws
            )
            means = jax.tree.map(lambda x: exact.moments(x, weights)[0], found)
            jax.tree.map(
                lambda mean, true: np.testing.assert_allclose(
                    mean, true, rtol=1e-11, atol=1e-13
                ),
                means,
                differentiate(expected)(parameters()),
            )


def test_the_tree_of_estimators_may_be_a_prefix():
    estimators = {"z": rj.Pathwise(), "b": SCORE}

    def total(draw):
        return draw["z"][0] * draw["z"][1] + draw["b"]

    def loss(loc):
        pair = dist.Normal(loc, 1.0), dist.Laplace(0.0, 2.0)
        tree = {"z": pair, "b": dist.Poisson(2.0)}
        return rj.expectation(
            jax.random.key(0), total, tree, num_samples=4, estimator=estimators
        )

    keys = jax.random.split(jax.random.key(0), 2)
    # Groups in the order of the leaves: "b" comes before "z".
    of_z = jax.random.split(keys[1], 2)
    laplace = rj.sample(of_z[1], dist.Laplace(0.0, 2.0), (4,))
    np.testing.assert_allclose(jax.grad(loss)(0.3), laplace.mean(), rtol=1e-6)


@pytest.mark.slow
def test_one_estimator_shared_by_leaves_treats_them_together():
    # An antithetic pair of several distributions takes two evaluations, not four.
    shared = rj.DisARM()
    tree = {"a": dist.Bernoulli(logits=0.3), "b": dist.Bernoulli(logits=jnp.zeros(3))}

    def cost(draw):
        total = draw["a"] * jnp.sum(draw["b"] * 1.0)
        jax.debug.callback(lambda _: rows.append(1), total)
        return total

    rows = []
    estimators = {"a": shared, "b": shared}
    value = rj.expectation(
        jax.random.key(0), cost, tree, num_samples=3, estimator=estimators
    )
    jax.block_until_ready(value)
    jax.effects_barrier()
    assert len(rows) == 6


def test_other_things_in_the_tree_are_named():
    tree = {"a": dist.Normal(0.0, 1.0), "b": dist.Normal(0.0, 1.0)}
    with pytest.raises(TypeError, match="got float"):
        rj.expectation(
            jax.random.key(0),
            lambda z: z["a"],
            tree,
            estimator={"a": rj.Pathwise(), "b": 0.5},
        )
