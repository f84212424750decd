import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from reparam_jax.special._quadrature import integrate, unit_rule


@pytest.mark.parametrize("count", [1, 2, 5, 14, 40])
def test_nodes_and_weights_keep_their_digits_at_the_ends(count):
    with mpmath.workdps(30):
        for node, weight in zip(*unit_rule(count), strict=True):
            start = 2 * mpmath.mpf(node) - 1
            root = mpmath.findroot(lambda x: mpmath.legendre(count, x), start)
            slope = mpmath.diff(lambda x: mpmath.legendre(count, x), root)
            exact = 1 / ((1 - root**2) * slope**2)
            assert abs(node / ((1 + root) / 2) - 1) < 1e-15
            assert abs(weight / exact - 1) < 4e-15


def test_polynomials_of_degree_2n_minus_1_are_integrated_exactly():
    nodes, weights = unit_rule(7)
    assert np.all(np.diff(nodes) > 0)
    for power in range(14):
        assert abs(weights @ nodes**power * (power + 1) - 1) < 1e-15
    assert abs(weights @ nodes**14 * 15 - 1) > 1e-10


def test_arguments_of_any_shape_are_integrated_element_by_element():
    rate = np.linspace(0.5, 3, 6, dtype=np.float32).reshape(2, 3)
    shift = np.float32(rate[::-1])
    actual = integrate(lambda t, a, b: b * jnp.exp(-a * t), 8, rate, shift)
    expected = shift * -np.expm1(-np.float64(rate)) / rate
    np.testing.assert_allclose(actual, expected, rtol=3e-7)
