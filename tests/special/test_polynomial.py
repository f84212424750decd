import functools

import jax
import numpy as np
import pytest

from reparam_jax.special._polynomial import horner, polynomial

X = np.float32([-2.0, 0.0, 0.5, 3.0])
COEFFICIENTS = (1.0, -2.0, 0.5, 4.0)


@pytest.mark.parametrize("order", range(5))
@pytest.mark.parametrize("mode", [jax.jacfwd, jax.jacrev])
def test_derivatives_are_those_of_the_polynomial(order, mode):
    function = functools.partial(polynomial, COEFFICIENTS)
    expected = np.polynomial.Polynomial(COEFFICIENTS)
    for _ in range(order):
        function, expected = mode(function), expected.deriv()
    np.testing.assert_allclose(jax.vmap(function)(X), expected(X), rtol=1e-6)


def test_horner_takes_arrays_for_coefficients():
    actual = horner([X, 2 * X, 0 * X + 3], X)
    np.testing.assert_allclose(actual, X + 2 * X**2 + 3 * X**2, rtol=1e-6)
