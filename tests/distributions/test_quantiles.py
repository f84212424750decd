import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reparam_jax.distributions._quantiles import quantile


# Places of all sizes and both signs, each found to the very float.
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_first_float_that_reaches_a_probability_is_found(dtype):
    with jax.enable_x64(dtype == np.float64):
        places = np.array([-3e30, -1.5, -2e-30, 1e-37, 1.0, 0.3, 7e20], dtype)

        def cdf(x):
            return jnp.where(x >= places, 0.75, 0.25).astype(dtype)

        largest = np.finfo(dtype).max
        found = quantile(cdf, jnp.full(7, 0.5, dtype), -largest, largest)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, places)


def test_bounds_hold_and_nothing_is_differentiated():
    def place(probability):
        return quantile(lambda x: x, probability, 0.0, 1.0)

    found, slope = jax.jvp(place, (jnp.array([0.25, 2.0]),), (jnp.ones(2),))
    np.testing.assert_array_equal(found, [0.25, 1.0])
    np.testing.assert_array_equal(slope, [0.0, 0.0])
