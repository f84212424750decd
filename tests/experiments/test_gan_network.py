"""Tests of the networks and losses of ``experiments.gan``."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments._data import Images
from experiments._gan_network import (
    Discriminator,
    Generator,
    init_networks,
    make_sampler,
)
from experiments._gan_steps import discriminator_loss, generator_loss


@pytest.fixture
def networks():
    return init_networks(
        jax.random.key(0),
        image_size=4,
        num_classes=10,
        width=5,
        latents=3,
        codes=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("trained", [("mean", "log_var"), ("mean",), ()])
def test_latent_gradients_are_the_chain_rule(networks, trained):
    graphs, weights = networks
    params = nnx.State(dict(weights.generator))
    log_var = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    params["log_var"] = nnx.Param(jnp.asarray(log_var))
    discriminator = nnx.merge(graphs.discriminator, weights.discriminator)
    labels, key = jnp.array([0, 3, 3, 7]), jax.random.key(5)

    @jax.jit
    @jax.value_and_grad
    def loss(params, key):
        generator = nnx.merge(graphs.generator, params)
        return generator_loss(generator, discriminator, labels, key, trained=trained)

    @jax.jit
    @jax.value_and_grad
    def loss_of_noise(noise):
        fake = nnx.merge(graphs.generator, params)(noise)
        return jnp.log1p(jnp.exp(-discriminator(fake, labels))).mean()

    value, grads = loss(params, key)
    mean, std = np.asarray(params["mean"][...])[labels], np.exp(log_var / 2)[labels]
    noise = np.asarray(jax.random.normal(jax.random.clone(key), (4, 3)))
    expected_value, slopes = loss_of_noise(mean + std * noise)
    np.testing.assert_allclose(value, expected_value, rtol=1e-6)
    for name, factor in {"mean": 1.0, "log_var": std * noise / 2}.items():
        expected = np.zeros((10, 3), np.float32)
        if name in trained:
            np.add.at(expected, labels, slopes * factor)
        np.testing.assert_allclose(grads[name][...], expected, rtol=1e-4, atol=1e-9)


def test_discriminator_loss_of_a_quadratic():
    # D(x) = c |x|^2 + class: the penalty is gamma / 2 times 4 c^2 |x|^2.
    rng = np.random.default_rng(0)
    real, fake = rng.uniform(size=(2, 5, 4, 4, 1)).astype(np.float32)
    labels = np.arange(5, dtype=np.int32)

    def discriminator(pixels, labels):
        return 0.3 * (pixels**2).sum((1, 2, 3)) + labels

    loss = discriminator_loss(discriminator, Images(real, labels), fake, penalty=0.7)
    scores, fake_scores = discriminator(real, labels), discriminator(fake, labels)
    penalties = 0.35 * 4 * 0.09 * (real**2).sum((1, 2, 3))
    losses = np.log1p(np.exp(-scores)) + np.log1p(np.exp(fake_scores)) + penalties
    np.testing.assert_allclose(loss, losses.mean(), rtol=1e-5)


@pytest.mark.slow
def test_discriminator_takes_the_log_odds_of_the_class():
    discriminator = Discriminator(4, 3, width=5, rngs=nnx.Rngs(0))
    pixels = jnp.asarray(np.random.default_rng(0).uniform(size=(6, 4, 4, 1)))
    labels = jnp.array([0, 1, 2, 2, 1, 0])
    log_odds = np.asarray(discriminator.encoder(pixels))
    np.testing.assert_allclose(
        discriminator(pixels, labels), log_odds[np.arange(6), labels], rtol=1e-6
    )


@pytest.mark.slow
def test_the_sampler_draws_each_class_from_its_own_law(networks):
    graphs, weights = networks
    params = nnx.State(dict(weights.generator))
    # Without variance, the image of a class is that of its mean.
    mean = np.arange(30, dtype=np.float32).reshape(10, 3) / 10
    params["mean"] = nnx.Param(jnp.asarray(mean))
    params["log_var"] = nnx.Param(jnp.full((10, 3), -160.0))
    labels = np.array([4, 0, 9])
    pixels = make_sampler(graphs)(params, labels, jax.random.key(0))
    generator: Generator = nnx.merge(graphs.generator, params)
    expected = jax.nn.sigmoid(generator.decoder(jnp.asarray(mean[labels])))
    np.testing.assert_allclose(pixels, expected, rtol=1e-5)
