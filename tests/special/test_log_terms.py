import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from reparam_jax.special import _log_terms as terms

POINTS = [1e-6, -1e-6, 1e-3, 0.3, -0.3, 0.49, -0.49, 0.51, -0.6, 0.999, 1.01, 20.0]


def log_rising(a, n):
    return mp.loggamma(a + n) - mp.loggamma(a)


CASES = {
    "log1p_excess": (lambda u: mp.log(1 + u) - u, [(u,) for u in POINTS]),
    "expm1_excess": (lambda x: mp.exp(x) - 1 - x, [(x,) for x in POINTS]),
    "log_ratio_excess": (
        lambda x, y: mp.log(x / y) - (x / y - 1),
        [(2.5, 2.5000002), (1e-20, 3.0), (1.0, 1.4), (1.0, 40.0), (1e6, 1.001e6)],
    ),
    "log_rising": (
        log_rising,
        [(1.5, 2.0), (0.5, 3.0), (1e-3, 8.0), (1e6, 3.0), (3.0, 1e5), (500.0, 0.5)],
    ),
    "log_gamma_excess": (
        lambda x: mp.loggamma(x) - x * mp.log(x) + x,
        [(1e-3,), (1.5,), (15.5,), (16.5,), (1e6,)],
    ),
    "digamma_minus_log": (
        lambda x: mp.digamma(x) - mp.log(x),
        [(1e-3,), (1.5,), (5.5,), (6.5,), (30.0,), (1e6,)],
    ),
}


def exact(function, point):
    with mp.workdps(40):
        point = tuple(mp.mpf(float(np.float32(x))) for x in point)
        orders = [
            tuple(int(i == j) for i in range(len(point))) for j in range(len(point))
        ]
        values = [function(*point), *(mp.diff(function, point, o) for o in orders)]
        return np.array([float(value) for value in values])


@pytest.mark.parametrize(
    "x64",
    [pytest.param(False, marks=pytest.mark.slow), True],
    ids=["float32", "float64"],
)
@pytest.mark.parametrize("name", CASES)
def test_terms_and_their_slopes_are_precise(name, x64):
    function, points = CASES[name]
    with jax.enable_x64(x64):
        ours = jax.value_and_grad(getattr(terms, name), range(len(points[0])))
        columns = [np.asarray(c, np.float32) for c in zip(*points, strict=True)]
        columns = [jnp.asarray(c, jnp.float64 if x64 else jnp.float32) for c in columns]
        value, slopes = jax.jit(jax.vmap(ours))(*columns)
    got = np.stack([value, *slopes], -1).astype(np.float64)
    want = np.stack([exact(function, point) for point in points])
    # Relative to the result: what cancels in it does not lose digits.
    np.testing.assert_allclose(got, want, rtol=2e-13 if x64 else 5e-6)


def test_products_with_0_have_the_derivatives_of_their_limits():
    zero, one = jnp.zeros(()), jnp.ones(())
    for function, edge in ((terms.xlogy, zero), (terms.xlog1py, -one)):
        assert function(zero, edge) == 0
        assert jax.grad(function, 1)(zero, edge) == 0
        assert jax.grad(function, 0)(zero, edge) == -jnp.inf
        assert jax.jvp(lambda y, f=function: f(zero, y), (edge,), (one,))[1] == 0
    assert jax.grad(terms.xlogy, 0)(zero, 2 * one) == jnp.log(2.0)
    mixed = jax.grad(jax.grad(terms.xlogy, 0), 1)
    np.testing.assert_allclose(mixed(zero, 4 * one), 0.25, rtol=1e-6)
