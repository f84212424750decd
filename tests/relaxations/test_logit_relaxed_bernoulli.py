"""The density of the logit, which is that of two classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj
from tests.relaxations.densities import grid, log_density

log_prob = jax.jit(rj.relaxations.logit_relaxed_bernoulli_log_prob)


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 10.0])
def test_the_density_integrates_to_one(temperature):
    points, volume = grid(1, temperature)
    with jax.enable_x64(True):
        total = jnp.sum(jnp.exp(log_prob(points[:, 0], 0.7, temperature))) * volume
    np.testing.assert_allclose(total, 1, rtol=1e-12)


@pytest.mark.parametrize("temperature", [1e-30, 0.01, 1.0, 10.0])
def test_values_at_draws_have_their_digits(temperature):
    temperature, logits = np.float32(temperature), np.float32(0.7)
    draws = rj.relaxations.logit_relaxed_bernoulli(
        jax.random.key(8), logits, temperature, shape=(20,)
    )
    values = log_prob(draws, logits, temperature)
    pairs = np.stack([draws, np.zeros(20)], -1)
    expected = [log_density(pair, (logits, 0.0), temperature) for pair in pairs]
    np.testing.assert_allclose(values, expected, rtol=2e-6, atol=8e-6)


def test_it_is_the_density_of_two_classes():
    draw, logits, temperature = jnp.linspace(-9, 9, 7), 0.3, 0.4
    both = jnp.stack([draw, jnp.zeros(7)], -1)
    expected = rj.relaxations.log_gumbel_softmax_log_prob(
        both, jnp.array([[logits, 0.0]]), temperature
    )
    np.testing.assert_allclose(log_prob(draw, logits, temperature), expected, rtol=1e-5)


def test_slopes_are_those_of_the_logistic_density():
    draw, logits, temperature = 1.3, 0.4, 0.7
    slopes = jax.grad(log_prob, (0, 1, 2))(draw, logits, temperature)
    half = np.tanh((temperature * draw - logits) / 2)
    expected = -half * temperature, half, 1 / temperature - half * draw
    np.testing.assert_allclose(slopes, expected, rtol=1e-5)


def test_bad_values_raise_or_are_nan():
    for bad in ({"logits": jnp.inf}, {"temperature": 0.0}):
        arguments = {"logits": 0.0, "temperature": 1.0} | bad
        sentence = f"`logit_relaxed_bernoulli_log_prob` needs `{next(iter(bad))}`"
        with pytest.raises(ValueError, match=sentence):
            rj.relaxations.logit_relaxed_bernoulli_log_prob(0.0, **arguments)
        value, slope = jax.value_and_grad(log_prob)(0.5, *arguments.values())
        assert np.isnan(value)
        assert np.isnan(slope)
