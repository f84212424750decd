import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reparam_jax.special import beta_pathwise_grad, log_beta_pathwise_grad
from reparam_jax.special._log_beta import log1mexp, log_beta_slopes

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow

# Of float32 numbers; the tail without a change of sign, integrated by mpmath.quad over
# the logit of t to 32 digits. The first rows are extreme.
REFERENCE = pathlib.Path(__file__).parent / "reference" / "log_beta.csv"
TABLE = np.genfromtxt(REFERENCE, delimiter=",", names=True)


def point(dtype, rows=slice(None)):
    return [jnp.asarray(TABLE[k][rows].astype(dtype)) for k in ("a", "b", "log_x")]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slopes_against_mpmath(dtype):
    bound = 8e-6 if dtype == np.float32 else 1e-12
    with jax.enable_x64(dtype == np.float64):
        found = log_beta_pathwise_grad(*point(dtype))
        for slope, name in zip(found, ("dlogx_da", "dlogx_db"), strict=True):
            assert slope.dtype == dtype
            truth = TABLE[name]
            held = np.abs(truth) >= np.finfo(dtype).tiny
            assert np.mean(held) > 0.98
            slope = np.asarray(slope, float)[held]
            np.testing.assert_allclose(slope, truth[held], rtol=bound)


def test_slopes_of_the_draw_itself():
    a, b = jnp.float32([0.02, 3.0, 500.0]), jnp.float32([0.7, 40.0, 1000.0])
    log_x = jnp.float32([-30.0, -2.0, -1.0])
    x = jnp.exp(log_x)
    for of_log, of_x in zip(
        log_beta_pathwise_grad(a, b, log_x), beta_pathwise_grad(a, b, x), strict=True
    ):
        np.testing.assert_allclose(of_log, of_x / x, rtol=1e-5)


def test_derivatives_by_way_of_both_logs():
    """The tangent of log(1 - x) is the caller's, or follows from that of log(x)."""
    rows = slice(12, None, 25)

    def kernel(a, b, log_x, log_y):
        return jnp.stack(log_beta_slopes(a, b, log_x, log_y))

    with jax.enable_x64(True):
        a, b, log_x = point(np.float64, rows)
        log_y = log1mexp(log_x)
        zero, one = jnp.zeros_like(a), jnp.ones_like(a)
        log_y_dot = jnp.exp(log_x) / jnp.expm1(log_x)
        tangents = zero, zero, one, log_y_dot
        whole = jax.jit(lambda *v: jax.jvp(kernel, v, tangents)[1])(a, b, log_x, log_y)

        def public(log_x):
            return jnp.stack(log_beta_pathwise_grad(a, b, log_x))

        chained = jax.jit(lambda v: jax.jvp(public, (v,), (one,))[1])(log_x)
        reverse = jax.jit(jax.grad(lambda v: jnp.sum(public(v))))(log_x)
        whole, chained, reverse = map(np.asarray, (whole, chained, reverse))
    np.testing.assert_allclose(whole, chained, rtol=1e-10)
    np.testing.assert_allclose(reverse, np.sum(chained, 0), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_second_derivatives_against_those_of_the_draw(dtype):
    """Of z = log x along its path, from the reference's x: z'' = x''/x - z'^2."""
    table = np.genfromtxt(REFERENCE.parent / "beta.csv", delimiter=",", names=True)
    x = table["x"]
    table = table[(np.maximum(table["a"], table["b"]) <= 1e4) & (x > 1e-25) & (x < 0.5)]
    with jax.enable_x64(dtype == np.float64):
        a, b = (jnp.asarray(table[k].astype(dtype)) for k in "ab")
        log_x = jnp.asarray(np.log(table["x"]).astype(dtype))
        zero, one = jnp.zeros_like(a), jnp.ones_like(a)
        call = jax.jit(lambda *v: jax.jvp(log_beta_pathwise_grad, v[:3], v[3:]))
        (slope, _), (own, _) = call(a, b, log_x, one, zero, zero)
        moved = call(a, b, log_x, zero, zero, one)[1][0] * slope
    own, moved = np.asarray(own, float), np.asarray(moved, float)
    truth = table["d2x_da2"] / table["x"] - (table["dx_da"] / table["x"]) ** 2
    scale = np.maximum(np.abs(truth), np.abs(moved))
    error = np.abs(own + moved - truth) / scale
    assert np.max(error) < (1e-4 if dtype == np.float32 else 1e-10)


def test_outside_the_domain_slopes_and_their_derivatives_are_nan():
    a = np.float32([1, -1, 1, 1, 1, 2])
    log_x = np.float32([-1, -1, 0, 0.5, -np.inf, -3])
    bad = np.array([0, 1, 1, 1, 1, 0], bool)

    def total(a, log_x):
        return sum(map(jnp.sum, log_beta_pathwise_grad(a, np.float32(2), log_x)))

    for slope in log_beta_pathwise_grad(a, np.float32(2), log_x):
        np.testing.assert_array_equal(np.isnan(slope), bad)
    for derivative in jax.jit(jax.grad(total, (0, 1)))(a, log_x):
        np.testing.assert_array_equal(np.isnan(derivative), bad)


def test_log_of_one_less():
    logs = -(10.0 ** np.linspace(-30, 3, 100))
    near = logs > -1
    truth = np.concatenate(
        [np.log1p(-np.exp(logs[~near])), np.log(-np.expm1(logs[near]))]
    )
    mine = np.concatenate(
        [log1mexp(jnp.asarray(v, np.float32)) for v in (logs[~near], logs[near])]
    )
    large = np.abs(truth) > 1e-30
    np.testing.assert_allclose(mine.astype(float)[large], truth[large], rtol=2e-5)
