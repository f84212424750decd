"""Given values, the law of the draws, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj


def key():
    return jax.random.key(19)


def test_given_values_come_back_exactly_with_the_other_gradient():
    x = jnp.array([0.3, 1.7, -2.2])

    def rounded(x):
        return rj.straight_through(jnp.round(x), jnp.sin(x))

    np.testing.assert_array_equal(rounded(x), [0, 2, -2])
    np.testing.assert_allclose(jax.jacrev(rounded)(x), np.diag(np.cos(x)), rtol=1e-6)
    second = jax.vmap(jax.grad(jax.grad(rounded)))(x)
    np.testing.assert_allclose(second, -np.sin(x), rtol=1e-6)
    integers = rj.straight_through(np.array([1, 2]), jnp.array([0.4, 2.1]))
    assert integers.dtype == jnp.float32
    np.testing.assert_array_equal(integers, [1, 2])


def test_a_draw_is_the_argmax_and_its_gradient_that_of_the_softmax():
    logits = jnp.array([[0.5, -1.0, 2.0]] * 6)
    weights = jnp.arange(18.0).reshape(6, 3)
    draws = np.asarray(rj.straight_through(key(), logits))
    noise = rj.noise.gumbel(key(), (6, 3))
    np.testing.assert_array_equal(jnp.argmax(draws, -1), jnp.argmax(logits + noise, -1))
    np.testing.assert_array_equal(np.sort(draws, -1), [[0, 0, 1]] * 6)
    slopes = jax.grad(lambda x: jnp.sum(weights * rj.straight_through(key(), x)))(
        logits
    )
    expected = jax.grad(lambda x: jnp.sum(weights * jax.nn.softmax(x)))(logits)
    np.testing.assert_allclose(slopes, expected, rtol=1e-5, atol=1e-6)


def test_what_is_neither_a_draw_nor_a_pair_of_values_raises():
    logits = jnp.zeros(3)
    for first in (jnp.zeros(2), None, 3, jnp.zeros((1, 3))):
        with pytest.raises(TypeError, match="takes a JAX PRNG key"):
            rj.straight_through(first, logits)
    with pytest.raises(TypeError, match="PRNG key"):
        rj.straight_through(logits, key())
    with pytest.raises(ValueError, match="event_ndim=2"):
        rj.straight_through(key(), logits, event_ndim=2)
    with pytest.raises(ValueError, match="needs a last axis of components"):
        rj.straight_through(key(), 0.3)


def test_a_legacy_key_is_no_value():
    legacy = jax.random.PRNGKey(19)
    draws = rj.straight_through(legacy, jnp.zeros(2))
    np.testing.assert_array_equal(draws, rj.straight_through(key(), jnp.zeros(2)))
    assert set(np.asarray(draws)) == {0, 1}
