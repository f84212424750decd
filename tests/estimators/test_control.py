"""The rule that attaches a control variate: what it differentiates, and what raises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reparam_jax.estimators._control import attach

LOGITS = jnp.array([0.3, -0.7])
TEMPERATURE, WEIGHT = 0.8, 1.7


def estimate(logits, temperature, weight):
    """With f = weight, c = temperature tanh(l), c~ = temperature l^2, log p = 3 l."""
    costs = jnp.full((1, 2), weight)

    def terms(logits):
        row = logits[0][None]
        return 3 * row, temperature * jnp.tanh(row), temperature * row**2

    return jnp.sum(attach(costs, terms, [logits]))


def slope(logits, temperature, weight):
    given = temperature * logits**2
    free_dot = temperature * (1 - jnp.tanh(logits) ** 2)
    return (weight - given) * 3 + free_dot - 2 * temperature * logits


POINT = LOGITS, TEMPERATURE, WEIGHT


def test_the_value_is_the_cost_and_the_slope_is_the_formula():
    value, slopes = jax.jit(jax.value_and_grad(estimate, (0, 1, 2)))(*POINT)
    assert value == np.float32(2 * WEIGHT)
    np.testing.assert_allclose(slopes[0], slope(*POINT), rtol=1e-6)
    assert slopes[1] == 0
    assert slopes[2] == 2


def test_the_slope_can_be_differentiated_for_all_but_the_logits():
    @jax.jit
    def slopes(*point):
        found = jax.jacobian(jax.grad(estimate), (1, 2))(*point)
        return found, jax.jacobian(slope, (1, 2))(*point)

    found, expected = slopes(*POINT)
    np.testing.assert_allclose(found[0], expected[0], rtol=5e-6)
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("first", [0, 2])
def test_a_derivative_that_takes_the_logits_last_raises(first):
    gradient = jax.grad(estimate, first)
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        jax.eval_shape(jax.jacrev(gradient), *POINT)
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        jax.eval_shape(jax.jacfwd(gradient), *POINT)


def test_every_order_of_transformations_gives_the_same():
    def batched(logits):
        return jax.vmap(estimate, (0, None, None))(logits, *POINT[1:])

    batch = jnp.stack([LOGITS, LOGITS + 1, -LOGITS])

    @jax.jit
    def every_way(batch):
        def alone(logits):
            return jax.grad(estimate)(logits, *POINT[1:])

        def forward(logits):
            return jax.jacfwd(estimate)(logits, *POINT[1:])

        return (
            jax.grad(lambda logits: jnp.sum(batched(logits)))(batch),
            jax.vmap(alone)(batch),
            jax.vmap(forward)(batch),
            jax.lax.map(alone, batch),
        )

    for gradient in every_way(batch):
        np.testing.assert_allclose(gradient, slope(batch, *POINT[1:]), rtol=1e-6)


def test_arrays_mapped_over_may_be_closed_over():
    """Integers too, which a derivative rule must not close over under vmap."""

    def one(label, logits):
        costs = jnp.ones((1, 2))

        def terms(logits):
            row = logits[0][None]
            return jnp.zeros_like(row), row * label, 0 * row

        return jnp.sum(attach(costs, terms, [logits]))

    labels = jnp.arange(3)

    def total(logits):
        return jnp.sum(jax.vmap(one, (0, None))(labels, logits))

    np.testing.assert_array_equal(jax.jit(jax.grad(total))(LOGITS), 3)


def test_logits_that_stand_still_in_an_inner_gradient_do_not_count_as_twice():
    """As where this estimate is a part of the control variate of another."""

    def with_inner(logits):
        def inner(temperature):
            return estimate(logits, temperature, WEIGHT)

        value, inner_slope = jax.jvp(inner, (TEMPERATURE,), (1.0,))
        return value + inner_slope

    found = jax.jit(jax.grad(with_inner))(LOGITS)
    np.testing.assert_allclose(found, slope(*POINT), rtol=1e-6)
