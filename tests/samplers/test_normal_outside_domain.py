"""Traced parameters outside their domain: NaN there, in values and gradients."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj

SHAPE = (3, 4)
NAN_AT = (1, 2)
IS_BAD = np.zeros(SHAPE, bool)
IS_BAD[NAN_AT] = True
BAD_VALUES = {
    "mean": [np.nan, np.inf, -np.inf],
    "var": [-1.0, -1e-30, np.nan, np.inf, -np.inf],
    "std": [-1.0, np.nan, np.inf],
    "log_var": [np.nan, np.inf, 400.0],
}
CASES = [(name, value) for name, values in BAD_VALUES.items() for value in values]
ONES = np.ones(SHAPE, np.float32)


def key():
    return jax.random.key(29)


def parameters(name, value, at=NAN_AT):
    """Good parameters, and the same with one bad element."""
    good = {"mean": 2 * ONES, "var" if name == "mean" else name: 0.7 * ONES}
    bad = {key: array.copy() for key, array in good.items()}
    bad[name][at] = value
    return good, bad


def weighted(draw):
    weights = jnp.arange(1.0, 13.0).reshape(SHAPE)
    return jnp.sum(weights * draw)


def draw(parameters):
    return rj.normal(key(), **parameters)


@jax.jit
def value_and_derivatives(parameters):
    tangents = jax.tree.map(jnp.ones_like, parameters)
    value, tangent = jax.jvp(draw, (parameters,), (tangents,))
    return value, tangent, jax.grad(lambda p: weighted(draw(p)))(parameters)


@jax.jit
def masked_gradients(parameters):
    keep = jnp.asarray(~IS_BAD)

    def by_where(parameters):
        return weighted(jnp.where(keep, draw(parameters), 0.0))

    def by_product(parameters):
        return weighted(keep * draw(parameters))

    return jax.grad(by_where)(parameters), jax.grad(by_product)(parameters)


def forward(function):
    """The derivative of an elementwise function, elementwise."""
    return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]


def reverse(function):
    return lambda x: jax.vjp(function, x)[1](jnp.ones_like(x))[0]


def bad_exactly_where(is_bad, actual, good):
    """NaN at the bad elements, and bit for bit the good result at the others."""
    actual, good = np.asarray(actual, np.float32), np.asarray(good, np.float32)
    np.testing.assert_array_equal(np.isnan(actual), is_bad)
    np.testing.assert_array_equal(actual, np.where(is_bad, np.nan, good))


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_bad_element_is_nan_in_value_tangent_and_every_gradient(name, value):
    good, bad = (value_and_derivatives(p) for p in parameters(name, value))
    for actual, expected in zip(
        jax.tree.leaves(bad), jax.tree.leaves(good), strict=True
    ):
        bad_exactly_where(IS_BAD, actual, expected)


@pytest.mark.parametrize(("name", "value"), CASES)
def test_masking_the_draw_does_not_clean_the_gradient(name, value):
    good, bad = (masked_gradients(p) for p in parameters(name, value))
    for actual, expected in zip(
        jax.tree.leaves(bad), jax.tree.leaves(good), strict=True
    ):
        bad_exactly_where(IS_BAD, actual, expected)


@pytest.mark.parametrize("name", ["var", "std", "log_var"])
def test_a_parameter_broadcast_over_a_bad_element_has_a_nan_gradient(name):
    @jax.jit
    def slopes(scalar, row, bad):
        def loss(scalar, row, bad):
            keep = jnp.asarray(~IS_BAD)
            mean = rj.normal(key(), scalar, **{name: bad})
            other = rj.normal(key(), row, **{name: bad})
            return weighted(jnp.where(keep, mean + other, 0.0))

        def forward(scalar):
            return rj.normal(key(), scalar, **{name: bad})

        tangent = jax.jvp(forward, (scalar,), (1.0,))[1]
        return tangent, jax.grad(loss, argnums=(0, 1))(scalar, row, bad)

    _, bad = parameters(name, np.nan)
    tangent, (scalar, row) = slopes(2.0, jnp.ones((1, 4)), bad[name])
    bad_exactly_where(IS_BAD, tangent, ONES)
    assert np.isnan(scalar)
    # Each column of the weights 1..12 sums to 15, 18, 21, 24.
    bad_exactly_where(IS_BAD[1:2], row, [[15, 18, 21, 24]])


def test_a_scale_broadcast_over_a_bad_mean_has_a_nan_gradient():
    @jax.jit
    def slope(var, mean):
        def loss(var):
            return weighted(jnp.where(~IS_BAD, rj.normal(key(), mean, var), 0.0))

        return jax.grad(loss)(var)

    good, bad = parameters("mean", np.nan)
    assert np.isnan(slope(0.7, bad["mean"]))
    assert np.isfinite(slope(0.7, good["mean"]))


def test_the_gradient_for_given_noise_is_nan_too():
    def loss(noise, var):
        z = rj.normal_from_noise(noise, 2.0, var)
        return weighted(jnp.where(~IS_BAD, z, 0.0))

    _, bad = parameters("var", -1.0)
    slopes = jax.jit(jax.grad(loss))(ONES, bad["var"])
    weights = np.where(IS_BAD, 0, np.arange(1, 13).reshape(SHAPE))
    np.testing.assert_array_equal(np.isnan(slopes), IS_BAD)
    np.testing.assert_allclose(
        slopes[~IS_BAD], (weights * np.sqrt(0.7))[~IS_BAD], rtol=1e-6
    )


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_short_dtypes_are_nan_exactly_there_too(dtype):
    good, bad = (
        value_and_derivatives(jax.tree.map(lambda x: jnp.asarray(x, dtype), p))
        for p in parameters("var", -1.0)
    )
    for actual, expected in zip(
        jax.tree.leaves(bad), jax.tree.leaves(good), strict=True
    ):
        bad_exactly_where(IS_BAD, actual, expected)


@pytest.mark.parametrize("inner", [forward, reverse])
@pytest.mark.parametrize("outer", [forward, reverse])
def test_second_derivatives_for_a_bad_variance_are_nan_exactly_there(outer, inner):
    def draw(var):
        return rj.normal(key(), 2.0, var)

    curvature = jax.jit(outer(inner(draw)))
    good, bad = (curvature(p["var"]) for p in parameters("var", -1.0))
    bad_exactly_where(IS_BAD, bad, good)


def test_the_users_own_variances_are_nan_exactly_where_negative():
    mean, var = jax.random.normal(jax.random.key(1), (2, 1, 16, 30, 30))

    @jax.jit
    def value_and_slopes(mean, var):
        def energy(mean, var):
            z = rj.normal(key(), mean, var)
            return jnp.sum(z**2), z

        return jax.grad(energy, argnums=(0, 1), has_aux=True)(mean, var)

    slopes, z = value_and_slopes(mean, var)
    assert np.sum(var < 0) > 7000
    for result in (z, *slopes):
        np.testing.assert_array_equal(np.isnan(result), var < 0)
    good = value_and_slopes(mean, jnp.abs(var))
    for actual, expected in zip((z, *slopes), (good[1], *good[0]), strict=True):
        np.testing.assert_array_equal(actual[var > 0], expected[var > 0])


# Variance 0 is inside the domain.
@pytest.mark.parametrize("var", [0.0, -0.0, 1e-45, 1e-40, 1.1e-38])
def test_at_variance_zero_or_subnormal_the_draw_is_the_mean(var):
    parameters = {"mean": 2 * ONES, "var": np.full(SHAPE, var, np.float32)}
    value, tangent, slopes = value_and_derivatives(parameters)
    weights = np.arange(1, 13, dtype=np.float32).reshape(SHAPE)
    np.testing.assert_array_equal(value, parameters["mean"])
    np.testing.assert_array_equal(tangent, ONES)
    chex.assert_trees_all_equal(slopes, {"mean": weights, "var": 0 * weights})
    masked = np.where(IS_BAD, 0, weights)
    for slopes in masked_gradients(parameters):
        chex.assert_trees_all_equal(slopes, {"mean": masked, "var": 0 * masked})
    eager = rj.normal(key(), parameters["mean"], parameters["var"])
    np.testing.assert_array_equal(eager, parameters["mean"])


@pytest.mark.parametrize("var", [0.0, 1e-40])
def test_at_variance_zero_or_subnormal_the_hessian_is_zero(var):
    def draw(mean, var):
        return rj.normal(key(), mean, var)

    for nest in (jax.hessian, lambda *a, **k: jax.jacrev(jax.jacrev(*a, **k), **k)):
        hessian = nest(draw, argnums=(0, 1))(1.0, var)
        np.testing.assert_array_equal(jnp.asarray(hessian), np.zeros((2, 2)))


def test_at_std_zero_the_gradient_for_std_is_still_the_noise():
    def loss(std):
        return jnp.sum(rj.normal(key(), 2.0, std=std))

    std = np.zeros(SHAPE, np.float32)
    np.testing.assert_array_equal(
        jax.grad(loss)(std), np.asarray(jax.random.normal(key(), SHAPE))
    )
    np.testing.assert_array_equal(rj.normal(key(), 2.0, std=std), 2 * ONES)


def test_log_variances_up_to_170_are_finite_with_finite_gradients():
    log_var = np.linspace(-170, 170, 35).astype(np.float32)

    def draw(log_var):
        return rj.normal(key(), 0.0, log_var=log_var)

    noise = np.asarray(jax.random.normal(key(), log_var.shape), np.float64)
    std = np.exp(log_var.astype(np.float64) / 2)
    one = np.ones_like(log_var)
    for program in (lambda f: f, jax.jit):
        value, slope = program(lambda x: jax.jvp(draw, (x,), (one,)))(log_var)
        _, pullback = jax.vjp(program(draw), log_var)
        chex.assert_trees_all_close(value, np.float32(std * noise), rtol=1e-6)
        chex.assert_trees_all_close(slope, np.float32(std * noise / 2), rtol=1e-6)
        chex.assert_trees_all_close(pullback(one)[0], slope, rtol=1e-6)
