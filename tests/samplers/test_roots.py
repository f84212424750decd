import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from reparam_jax.samplers._roots import exp_of_part, root, sqrt

ROOTS = {"sqrt": sqrt, "root": lambda x: root(x, jnp.full_like(x, 2.5))}


@pytest.mark.parametrize("name", ROOTS)
def test_all_derivatives_are_0_at_0(name):
    function = ROOTS[name]
    for order in range(4):
        assert function(0.0 * jnp.ones(())) == 0, order
        function = jax.grad(function)


@pytest.mark.parametrize("name", ROOTS)
def test_negative_numbers_have_no_root(name):
    minus_one = -jnp.ones(())
    assert np.isnan(ROOTS[name](minus_one))
    assert np.isnan(jax.grad(ROOTS[name])(minus_one))


def test_root_is_right_with_its_slopes():
    x = np.geomspace(1e-30, 1e30, 25)
    degree = np.tile([0.5, 1.0, 3.0, 40.0, 1e4], 5)
    x = x ** np.minimum(1, degree)  # the result stays in range
    with jax.enable_x64(True):
        value, for_x, for_degree = (
            np.asarray(y)
            for y in (
                root(jnp.asarray(x), degree),
                *jax.vmap(jax.grad(root, (0, 1)))(jnp.asarray(x), jnp.asarray(degree)),
            )
        )
    with mpmath.workprec(200):
        for number in range(25):
            base, power = mpmath.mpf(x[number]), 1 / mpmath.mpf(degree[number])
            exact = base**power
            size = 1 + abs(mpmath.log(base) * power)
            for actual, truth in (
                (value[number], exact),
                (for_x[number], power * exact / base),
                (for_degree[number], -(power**2) * exact * mpmath.log(base)),
            ):
                error = abs(mpmath.mpf(float(actual)) - truth)
                assert error <= 4e-16 * size * abs(truth)


def test_a_constant_divisor_rounds_as_an_argument_does():
    exponent = jnp.linspace(0.1, 60, 999)
    divisor = np.float32(0.7)
    as_argument = jax.jit(exp_of_part)(exponent, jnp.full(999, divisor))
    as_constant = jax.jit(lambda x: exp_of_part(x, jnp.full(999, divisor)))(exponent)
    np.testing.assert_array_equal(as_constant, as_argument)
    # What it is for: XLA multiplies by the reciprocal of a constant.
    divided = np.asarray(jax.jit(lambda x: x / divisor)(exponent))
    assert np.any(divided != np.asarray(exponent) / divisor)
