"""Tests of ``experiments._discrete_scores`` against sums over all outcomes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import special, stats

from experiments._discrete_estimators import make_estimator
from experiments._discrete_model import DiscreteVae
from experiments._discrete_scores import make_evaluate, make_look, make_variances

pytestmark = pytest.mark.slow

IMAGES = jnp.array([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]).reshape(2, 2, 2, 1)
OUTCOMES = np.array(list(itertools.product((0.0, 1.0), repeat=2)))


def make(name):
    return make_estimator(
        name,
        evaluations=1,
        logits_shape=(2,),
        num_pixels=4,
        temperature=0.5,
        learning_rate=0.01,
    )


@pytest.fixture(scope="module")
def model():
    """Two bits and four pixels, with weights of order 1."""
    vae = DiscreteVae(
        2,
        latent="bernoulli",
        latents=2,
        num_classes=2,
        network="linear",
        width=1,
        rngs=nnx.Rngs(0),
    )
    keys = jax.random.split(jax.random.key(0), 4)
    vae.encoder.kernel[...] = jax.random.normal(keys[0], (4, 2))
    vae.decoder.kernel[...] = jax.random.normal(keys[1], (2, 4))
    vae.decoder.bias[...] = jax.random.normal(keys[2], (4,))
    vae.prior_logits[...] = jax.random.normal(keys[3], (2,))
    return nnx.split(vae)


@pytest.fixture(scope="module")
def terms(model):
    """For each image and outcome: guide, prior and likelihood, in float64, by hand."""
    vae = nnx.merge(*model)
    pixels = np.asarray(IMAGES, np.float64).reshape(2, 4)

    def array(parameter):
        return np.asarray(parameter[...], np.float64)

    def log_prob(logits, bits):
        return (bits * logits - np.logaddexp(0, logits)).sum(-1)

    logits = pixels @ array(vae.encoder.kernel) + array(vae.encoder.bias)
    decoded = OUTCOMES @ array(vae.decoder.kernel) + array(vae.decoder.bias)
    return {
        "pixels": pixels,
        "means": special.expit(logits),
        "guide": log_prob(logits[:, None], OUTCOMES),
        "prior": log_prob(array(vae.prior_logits), OUTCOMES)[None],
        "likelihood": log_prob(decoded, pixels[:, None]),
    }


def exact_variance(terms):
    """Of the score-function gradient for the kernel and the bias of the encoder."""
    total = 0.0
    for image, pixels in enumerate(terms["pixels"]):
        inputs = np.append(pixels, 1.0)
        probs = np.exp(terms["guide"][image])
        scores = (OUTCOMES - terms["means"][image])[:, None] * inputs[:, None]
        estimates = terms["likelihood"][image][:, None, None] * scores
        mean = np.tensordot(probs, estimates, 1)
        total += probs @ ((estimates - mean) ** 2).sum((1, 2))
    return total / len(terms["pixels"]) ** 2


def test_variance_is_that_of_all_outcomes(model, terms, alpha):
    graphdef, params = model
    variances = make_variances(graphdef, make("score_function"), count=4000)
    values = np.asarray(variances(params, {}, IMAGES, jax.random.key(1)), np.float64)
    error = values.std(ddof=1) / np.sqrt(len(values))
    exact = exact_variance(terms)
    assert error < 0.03 * exact
    assert abs(values.mean() - exact) < stats.norm.isf(alpha / 2) * error


def test_scores_are_those_of_all_outcomes(model, terms, alpha):
    graphdef, params = model
    count = 5000
    scores = make_evaluate(graphdef, num_samples=count)(
        params, IMAGES, jax.random.key(2)
    )
    probs = np.exp(terms["guide"])
    log_weights = terms["likelihood"] + terms["prior"] - terms["guide"]
    weights = np.exp(log_weights)
    likelihood = (probs * weights).sum(1)
    relative = (probs * weights**2).sum(1) / likelihood**2 - 1
    # The divergence is exact: the bound's noise is that of the likelihood alone.
    mean = (probs * terms["likelihood"]).sum(1)
    spread = (probs * (terms["likelihood"] - mean[:, None]) ** 2).sum(1)
    limit = stats.norm.isf(alpha / 4)
    for score, exact, variances in (
        ("elbo", (probs * log_weights).sum(1), spread),
        ("log_likelihood", np.log(likelihood), relative),
    ):
        error = np.sqrt(variances.sum() / count) / len(exact)
        assert error < 0.05
        assert abs(float(scores[score]) - exact.mean()) < limit * error


def test_a_look_measures_each_at_its_own_and_at_the_first_ones_weights(model):
    graphdef, params = model
    # Without weights all codes cost the same: a pair of them has no noise.
    silent = jax.tree.map(jnp.zeros_like, params)
    estimators = {name: make(name) for name in ("disarm", "score_function")}
    look = make_look(graphdef, estimators, num_samples=3, pairs=4)
    states = {
        "disarm": {"params": silent, "own": {}},
        "score_function": {"params": params, "own": {}},
    }
    scores = look(states, IMAGES, IMAGES, jax.random.key(3), repeats=3)
    quiet, noisy = scores["disarm"], scores["score_function"]
    np.testing.assert_allclose(quiet["elbo"], -4 * np.log(2), rtol=1e-6)
    assert quiet["variance"] == quiet["common_variance"] == 0
    probe = make_variances(graphdef, estimators["score_function"], count=4)
    keys = jax.random.split(jax.random.key(3), 7)
    for place, weights, its_keys in (
        ("variance", params, keys[1:4]),
        ("common_variance", silent, keys[4:]),
    ):
        values = np.concatenate([probe(weights, {}, IMAGES, key) for key in its_keys])
        error = values.std(ddof=1) / np.sqrt(12)
        np.testing.assert_allclose(noisy[place], values.mean(), rtol=1e-6)
        np.testing.assert_allclose(noisy[f"{place}_error"], error, rtol=1e-5)
    assert noisy["variance"] != noisy["common_variance"] > 0
