import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reparam_jax.estimators._attach import box, first_order, hard, score, weighted


def test_the_box_is_one_and_differentiates_like_a_likelihood_ratio():
    # With log p = x^3: box' = 3 x^2, box'' = 6 x + 9 x^4, box''' = 6 + 54 x^3 + 27 x^6.
    def ratio(x):
        return box(x**3)

    derivatives = [ratio]
    for _ in range(3):
        derivatives.append(jax.grad(derivatives[-1]))
    found = [derivative(0.7) for derivative in derivatives]
    x = 0.7
    expected = [1, 3 * x**2, 6 * x + 9 * x**4, 6 + 54 * x**3 + 27 * x**6]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_score_keeps_the_cost_bit_for_bit_also_where_the_baseline_is_large():
    costs = jnp.array([0.1, 1e-8, 3.0])
    found = score(costs, jnp.full(3, 1e6), jnp.zeros(3))
    np.testing.assert_array_equal(found, costs)


def test_score_to_second_order():
    # With f = x^2, b = 5, l = sin x: f' + (f - b) l', and then
    # f'' + 2 f' l' + (f - b) (l'' + l'^2).
    def surrogate(x):
        return score(x**2, jnp.asarray(5.0), jnp.sin(x))

    x = 0.4
    advantage = x**2 - 5
    first = 2 * x + advantage * np.cos(x)
    second = 2 + 4 * x * np.cos(x) + advantage * (np.cos(x) ** 2 - np.sin(x))
    np.testing.assert_allclose(jax.grad(surrogate)(x), first, rtol=1e-6)
    for mode in jax.jacfwd, jax.jacrev:
        np.testing.assert_allclose(mode(jax.grad(surrogate))(x), second, rtol=1e-6)


def coefficient_of(control):
    return jnp.sin(control) * 3


def test_weighted_is_nothing_with_a_slope():
    def term(control, parameter):
        return weighted(coefficient_of(control), parameter)

    value, slope = jax.value_and_grad(term, 1)(0.5, 2.0)
    assert value == 0
    np.testing.assert_allclose(slope, 3 * np.sin(0.5), rtol=1e-6)
    of_coefficient = jax.grad(jax.grad(term, 1), 0)
    for function in of_coefficient, jax.jit(of_coefficient):
        np.testing.assert_allclose(function(0.5, 2.0), 3 * np.cos(0.5), rtol=1e-6)
    assert jax.grad(term, 0)(0.5, 2.0) == 0


@pytest.mark.parametrize("mode", [jax.jacfwd, jax.jacrev])
def test_weighted_has_no_second_derivative(mode):
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        mode(jax.grad(weighted, 1), 1)(1.0, 2.0)


def test_hard_costs_have_their_slope_which_the_law_cannot_differentiate():
    def value(data, logits):
        return hard(jnp.sin(data), logits)

    slope = jax.grad(value)
    np.testing.assert_allclose(slope(0.4, 1.0), np.cos(0.4), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(slope)(0.4, 1.0), -np.sin(0.4), rtol=1e-6)
    for mode in jax.jacfwd, jax.jacrev:
        with pytest.raises(NotImplementedError, match="no second derivatives"):
            jax.jit(mode(slope, 1))(0.4, 1.0)


def test_first_order_takes_a_tree_any_leaf_of_which_raises():
    def slope(coefficient, tree):
        return first_order(3 * coefficient, tree) ** 2

    tree = {"a": jnp.array([1.0, 2.0]), "b": [jnp.asarray(0.5), jnp.asarray(4)]}
    np.testing.assert_allclose(slope(2.0, tree), 36.0)
    np.testing.assert_allclose(jax.grad(slope)(2.0, tree), 36.0, rtol=1e-6)
    for mode in jax.jacfwd, jax.jacrev:
        for function in mode, lambda f, n: jax.jit(jax.grad(f, n)):
            with pytest.raises(NotImplementedError, match="no second derivatives"):
                function(lambda a: slope(2.0, tree | {"a": a}).sum(), 0)(tree["a"])

    def of_b(b):
        return slope(2.0, {"a": tree["a"], "b": [b, jnp.asarray(4)]})

    with pytest.raises(NotImplementedError, match="no second derivatives"):
        jax.grad(of_b)(0.5)
