"""Second and third derivatives, in every mix of modes."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj

SCALE = np.array([1e-3, 0.2, 1.0, 7.0, 1e3], np.float32)
MEAN = np.array([0.0, -1.0, 2.0, 1e3, 1e-3], np.float32)


def key():
    return jax.random.key(23)


def forward(function):
    """The derivative of an elementwise function, elementwise."""
    return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]


def reverse(function):
    return lambda x: jax.vjp(function, x)[1](jnp.ones_like(x))[0]


MODES = {"fwd": forward, "rev": reverse}


def nest(function, modes):
    for mode in reversed(modes.split("-over-")):
        function = MODES[mode](function)
    return function


def orders(order):
    return ["-over-".join(modes) for modes in itertools.product(MODES, repeat=order)]


def derivatives(name, scale, noise):
    """The closed forms of the first three derivatives."""
    scale, noise = scale.astype(np.float64), noise.astype(np.float64)
    if name == "var":
        powers = [(0.5, 0.5), (-0.25, 1.5), (0.375, 2.5)]
        return [factor * noise / scale**power for factor, power in powers]
    if name == "std":
        return [noise, 0 * noise, 0 * noise]
    return [noise * np.exp(scale / 2) / 2**order for order in (1, 2, 3)]


@pytest.mark.parametrize("modes", [*orders(2), *orders(3)])
def test_derivatives_of_the_variance_are_exact_to_third_order(modes):
    def draw(var):
        return rj.normal(key(), MEAN, var)

    noise = np.asarray(jax.random.normal(key(), SCALE.shape))
    order = len(modes.split("-over-"))
    expected = derivatives("var", SCALE, noise)[order - 1].astype(np.float32)
    actual = jax.jit(nest(draw, modes))(SCALE)
    chex.assert_trees_all_close(actual, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["var", "std", "log_var"])
def test_hessians_in_mean_scale_and_noise_are_exact(name):
    def draw(mean, scale, noise):
        return rj.normal_from_noise(noise, mean, **{name: scale})

    scale = np.log(SCALE) if name == "log_var" else SCALE
    noise = np.asarray(jax.random.normal(key(), SCALE.shape))
    hessian = jax.hessian(draw, argnums=(0, 1, 2))
    actual = jax.jit(jax.vmap(hessian))(MEAN, scale, noise)
    first, second, _ = derivatives(name, scale, noise)
    zero, mixed = np.zeros_like(first), first / noise
    expected = (
        (zero, zero, zero),
        (zero, second, mixed),
        (zero, mixed, zero),
    )
    expected = jax.tree.map(np.float32, expected)
    chex.assert_trees_all_close(actual, expected, rtol=1e-6)


def test_eager_nesting_equals_jit_bit_for_bit():
    def draw(var):
        return rj.normal(key(), MEAN, var)

    for modes in orders(2):
        nested = nest(draw, modes)
        np.testing.assert_array_equal(nested(SCALE), jax.jit(nested)(SCALE))


def test_a_hessian_vector_product_of_a_loss_is_exact():
    def loss(var):
        return jnp.sum(rj.normal(key(), 0.0, var) ** 4)

    # z^4 = v^2 noise^4, so the second derivative is 2 noise^4.
    noise = np.asarray(jax.random.normal(key(), SCALE.shape), np.float64)
    vector = np.array([1.0, -2.0, 3.0, 0.5, 4.0], np.float32)
    _, product = jax.jit(
        lambda var, vector: jax.jvp(jax.grad(loss), (var,), (vector,))
    )(SCALE, vector)
    np.testing.assert_allclose(product, 2 * noise**4 * vector, rtol=2e-5)
