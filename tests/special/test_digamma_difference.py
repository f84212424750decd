import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from reparam_jax.special._digamma_difference import digamma_lag

rng = np.random.default_rng(0)
A, B = 10.0 ** rng.uniform(-3, 6, (2, 150)).astype(np.float32)
A[:6] = 1e-3, 1e6, 1e6, 1e-3, 1e6, 1
B[:6] = 1e6, 1e-3, 1e6, 1e-3, 1, 1e6


def lag(a, b):
    n = a + b
    pole = b / (a * n)
    return mpmath.digamma(n) - mpmath.digamma(a) - mpmath.log1p(b / a) - pole


def truth(function):
    with mpmath.workdps(60):
        pairs = [
            (mpmath.mpf(float(a)), mpmath.mpf(float(b)))
            for a, b in zip(A, B, strict=True)
        ]
        return np.array([float(function(*pair)) for pair in pairs])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_difference_and_slopes_against_mpmath(dtype):
    # All are measured against the pole that the callers add, and its slopes.
    with jax.enable_x64(dtype == np.float64):
        a, b = jnp.asarray(A.astype(dtype)), jnp.asarray(B.astype(dtype))
        value = np.asarray(jax.jit(digamma_lag)(a, b), float)
        slope = jax.grad(lambda a, b: jnp.sum(digamma_lag(a, b)), (0, 1))(a, b)
    a, b = A.astype(float), B.astype(float)
    pole = b / (a * (a + b))
    bound = 1e-6 if dtype == np.float32 else 2e-14
    assert np.max(np.abs(value - truth(lag)) / pole) < bound

    def in_a(a, b):
        return (
            mpmath.psi(1, a + b)
            - mpmath.psi(1, a)
            + b / (a * (a + b))
            + (b * (2 * a + b) / (a * (a + b)) ** 2)
        )

    def in_b(a, b):
        return mpmath.psi(1, a + b) - 1 / (a + b) - 1 / (a + b) ** 2

    pole_in_a = b * (2 * a + b) / (a * (a + b)) ** 2
    error = np.abs(np.asarray(slope[0], float) - truth(in_a)) / pole_in_a
    assert np.max(error) < 2 * bound
    error = np.abs(np.asarray(slope[1], float) - truth(in_b)) * (a + b)
    assert np.max(error) < 2 * bound
