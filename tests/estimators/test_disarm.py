import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

import reparam_jax as rj
from tests.estimators import pairs


@pytest.mark.parametrize("bits", [32, 64])
def test_one_bit_has_the_exact_mean_and_variance(bits):
    logits, moments = pairs.moments_of_one_bit(bits)
    found, mean, variance = moments[rj.DisARM()]
    q, difference = expit(logits) * expit(-logits), np.diff(pairs.COSTS)
    pairs.close(mean, q * difference, bits)
    larger, half = expit(abs(logits)), logits == 0
    expected = q * difference**2 * (larger / 2 - q)
    pairs.close(variance[~half], expected[~half], bits)
    assert np.sum(half) == 1
    assert np.ptp(found[:, half]) == 0


def test_one_bit_varies_less_than_by_arm_and_by_leave_one_out():
    logits, moments = pairs.moments_of_one_bit(64)
    _, _, variance = moments[rj.DisARM()]
    _, _, of_arm = moments[rj.ARM()]
    q, difference = expit(logits) * expit(-logits), np.diff(pairs.COSTS)
    assert np.all(variance < of_arm)
    assert np.all(variance < q * difference**2 * (1 / 2 - q))


@pytest.mark.parametrize("name", pairs.TREES)
def test_it_is_the_mean_of_arm_given_the_two_draws(name):
    tree, gradients = pairs.tree(name, 64)
    outcomes = tree.outcomes()
    weights = np.bincount(outcomes, tree.weights)
    for merged, found in zip(gradients[rj.ARM()], gradients[rj.DisARM()], strict=True):
        for column, expected in zip(merged.T, found.T, strict=True):
            mean = np.bincount(outcomes, tree.weights * column) / weights
            scale = np.max(np.abs(expected))
            pairs.close(mean[outcomes], expected, 64, scale)


def categories(logits, noise, costs):
    law, cost_fn = pairs.categorical, pairs.look_up
    return pairs.gradients((rj.DisARM(),), cost_fn, law, logits, noise, costs)[0]


@pytest.mark.parametrize("logit", [-1.3, 0.6])
def test_two_categories_are_a_bit(logit):
    nodes, _ = pairs.one_bit(logit)
    noise, costs = jnp.asarray(nodes, jnp.float32), jnp.array([0.5, -1.75])
    pair = categories(jnp.array([0.0, logit]), noise[:, None], costs)
    (bit,) = pairs.gradients(
        (rj.DisARM(),), pairs.look_up, pairs.bernoulli, jnp.float32(logit), noise, costs
    )
    np.testing.assert_allclose(pair, jnp.stack([-bit, bit], 1), rtol=1e-6)


def test_the_order_of_the_categories_does_not_matter():
    logits, costs = jnp.array([0.3, -1.0, 0.7, 1.1]), jnp.array([1.0, -2.0, 0.5, 4.0])
    noise = jax.random.uniform(jax.random.key(0), (50, 3))
    order = np.array([2, 0, 3, 1])
    found = categories(logits[order], noise, costs[order])
    expected = np.asarray(categories(logits, noise, costs))[:, order]
    scale = np.max(np.abs(expected))
    np.testing.assert_allclose(found, expected, atol=1e-6 * scale)
