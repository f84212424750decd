"""Tests of ``experiments._discrete_model``."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments._discrete_model import DiscreteVae

pytestmark = pytest.mark.slow


def make(**changes):
    options = {
        "latent": "categorical",
        "latents": 2,
        "num_classes": 3,
        "network": "dense",
        "width": 5,
    }
    return DiscreteVae(4, **(options | changes), rngs=nnx.Rngs(0))


@pytest.mark.parametrize("network", ["linear", "dense"])
def test_indices_and_one_hot_categories_are_the_same_code(network):
    vae = make(network=network)
    images = jnp.asarray(np.random.default_rng(0).integers(2, size=(5, 4, 4, 1)) * 1.0)
    codes = jnp.array([[0, 1], [2, 2], [1, 0], [0, 0], [1, 2]])
    by_index = vae.log_likelihood(codes, images)
    one_hot = jax.nn.one_hot(codes, 3)
    np.testing.assert_allclose(vae.log_likelihood(one_hot, images), by_index, rtol=1e-6)
    decode = vae.decoder
    logits = np.asarray(decode(one_hot.reshape(5, 6)), np.float64).reshape(5, 16)
    pixels = np.asarray(images).reshape(5, 16)
    expected = (pixels * logits - np.logaddexp(0, logits)).sum(1)
    np.testing.assert_allclose(by_index, expected, rtol=1e-5)
    assert len(set(by_index.tolist())) == 5


@pytest.mark.parametrize("latent", ["bernoulli", "categorical"])
def test_guide_and_prior_have_the_codes_of_one_image_as_their_event(latent):
    vae = make(latent=latent)
    vae.prior_logits[...] = (
        jnp.arange(vae.prior_logits[...].size).reshape(vae.logits_shape) / 3
    )
    guide, prior = vae.guide(jnp.ones((7, 4, 4, 1))), vae.prior()
    assert (guide.batch_shape, guide.event_shape) == ((7,), (2,))
    assert (prior.batch_shape, prior.event_shape) == ((), (2,))
    code = jnp.array([1, 0])
    logits = np.arange(vae.prior_logits[...].size).reshape(vae.logits_shape) / 3
    if latent == "bernoulli":
        expected = logits[0] - np.logaddexp(0, logits).sum()
    else:
        expected = logits[0, 1] + logits[1, 0] - np.log(np.exp(logits).sum(1)).sum()
    np.testing.assert_allclose(prior.log_prob(code), expected, rtol=1e-5)
