import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj
from reparam_jax.special import beta_pathwise_grad

# Of float32 numbers, so that both precisions see the same point: implicit derivatives
# of the regularised incomplete beta function, and total second derivatives along the
# draw's path, computed to 40 digits by mpmath.
REFERENCE = pathlib.Path(__file__).parent / "reference" / "beta.csv"
TABLE = np.genfromtxt(REFERENCE, delimiter=",", names=True)
DTYPES = [np.float32, np.float64]
BOUND = {np.float32: 8e-6, np.float64: 1e-12}
SECOND_BOUND = {np.float32: 1e-4, np.float64: 1e-11}
# Concentrations under 1e3, where float32 keeps most digits of every derivative.
FEW = np.flatnonzero(np.maximum(TABLE["a"], TABLE["b"]) < 1e3)[::25]


def point(dtype, rows=slice(None)):
    return [jnp.asarray(TABLE[name][rows].astype(dtype)) for name in "abx"]


def sums(*args):
    in_a, in_b = beta_pathwise_grad(*args)
    return jnp.sum(in_a) - 3 * jnp.sum(in_b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_slopes_against_mpmath(dtype):
    with jax.enable_x64(dtype == np.float64):
        found = beta_pathwise_grad(*point(dtype))
        for slope, name in zip(found, ("dx_da", "dx_db"), strict=True):
            assert slope.dtype == dtype
            slope = np.asarray(slope, float)
            np.testing.assert_allclose(slope, TABLE[name], rtol=BOUND[dtype])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_total_second_derivatives_against_mpmath(dtype):
    # dz/da twice along the path: the slope's own derivative, and what the draw's
    # movement adds. Where they nearly cancel, measured against the second.
    rows = (np.maximum(TABLE["a"], TABLE["b"]) <= 1e4) & (TABLE["x"] > 1e-25)
    with jax.enable_x64(dtype == np.float64):
        args = point(dtype, rows)
        one, zero = jnp.ones_like(args[0]), jnp.zeros_like(args[0])

        @jax.jit
        def partials(*args):
            units = ((one, zero, zero), (zero, one, zero), (zero, zero, one))
            along = [jax.jvp(beta_pathwise_grad, args, unit)[1] for unit in units]
            return beta_pathwise_grad(*args), along

        slopes, ((aa, _), (ab, bb), (xa, xb)) = jax.tree.map(
            lambda v: np.asarray(v, float), partials(*args)
        )
    for name, own, moved in (
        ("d2x_da2", aa, xa * slopes[0]),
        ("d2x_dadb", ab, xa * slopes[1]),
        ("d2x_db2", bb, xb * slopes[1]),
    ):
        truth = TABLE[name][rows]
        scale = np.maximum(np.abs(truth), np.abs(moved))
        assert np.max(np.abs(own + moved - truth) / scale) < SECOND_BOUND[dtype], name


@pytest.mark.slow  # programs of second derivatives
def test_every_mode_gives_the_same_derivatives():
    args = point(np.float32, FEW)
    reference = jax.jit(jax.jacfwd(sums, (0, 1, 2)))(*args)
    reverse = jax.jit(jax.grad(sums, (0, 1, 2)))(*args)
    for mine, true in zip(reverse, reference, strict=True):
        np.testing.assert_allclose(mine, true, rtol=2e-5)
    # Each element depends on its own arguments only, so sums of rows are diagonals.
    forward, reverse = (
        jax.jit(d(lambda *v, d=d: jnp.sum(d(sums)(*v))))(*args)
        for d in (jax.jacfwd, jax.grad)
    )
    assert np.all(np.isfinite(forward))
    np.testing.assert_allclose(reverse, forward, rtol=2e-5)


def test_swapped_concentrations_mirror_the_draw():
    a, b = jnp.float32([0.01, 3.0, 2e4]), jnp.float32([0.5, 700.0, 1e4])
    x = jnp.float32([0.25, 0.0078125, 0.671875])  # 1 - x is exact
    in_a, in_b = beta_pathwise_grad(a, b, x)
    in_b_mirrored, in_a_mirrored = beta_pathwise_grad(b, a, 1 - x)
    np.testing.assert_allclose(in_a, -in_a_mirrored, rtol=1e-6)
    np.testing.assert_allclose(in_b, -in_b_mirrored, rtol=1e-6)


@pytest.mark.slow
def test_outside_the_domain_slopes_and_their_derivatives_are_nan():
    a = np.float32([1, -1, 1, 1, 0, np.nan, np.inf, 2])
    b = np.float32([1, 1, 1, 1, 1, 1, 1, 3])
    x = np.float32([0.5, 0.5, 0, 1, 0.5, 0.5, 0.5, 0.25])
    bad = np.array([0, 1, 1, 1, 1, 1, 1, 0], bool)
    for slope in beta_pathwise_grad(a, b, x):
        np.testing.assert_array_equal(np.isnan(slope), bad)
    for derivative in jax.jit(jax.grad(sums, (0, 1, 2)))(a, b, x):
        np.testing.assert_array_equal(np.isnan(derivative), bad)


def test_vmap():
    args = point(np.float32, FEW)
    mapped = jax.jit(jax.vmap(beta_pathwise_grad))(*args)
    for mine, true in zip(mapped, beta_pathwise_grad(*args), strict=True):
        np.testing.assert_allclose(mine, true, rtol=1e-6)


def test_the_public_name():
    assert rj.special.beta_pathwise_grad is beta_pathwise_grad
