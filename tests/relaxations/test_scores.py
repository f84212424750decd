import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reparam_jax.relaxations._scores import (
    below_largest,
    log_softmax,
    one_hot_argmax,
    quotient,
    sigmoid,
    softmax,
    tempered,
)


@pytest.mark.parametrize("x", [-40.0, -1.0, 0.0, 1.0, 40.0])
def test_slopes_of_the_logistic_function_to_second_order(x):
    small = np.exp(-abs(x))
    slope = small / (1 + small) ** 2
    np.testing.assert_allclose(jax.grad(sigmoid)(x), slope, rtol=1e-6)
    curvature = -np.tanh(x / 2) * slope
    np.testing.assert_allclose(
        jax.grad(jax.grad(sigmoid))(x), curvature, rtol=2e-6, atol=1e-24
    )


def test_quotients_do_not_overflow_before_their_slopes_do():
    slopes = jax.grad(quotient, (0, 1))(2e-25, 1e-25)
    np.testing.assert_allclose(slopes, (1e25, -2e25), rtol=1e-6)


def test_scores_beyond_the_range_of_an_exponential_are_infinite():
    scores = jnp.array([-jnp.inf, -30.0, -10.0, 10.0, 30.0, jnp.inf])
    x, slopes = jax.vmap(jax.value_and_grad(tempered), (0, None))(scores, 0.1)
    np.testing.assert_allclose(
        x, [-np.inf, -np.inf, -100, 100, np.inf, np.inf], rtol=1e-6
    )
    np.testing.assert_allclose(slopes, [0, 0, 10, 10, 0, 0], rtol=1e-6)


def test_the_first_of_equal_scores_is_the_largest_and_has_no_tangent():
    scores = jnp.array([[1.0, 3.0, 3.0], [-jnp.inf, -5.0, -jnp.inf]])
    largest = one_hot_argmax(scores)
    np.testing.assert_array_equal(largest, [[0, 1, 0], [0, 1, 0]])
    below, tangent = jax.jvp(
        lambda s: below_largest(s, largest),
        (scores,),
        (jnp.array([[1.0, 2.0, 4.0]] * 2),),
    )
    np.testing.assert_array_equal(below, [[-2, 0, 0], [-np.inf, 0, -np.inf]])
    np.testing.assert_array_equal(tangent, [[-1, 0, 2]] * 2)


def test_what_a_dominant_class_leaves_to_the_others_is_not_lost_backwards():
    scores = jnp.array([-30.0, 50.0, 0.0])
    largest = one_hot_argmax(scores)
    for function in (softmax, log_softmax):
        slopes = jax.jacrev(function)(scores, largest, jnp.ones(3))[1]
        rest = np.exp(-50.0)
        np.testing.assert_allclose(slopes, [-np.exp(-80.0), rest, -rest], rtol=1e-5)


def test_a_bad_class_that_stands_alone_is_nan():
    scores = jnp.array([jnp.nan])
    assert jnp.isnan(below_largest(scores, one_hot_argmax(scores)))
