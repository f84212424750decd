import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from reparam_jax.special._mills import mills

POINTS = np.concatenate([[0], np.geomspace(1e-4, 1e7, 100), np.linspace(0.1, 9, 50)])


def exact(x):
    """R, Q, and the derivative of Q, each from its own integral."""
    if x > 100:  # the integrals, term by term in 1 / x
        moments = [(-1) ** k * mpmath.fac2(2 * k - 1) for k in range(12)]
        ratio = mpmath.fsum(c / x ** (2 * k + 1) for k, c in enumerate(moments))
        terms = ((2 * k + 1) * c / x ** (2 * k + 2) for k, c in enumerate(moments))
        rest = mpmath.fsum(terms)
    else:
        tail = mpmath.erfc(x / mpmath.sqrt(2)) * mpmath.exp(x * x / 2)
        ratio = mpmath.sqrt(mpmath.pi / 2) * tail
        rest = 1 - x * ratio
    return ratio, rest, x * rest - ratio


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ratio_complement_and_slope_against_mpmath(dtype):
    x = POINTS.astype(dtype)
    with jax.enable_x64(dtype == np.float64), mpmath.workdps(60):
        ratio, rest = mills(jnp.asarray(x))
        assert ratio.dtype == rest.dtype == dtype
        _, (_, slope) = jax.jvp(mills, (jnp.asarray(x),), (jnp.ones_like(x),))
        found = jax.device_get((ratio, rest, slope))
        truth = [exact(mpmath.mpf(float(point))) for point in x]
        # Times the condition of x -> 1 / x^2 and of its slope.
        for values, exacts, ulps in zip(
            found, zip(*truth, strict=True), (3, 5, 60), strict=True
        ):
            for value, wanted in zip(values, exacts, strict=True):
                error = abs(mpmath.mpf(float(value)) / wanted - 1)
                assert error < ulps * np.finfo(dtype).eps
