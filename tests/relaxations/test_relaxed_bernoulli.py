"""The law of two classes, its tails, and draws that are certain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj


def test_it_is_the_first_of_two_classes_with_the_difference_of_the_logits():
    """Of Gumbel noise, too, only the difference counts."""
    with jax.enable_x64(True):
        logits = jnp.array([[0.3, -1.2], [4.0, 0.0], [-2.0, 1.0]])
        noise = rj.noise.gumbel(jax.random.key(5), (3, 2), jnp.float64)

        def of_classes(logits, temperature):
            draws = rj.gumbel_softmax_from_noise(noise, logits, temperature)
            return jnp.sum(jnp.sin(draws[:, 0])), draws[:, 0]

        def of_bits(logits, temperature):
            difference = logits[:, 0] - logits[:, 1]
            draws = rj.relaxed_bernoulli_from_noise(
                noise[:, 0] - noise[:, 1], difference, temperature
            )
            return jnp.sum(jnp.sin(draws)), draws

        mine, expected = (
            jax.grad(function, (0, 1), has_aux=True)(logits, 0.6)
            for function in (of_bits, of_classes)
        )
    for actual, truth in zip(*map(jax.tree.leaves, (mine, expected)), strict=True):
        np.testing.assert_allclose(actual, truth, rtol=1e-12)


def test_hard_draws_have_exactly_the_probability_of_the_logits():
    logits = np.linspace(-6, 6, 9)
    with jax.enable_x64(True):
        low, high = jnp.full(9, -50.0), jnp.full(9, 50.0)
        for _ in range(70):
            middle = (low + high) / 2
            one = rj.relaxed_bernoulli_from_noise(middle, logits, 0.2, hard=True)
            low, high = jnp.where(one, low, middle), jnp.where(one, middle, high)
    np.testing.assert_allclose(
        1 / (1 + np.exp(np.asarray(high))), 1 / (1 + np.exp(-logits)), rtol=1e-12
    )


def test_slopes_are_alike_on_both_sides():
    logits = jnp.array([-30.0, 30.0])
    slopes = jax.vmap(jax.grad(lambda x: rj.relaxed_bernoulli_from_noise(0.0, x, 1.0)))
    expected = np.exp(-30) / (1 + np.exp(-30)) ** 2
    np.testing.assert_allclose(slopes(logits), expected, rtol=1e-5)


@pytest.mark.parametrize("temperature", [2e-38, 1e-30, 1e-19, 1.0, 1e30])
@pytest.mark.parametrize("logits", [-jnp.inf, 0.5, jnp.inf])
def test_values_and_gradients_are_finite_at_any_temperature(logits, temperature):
    def draw(logits, temperature):
        return rj.relaxed_bernoulli_from_noise(1.0, logits, temperature)

    value, slopes = jax.value_and_grad(draw, (0, 1))(logits, temperature)
    if np.isinf(logits):
        assert value == (logits > 0)
        assert slopes == (0, 0)
    elif temperature == 1:
        y = 1 / (1 + np.exp(-1.5))
        slope = y * (1 - y)
        np.testing.assert_allclose(slopes, (slope, -1.5 * slope), rtol=1e-6)
    else:
        assert value == (1 if temperature < 1 else 0.5)
        assert np.all(np.isfinite(slopes))
