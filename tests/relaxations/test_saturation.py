"""Which draws are counted as dead."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj

fraction = rj.relaxations.saturated_fraction


def test_rows_whose_largest_component_rounds_to_one_are_counted():
    rows = jnp.array([[1, 0, 0], [1, 1e-20, 0], [0.5, 0.5, 0], [jnp.nan] * 3])
    assert fraction(rows) == 0.5
    assert fraction(rows[:2]) == 1


def test_zeros_and_ones_are_counted_alike():
    draws = jnp.array([0.0, 1.0, 1e-20, 0.5, 1e-6])
    np.testing.assert_allclose(fraction(draws, event_ndim=0), 3 / 5, rtol=1e-6)


def test_it_is_the_chance_of_a_dead_gradient():
    """sigmoid(x / t) rounds to 1 beyond x = 24 t log 2 or so, and to 0 alike."""
    temperature = 0.05
    draws = rj.relaxed_bernoulli(jax.random.key(0), 0.0, temperature, shape=(40_000,))
    expected = 2 / (1 + np.exp(25 * np.log(2) * temperature))
    actual = fraction(draws, event_ndim=0)
    assert abs(actual - expected) < 5 * np.sqrt(expected / 40_000)
    slopes = jax.vmap(
        jax.grad(lambda x: rj.relaxed_bernoulli_from_noise(x, 0.0, temperature))
    )(jnp.array([-26 * np.log(2) * temperature, 26 * np.log(2) * temperature]))
    assert np.all(slopes <= np.finfo(np.float32).eps / temperature)


def test_it_has_no_gradient_and_refuses_what_has_no_classes():
    assert np.all(jax.grad(lambda x: fraction(x))(jnp.ones((2, 2))) == 0)
    with pytest.raises(ValueError, match=r"got shape \(\) with event_ndim=1"):
        fraction(jnp.zeros(()))
    with pytest.raises(ValueError, match="event_ndim=2"):
        fraction(jnp.zeros((2, 2)), event_ndim=2)
