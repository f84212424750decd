import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from reparam_jax.special import _gamma_float64


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def slope(a, z):
    a, z = jnp.float64(a), jnp.float64(z)
    log_ratio = jnp.log(z / _gamma_float64.lifted(a))
    return float(_gamma_float64.log_slope(a, z, z - a, log_ratio))


@pytest.mark.parametrize("a", [1e-3, 0.2, 3.0, 50.0, 1e4])
def test_both_sides_meet(a):
    z = a + 0.56
    below, above = slope(a, z * (1 - 1e-15)), slope(a, z * (1 + 1e-15))
    assert abs(below / above - 1) < 1e-13


@pytest.mark.parametrize("z", [1e-3, 5.0, 9.9, 11.0, 40.0])
def test_lifted_and_others_meet(z):
    below, above = slope(10 - 1e-14, z), slope(10 + 1e-14, z)
    assert abs(below / above - 1) < 2e-14


def test_the_slope_obeys_its_recurrence_and_its_differential_equation():
    generator = np.random.default_rng(0)
    a = 10 ** generator.uniform(-2, 1.5, 50)
    z = a * np.exp(generator.normal(0, 0.5, 50))
    compute = jax.jit(
        lambda a, log_z: _gamma_float64.log_slope(
            a,
            jnp.exp(log_z),
            jnp.exp(log_z) - a,
            log_z - jnp.log(_gamma_float64.lifted(a)),
        )
    )
    log_z = np.log(z)
    here, above = compute(a, log_z), compute(a + 1, log_z)
    # a h(a) = psi(a + 1) - log z + z h(a + 1)
    rest = jax.scipy.special.digamma(a + 1) - log_z
    scale = np.abs(rest) + z * above
    assert np.max(np.abs(a * here - rest - z * above) / scale) < 2e-14
    # dh / d log z = psi(a) - log z - (a - z) h
    ones = np.ones_like(log_z)
    slopes = jax.jit(lambda *x: jax.jvp(lambda x: compute(a, x), *x))((log_z,), (ones,))
    slopes = slopes[1]
    rest = rest - 1 / a
    scale = np.abs(rest) + np.abs((a - z) * here) + np.abs(slopes)
    assert np.max(np.abs(slopes - rest + (a - z) * here) / scale) < 1e-13


def test_convex_keeps_its_relative_accuracy():
    s = np.float64([-40.0, -0.71, -0.69, -1e-3, -1e-8, 1e-12, 0.1, 0.69, 0.71, 3.0])
    with mpmath.workdps(50):
        exact = [mpmath.mpf(x) for x in s.tolist()]
        expected = [float(mpmath.expm1(x) - x) for x in exact]
    np.testing.assert_allclose(_gamma_float64.convex(s), expected, rtol=2e-15)
