"""The implicit derivative on its own: given draws, a law, and what it closes over."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

from reparam_jax.samplers._implicit import implicit

POINTS = np.float32([[-1.0, 0.3], [0.5, 2.0], [3.0, -0.7]])
SLOPE = np.float32(0.8)


def attached(slope):
    """Two normal coordinates, the second around ``slope`` times the first."""

    def law(z):
        first, second = z[..., 0], z[..., 1] - slope * z[..., 0]
        residuals = jnp.stack([first - slope, second], -1)
        return norm.cdf(residuals), norm.logpdf(residuals)

    return implicit(POINTS, law, event_ndim=1)


def explicit(slope):
    """The same draws, as a map of the noise that gives them at ``SLOPE``."""
    noise = POINTS[:, 0] - SLOPE, POINTS[:, 1] - SLOPE * POINTS[:, 0]
    first = slope + noise[0]
    return jnp.stack([first, slope * first + noise[1]], -1)


def test_the_value_is_the_draw_bit_for_bit():
    np.testing.assert_array_equal(attached(SLOPE), POINTS)
    np.testing.assert_array_equal(jax.jit(attached)(SLOPE), POINTS)


@pytest.mark.slow
def test_later_coordinates_follow_earlier_ones():
    for derive in (jax.jacfwd, jax.jacrev):
        found, expected = derive(attached)(SLOPE), derive(explicit)(SLOPE)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        second = jax.jit(jax.jacfwd(derive(attached)))(SLOPE)
        np.testing.assert_allclose(
            second, jax.jacfwd(derive(explicit))(SLOPE), rtol=1e-4, atol=1e-5
        )


def test_the_draw_itself_passes_no_derivative():
    def shifted(draw):
        return implicit(draw, lambda z: (norm.cdf(z), norm.logpdf(z)))

    slopes = jax.jacrev(shifted)(POINTS[:, 0])
    np.testing.assert_array_equal(slopes, np.zeros((3, 3)))
