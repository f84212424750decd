import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reparam_jax.special._beta_point import point_of
from reparam_jax.special._beta_slopes import logit_slopes
from reparam_jax.special._beta_tail import SPLIT_BELOW

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow


@jax.jit
def slopes(a, b, x):
    return jnp.stack(logit_slopes(point_of(a, b, x)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_sides_of_the_split_agree(dtype):
    # Between neighbouring floats a slope moves by rounding only.
    bound = 6e-6 if dtype == np.float32 else 1e-12
    b = np.geomspace(1e-3, 1e6, 10)
    with jax.enable_x64(dtype == np.float64):
        for factor in (1e-3, 0.1, 0.5, 1.0):
            x = (factor * SPLIT_BELOW / (SPLIT_BELOW + b)).astype(dtype)
            below, above = (
                slopes(*(jnp.asarray(v, dtype) for v in (np.full(10, a), b, x)))
                for a in (np.nextafter(dtype(SPLIT_BELOW), dtype(0)), SPLIT_BELOW)
            )
            np.testing.assert_allclose(below, above, rtol=bound)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_tails_agree(dtype):
    # At the draw where the kernel changes from the lower tail to the upper.
    bound = 2e-5 if dtype == np.float32 else 1e-13
    a, b = (v.ravel() for v in np.meshgrid((1e-3, 0.1, 1, 9), (1e-3, 0.05, 1, 80)))
    with jax.enable_x64(dtype == np.float64):
        a, b = jnp.asarray(a, dtype), jnp.asarray(b, dtype)
        switch = (a + 0.5) / (a + b + 1)
        step = 4 * jnp.finfo(dtype).eps
        low, high = switch * (1 - step), switch * (1 + step)
        assert not np.any(point_of(a, b, low).upper)
        assert np.all(point_of(a, b, high).upper)
        below, above = slopes(a, b, low), slopes(a, b, high)
        np.testing.assert_allclose(below, above, rtol=bound)


def test_closed_forms():
    # Beta(a, 1): x = u^(1/a), so d logit x / da = -log(x) / (a (1 - x)).
    a = jnp.float32([1e-3, 0.1, 1.0, 3.0, 100.0, 1e6])
    x = jnp.float32([1e-30, 0.3, 0.5, 0.9, 0.99, 0.999999])
    in_a, _ = slopes(a, jnp.ones_like(a), x)
    concentration, draw = (np.asarray(v, float) for v in (a, x))
    expected = -np.log(draw) / (concentration * (1 - draw))
    np.testing.assert_allclose(in_a, expected, rtol=4e-6)
    _, in_b = slopes(jnp.ones_like(a)[1:], a[1:], 1 - x[1:])
    draw = np.asarray(1 - x[1:], float)
    expected = np.log1p(-draw) / (concentration[1:] * draw)
    np.testing.assert_allclose(in_b, expected, rtol=4e-6)
