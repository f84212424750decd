"""Tests of the laws in ``experiments._vae_latents``."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.special
import scipy.stats

import reparam_jax as rj
from experiments._vae_latents import (
    VonMisesFisher,
    center,
    make_guide,
    make_prior,
    num_outputs,
)

LATENTS = ("normal", "von_mises_fisher", "dirichlet")
CONCENTRATIONS = np.array([0.1, 2.0, 50.0, 2000.0, 1e4], np.float32)
DIMENSIONS = (2, 3, 8, 16)


def pole(dimension):
    return np.eye(dimension, dtype=np.float32)[1]


def draws_of_scipy(dimension, concentration):
    """The law, some of its draws, and some draws of the uniform one."""
    law = scipy.stats.vonmises_fisher(pole(dimension), concentration)
    near = law.rvs(4, random_state=np.random.default_rng(dimension))
    far = scipy.stats.uniform_direction(dimension).rvs(
        4, random_state=np.random.default_rng(dimension)
    )
    return law, np.concatenate([near, far]).astype(np.float32)


def mean_cosine(dimension, concentration):
    concentration = concentration.astype(np.float64)
    bessel = [
        scipy.special.ive(order, concentration)
        for order in (dimension / 2, dimension / 2 - 1)
    ]
    return bessel[0] / bessel[1]


# The log-density has a term of the size of the concentration, in float32.
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_density_is_that_of_scipy(dimension):
    laws, draws = zip(
        *(draws_of_scipy(dimension, k) for k in CONCENTRATIONS), strict=True
    )
    draws = np.stack(draws, 1)
    means = np.tile(pole(dimension), (len(CONCENTRATIONS), 1))
    law = VonMisesFisher(means, CONCENTRATIONS)
    with jax.numpy_rank_promotion("allow"):
        found = jax.jit(law.log_prob)(draws)
    exact = draws / np.linalg.norm(draws.astype(np.float64), axis=-1, keepdims=True)
    for place, (law, concentration) in enumerate(
        zip(laws, CONCENTRATIONS, strict=True)
    ):
        expected = law.logpdf(exact[:, place])
        atol = 2e-6 + 2.5e-7 * concentration
        np.testing.assert_allclose(found[:, place], expected, rtol=1e-6, atol=atol)


@pytest.mark.slow
def test_without_concentration_the_density_is_one_over_the_area():
    point = jnp.array([0.6, 0.0, 0.8])
    found = make_prior("von_mises_fisher", 3).log_prob(point)
    np.testing.assert_allclose(found, -np.log(4 * np.pi), rtol=1e-6)


# KL = E log q - log p with E x = A m, and d KL / dk = k A',
# A' = 1 - A^2 - (D - 1) A / k.
@pytest.mark.slow
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_divergence_from_uniform_and_its_slope(dimension):
    concentration = CONCENTRATIONS[:4]
    means = np.tile(pole(dimension), (4, 1))
    prior = make_prior("von_mises_fisher", dimension)

    @jax.jit
    def divergence(concentration):
        with jax.numpy_rank_promotion("allow"):
            return dist.kl_divergence(VonMisesFisher(means, concentration), prior)

    found, slopes = jax.jvp(
        divergence, (concentration,), (np.ones_like(concentration),)
    )
    cosine = mean_cosine(dimension, concentration)
    half = dimension / 2
    log_area = np.log(2) + half * np.log(np.pi) - scipy.special.gammaln(half)
    expected = [
        scipy.stats.vonmises_fisher(pole(dimension), k).logpdf(pole(dimension))
        + k * (a - 1)
        + log_area
        for k, a in zip(concentration.astype(np.float64), cosine, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    slope = 1 - cosine**2 - (dimension - 1) * cosine / concentration.astype(float)
    np.testing.assert_allclose(
        slopes, concentration * slope, rtol=3e-3 if dimension > 3 else 1e-3
    )


@pytest.mark.slow
def test_divergence_of_two_with_concentration_is_the_mean_log_ratio():
    p = VonMisesFisher(jnp.array([0.0, 0.6, 0.8]), 3.0)
    q = VonMisesFisher(jnp.array([1.0, 0.0, 0.0]), 2.0)
    draws = p.sample(jax.random.key(0), (4000,))
    with jax.numpy_rank_promotion("allow"):
        ratios = p.log_prob(draws) - q.log_prob(draws)
        divergence = dist.kl_divergence(p, q)
        assert float(dist.kl_divergence(p, p)) == pytest.approx(0, abs=1e-6)
    error = ratios.std() / len(draws) ** 0.5
    assert abs(ratios.mean() - divergence) < 5 * error < 0.2 * divergence


# A law that turns about an axis at right angles to its mean takes its draws along.
@pytest.mark.slow
def test_draws_turn_with_their_mean():
    mean, axis = jnp.array([0.6, 0.0, 0.8]), np.array([-0.8, 0.0, 0.6])

    def draw(mean):
        return rj.sample(jax.random.key(1), VonMisesFisher(mean, 2.0), (50,))

    turn = jnp.asarray(np.cross(axis, mean))
    draws, moved = jax.jit(lambda m: jax.jvp(draw, (m,), (turn,)))(mean)
    np.testing.assert_allclose(moved, np.cross(axis, draws), atol=2e-6)
    np.testing.assert_allclose(jnp.linalg.norm(draws, axis=1), 1, rtol=1e-6)


# Without its method `pathwise`, the law would have no path: then the sampler's own.
@pytest.mark.slow
@pytest.mark.parametrize("dimension", [2, 5])
def test_draws_move_with_the_concentration_as_those_of_the_sampler(dimension):
    mean = jnp.asarray(pole(dimension))

    def draw(concentration):
        law = VonMisesFisher(mean, concentration)
        return rj.sample(jax.random.key(2), law, (50,))

    def sampler(concentration):
        shape = (50, dimension)
        return rj.von_mises_fisher(jax.random.key(2), mean, concentration, shape=shape)

    found, expected = (jax.jvp(f, (7.0,), (1.0,)) for f in (draw, sampler))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_guides_are_made_of_the_outputs():
    outputs = np.linspace(-1, 2, 12, dtype=np.float32).reshape(2, 6)
    normal = make_guide("normal", outputs)
    np.testing.assert_array_equal(normal.mean, outputs[:, :3])
    np.testing.assert_allclose(normal.variance, np.exp(2 * outputs[:, 3:]), rtol=1e-6)
    sphere = make_guide("von_mises_fisher", outputs)
    np.testing.assert_allclose(
        sphere.mean_direction * np.linalg.norm(outputs[:, :5], axis=1, keepdims=True),
        outputs[:, :5],
        rtol=1e-5,
    )
    softplus = np.log1p(np.exp(outputs))
    np.testing.assert_allclose(sphere.concentration, 1 + softplus[:, 5], rtol=1e-6)
    simplex = make_guide("dirichlet", outputs)
    np.testing.assert_allclose(simplex.concentration, 0.3 + softplus, rtol=1e-6)
    expected = (0.3 + softplus) / (0.3 + softplus).sum(1, keepdims=True)
    np.testing.assert_allclose(center(simplex), expected, rtol=1e-6)
    np.testing.assert_array_equal(center(sphere), sphere.mean_direction)
    np.testing.assert_array_equal(center(normal), outputs[:, :3])


@pytest.mark.slow
@pytest.mark.parametrize("latent", LATENTS)
def test_prior_and_guide_are_laws_of_the_same_latent(latent):
    guide = make_guide(latent, np.ones((2, num_outputs(latent, 4)), np.float32))
    prior = make_prior(latent, 4)
    assert (guide.batch_shape, guide.event_shape) == ((2,), (4,))
    assert (prior.batch_shape, prior.event_shape) == ((), (4,))
    with jax.numpy_rank_promotion("allow"):
        divergences = rj.elbo(
            jax.random.key(0), lambda z: jnp.zeros(len(z)), guide, prior=prior
        )
    assert divergences.shape == (2,)
    assert np.all(divergences < 0)
