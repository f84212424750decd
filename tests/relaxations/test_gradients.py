import jax
import jax.numpy as jnp
import numpy as np

from reparam_jax.relaxations._gradients import harden, with_gradient_of


def test_values_are_exact_and_all_derivatives_are_of_the_source():
    """0.1 + x - x is not 0.1 for large x."""
    x = jnp.float32(3e5)

    def function(x):
        return with_gradient_of(jnp.float32(0.1) + 0 * x, x**3)

    assert function(x) == np.float32(0.1)
    assert jax.grad(function)(x) == 3 * x**2
    assert jax.jvp(jax.grad(function), (x,), (jnp.ones_like(x),))[1] == 6 * x


def test_hard_values_are_nan_where_soft_ones_are():
    soft = jnp.array([0.4, jnp.nan, 0.6, jnp.nan])
    is_one = jnp.array([False, False, True, True])
    for program in (harden, jax.jit(harden)):
        np.testing.assert_array_equal(program(is_one, soft), [0, np.nan, 1, np.nan])
