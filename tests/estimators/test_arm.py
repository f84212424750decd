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
    _, mean, variance = moments[rj.ARM()]
    q, difference = expit(logits) * expit(-logits), np.diff(pairs.COSTS)
    pairs.close(mean, q * difference, bits)
    # 1 / 12 - 2 a^3 / 3 with a = 1/2 - t, without its cancellation at small t.
    t = expit(-abs(logits))
    tail = t / 2 - t**2 + 2 * t**3 / 3
    pairs.close(variance, difference**2 * (tail - q**2), bits)


def test_a_pair_is_weighted_with_its_uniforms():
    noise = jnp.array([[0.95, 0.2, 0.4], [0.1, 0.85, 0.3]])
    costs = jnp.array([[[0.5, -1.0], [2.0, 0.25]], [[-0.75, 1.5], [0.125, -2.5]]])
    (found,) = pairs.gradients(
        (rj.ARM(),), look_up, three_bits, jnp.array([-2.0, 0.0, 1.0]), noise, costs
    )
    # sigma(l) = .12, .5, .73: the draws are 101 and 011, then 011 and 101.
    expected = (1.5 - 0.25) * (noise[0] - 0.5), (0.25 - 1.5) * (noise[1] - 0.5)
    np.testing.assert_allclose(found, jnp.stack(expected), rtol=1e-6)


def look_up(draw, costs):
    return costs[draw[0], draw[1], draw[2]]


def three_bits(logits):
    return pairs.bernoulli(logits).to_event(1)


def test_bits_that_neither_draw_looks_at_have_no_slope():
    def estimate(logits):
        noise = jnp.array([[0.45, 0.6, 0.9, 0.3]])
        return rj.ARM().estimate(lambda z: z**2 * 1.0, pairs.categorical(logits), noise)

    # theta = .5, .5, .5, .5: the draws are 1 and 0, with costs 1 and 0.
    probs = jnp.array([0.5, 0.25, 0.125, 0.0625, 0.0625])
    found = jax.jit(jax.grad(estimate))(jnp.log(probs))
    sticks = [[1, -0.5, -0.25, -0.125, -0.125], [0, 1, -0.5, -0.25, -0.25]]
    expected = np.array([0.45 - 0.5, 0.6 - 0.5]) @ np.array(sticks)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
