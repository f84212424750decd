"""Mixtures of vectors and of several families, against `rj.mixture` called by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.scipy.special import ndtr
from jax.scipy.stats import norm

import reparam_jax as rj
from reparam_jax.distributions._paths import find_path

LOGITS = jnp.array([0.3, -0.5, 0.1])
LOC = jnp.array([[-1.0, 0.5], [2.0, 0.0], [0.3, -2.0]])
FACTOR = jnp.array([[1.0, 0.0], [0.6, 0.5]]) * jnp.array([1.0, 2.0, 0.7])[:, None, None]


def key():
    return jax.random.key(71)


def independent(logits, loc, factor):
    components = dist.Laplace(loc, factor[:, 0, 0][:, None]).to_event(1)
    return dist.MixtureSameFamily(dist.Categorical(logits=logits), components)


def independent_by_hand(k, logits, loc, factor, shape):
    loc, scale = loc[None], factor[:, 0, 0][None, :, None]

    def sample(k, shape):
        return rj.laplace(k, loc, scale, shape=shape)

    def cdf(z):
        return jax.scipy.stats.laplace.cdf(z, loc, scale)

    def logpdf(z):
        return jax.scipy.stats.laplace.logpdf(z, loc, scale)

    return rj.mixture(k, logits, sample, cdf, logpdf, event_ndim=1, shape=shape)


def normal(logits, loc, factor):
    components = dist.MultivariateNormal(loc, scale_tril=factor)
    return dist.MixtureSameFamily(dist.Categorical(logits=logits), components)


def normal_by_hand(k, logits, loc, factor, shape):
    def sample(k, shape):
        return rj.multivariate_normal(k, loc, scale_tril=factor, shape=shape)

    def noise(z):
        centred = z - loc[None]
        first = centred[..., 0] / factor[None, :, 0, 0]
        second = centred[..., 1] - factor[None, :, 1, 0] * first
        return jnp.stack([first, second / factor[None, :, 1, 1]], -1)

    def logpdf(z):
        scale = jnp.stack([factor[:, 0, 0], factor[:, 1, 1]], -1)
        return norm.logpdf(noise(z)) - jnp.log(scale)[None]

    return rj.mixture(
        k, logits, sample, lambda z: ndtr(noise(z)), logpdf, event_ndim=1, shape=shape
    )


@pytest.mark.parametrize(
    ("make", "by_hand"),
    [
        pytest.param(independent, independent_by_hand, marks=pytest.mark.slow),
        pytest.param(normal, normal_by_hand, marks=pytest.mark.slow),
    ],
)
def test_vectors_are_those_of_the_sampler(make, by_hand):
    parameters = LOGITS, LOC, FACTOR

    def ours(parameters):
        return rj.sample(key(), make(*parameters), (40,))

    def sampler(parameters):
        return by_hand(key(), *parameters, (40, 2))

    weights = jnp.sin(jnp.arange(80.0)).reshape(40, 2)

    @jax.jit
    def both(parameters):
        results = []
        for draw in (ours, sampler):
            draws, back = jax.vjp(draw, parameters)
            results.append((draws, back(weights)[0]))
        return results

    (draws, slopes), (expected, expected_slopes) = both(parameters)
    np.testing.assert_allclose(draws, expected, rtol=1e-6)
    for found, slope in zip(slopes, expected_slopes, strict=True):
        largest = np.abs(slope).max()
        np.testing.assert_allclose(found, slope, rtol=1e-4, atol=1e-5 * largest)


# That for logits l is the one for probabilities w times dw/dl.
@pytest.mark.slow
def test_gradients_reach_probabilities():
    loc = jnp.array([-1.0, 2.0, 0.5])

    def total(mixing):
        law = dist.MixtureSameFamily(mixing, dist.Normal(loc, 1.0))
        return jnp.sum(jnp.sin(rj.sample(key(), law, (30,))))

    @jax.jit
    def both(logits):
        probs = jax.nn.softmax(logits)
        by_logits = jax.grad(lambda x: total(dist.CategoricalLogits(x)))(logits)
        by_probs = jax.grad(lambda x: total(dist.CategoricalProbs(x)))(probs)
        return by_logits, jax.vjp(jax.nn.softmax, logits)[1](by_probs)[0]

    by_logits, by_probs = both(LOGITS)
    assert np.abs(by_logits).min() > 0.01
    np.testing.assert_allclose(by_probs, by_logits, rtol=1e-4)


@pytest.mark.slow
def test_one_component_is_that_component():
    def draw(loc):
        law = dist.MixtureSameFamily(
            dist.Categorical(logits=jnp.zeros(1)), dist.Normal(loc[None], 2.0)
        )
        return rj.sample(key(), law, (20,))

    _, slopes = jax.jvp(draw, (jnp.array(1.0),), (1.0,))
    np.testing.assert_allclose(slopes, 1.0, rtol=1e-6)


@pytest.mark.slow
def test_bad_weights_are_nan():
    def total(logits):
        law = dist.MixtureSameFamily(
            dist.CategoricalLogits(logits, validate_args=False), dist.Normal(LOC, 1.0)
        )
        draws = rj.sample(key(), law)
        return jnp.sum(draws), draws

    logits = jnp.array([[0.0, 1.0], [0.0, jnp.nan], [1.0, 2.0]])
    slopes, draws = jax.jit(jax.grad(total, has_aux=True))(logits)
    np.testing.assert_array_equal(np.isnan(draws), [False, True, False])
    assert np.isnan(slopes[1]).all()
    assert np.isfinite(slopes[0]).all()


# The base draw is the draw: gradients are those at any place that is put in.
def test_draws_can_be_put_in():
    places = jnp.array([-3.0, 0.0, 0.5, 4.0])

    def at(loc):
        law = dist.MixtureSameFamily(
            dist.Categorical(logits=LOGITS[:2]), dist.Normal(loc, 1.0)
        )
        return find_path(law).at(places)

    loc = jnp.array([-1.0, 2.0])
    along = jax.jit(lambda direction: jax.jvp(at, (loc,), (direction,)))
    draws, slopes = along(jnp.ones(2))
    np.testing.assert_array_equal(draws, places)
    np.testing.assert_allclose(slopes, 1.0, rtol=1e-5)
    _, slopes = along(jnp.array([1.0, 0.0]))
    weight = jax.nn.softmax(LOGITS[:2])
    parts = weight[None] * norm.pdf(places[:, None], loc[None])
    np.testing.assert_allclose(slopes, parts[:, 0] / parts.sum(1), rtol=1e-4)
