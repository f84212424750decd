"""Pathwise gradients of expectations, by quadrature over the noise.

With given noise a draw is deterministic, so the mean and the variance of the one-sample
gradient are integrals. They are compared with closed forms; nothing is sampled.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)
WEIGHTS = WEIGHTS / np.sqrt(2 * np.pi)
SCALE_OF = {
    "std": lambda s: s,
    "var": lambda s: s**2,
    "log_var": lambda s: 2 * np.log(s),
}


def moments(cost, mean, std, name):
    """Mean and variance of the gradient of one draw, for the mean and the scale."""
    scale = SCALE_OF[name](std)

    def one_draw(mean, scale, noise):
        return cost(rj.normal_from_noise(noise, mean, **{name: scale}))

    gradient = jax.vmap(jax.grad(one_draw, argnums=(0, 1)), (None, None, 0))
    with jax.enable_x64(True):
        slopes = np.stack(jax.jit(gradient)(mean, scale, NODES))
    means = slopes @ WEIGHTS
    return means, slopes**2 @ WEIGHTS - means**2


# Means and variances of the pathwise gradients of E (z - 0.3)^2 at mean 1, std 0.5.
QUADRATIC = {
    "std": ((1.4, 1.0), (1.0, 3.96)),
    "var": ((1.4, 1.0), (1.0, 3.96)),
    "log_var": ((1.4, 0.25), (1.0, 0.2475)),
}


@pytest.mark.parametrize("name", QUADRATIC)
def test_quadratic(name):
    means, variances = moments(lambda z: (z - 0.3) ** 2, 1.0, 0.5, name)
    np.testing.assert_allclose(means, QUADRATIC[name][0], rtol=1e-9)
    np.testing.assert_allclose(variances, QUADRATIC[name][1], rtol=1e-9)


@pytest.mark.parametrize("var", [1e-2, 1e-4, 1e-8])
def test_the_gradient_for_a_small_variance_is_noisy_as_the_theory_says(var):
    # f = z^2 at mean 1: Var(g_std) = 4 m^2 + 8 v, and Var(g_var) = Var(g_std) / (4 v).
    expected = {"std": 4 + 8 * var, "var": 1 / var + 2, "log_var": var * (1 + 2 * var)}
    for name, variance in expected.items():
        _, actual = moments(lambda z: z**2, 1.0, np.sqrt(var), name)
        np.testing.assert_allclose(actual[1], variance, rtol=1e-6)


def test_exponential():
    mean, std = 0.2, 0.5
    value = np.exp(mean + std**2 / 2)
    means, variances = moments(jnp.exp, mean, std, "std")
    np.testing.assert_allclose(means, [value, std * value], rtol=1e-9)
    np.testing.assert_allclose(means, [1.38403065, 0.69201532], rtol=1e-8)
    np.testing.assert_allclose(variances, [0.54406228, 4.44032102], rtol=1e-8)


@pytest.mark.parametrize(
    ("frequency", "means", "variances"),
    [
        (0.5, (-0.21154578, -0.19361597), (0.03928465, 0.08751285)),
        (1.0, (-0.51037795, -0.32770991), (0.26767402, 0.30812719)),
    ],
)
def test_cosine(frequency, means, variances):
    actual = moments(lambda z: jnp.cos(frequency * z), 1.0, 1.0, "std")
    np.testing.assert_allclose(actual[0], means, atol=1e-8)
    np.testing.assert_allclose(actual[1], variances, atol=1e-8)


def test_bump():
    # f = exp(-0.1 z^2) at mean 1, std 1.
    means, variances = moments(lambda z: jnp.exp(-0.1 * z**2), 1.0, 1.0, "std")
    np.testing.assert_allclose(means, [-0.13998030, -0.11665025], atol=1e-8)
    np.testing.assert_allclose(variances, [0.01629020, 0.02776995], atol=1e-8)
