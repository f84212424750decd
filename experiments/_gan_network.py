"""A GAN that tells its generator the class by the law of the noise alone."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

import reparam_jax as rj

from ._networks import DenseDecoder, DenseEncoder

LAW = ("mean", "log_var")


class Generator(nnx.Module):
    """Maps noise, normal with one mean and variance for each class, to images.

    Args:
      image_size: height and width of the images.
      mean: mean of the noise at the start, of shape (classes, latents); its variance
        starts at 1.
      width: of the hidden layer.
      rngs: an ``nnx.Rngs`` for the initial weights.
    """

    def __init__(self, image_size: int, mean: jax.Array, *, width: int, rngs: nnx.Rngs):
        self.mean = nnx.Param(mean)
        self.log_var = nnx.Param(jnp.zeros_like(mean))
        latents = mean.shape[-1]
        self.decoder = DenseDecoder(image_size, latents, width=width, rngs=rngs)

    def draw(
        self, labels: jax.Array, key: jax.Array, *, trained: tuple[str, ...] = LAW
    ) -> jax.Array:
        """Draws the noise (count, latents), whose gradient reaches ``trained``."""
        mean, log_var = self.mean[...][labels], self.log_var[...][labels]
        if "mean" not in trained:
            mean = jax.lax.stop_gradient(mean)
        if "log_var" not in trained:
            log_var = jax.lax.stop_gradient(log_var)
        return rj.normal(key, mean, log_var=log_var)

    def __call__(self, noise: jax.Array) -> jax.Array:
        """Maps noise (count, latents) to pixels in [0, 1], with one channel."""
        return nnx.sigmoid(self.decoder(noise))


class Discriminator(nnx.Module):
    """Tells real images of a class from generated ones, by a projection on the class.

    Args:
      image_size: height and width of the images.
      num_classes: how many classes the labels count.
      width: of the hidden layer.
      rngs: an ``nnx.Rngs`` for the initial weights.

    References:
      Miyato, Koyama. cGANs with projection discriminator. ICLR 2018.
      https://arxiv.org/abs/1802.05637
    """

    def __init__(
        self, image_size: int, num_classes: int, *, width: int, rngs: nnx.Rngs
    ):
        self.encoder = DenseEncoder(image_size, num_classes, width=width, rngs=rngs)

    def __call__(self, pixels: jax.Array, labels: jax.Array) -> jax.Array:
        """Maps images and their classes to the log-odds of being real, (count,)."""
        log_odds = self.encoder(pixels)
        return jnp.take_along_axis(log_odds, labels[:, None], axis=1)[:, 0]


class Graphs(NamedTuple):
    """The two networks without their weights."""

    generator: nnx.GraphDef
    discriminator: nnx.GraphDef


class Weights(NamedTuple):
    """The weights of both networks."""

    generator: Any
    discriminator: Any


@functools.partial(
    jax.jit, static_argnames=("image_size", "num_classes", "width", "latents", "codes")
)
def init_networks(
    key: jax.Array,
    *,
    image_size: int,
    num_classes: int,
    width: int,
    latents: int,
    codes: bool,
) -> tuple[Graphs, Weights]:
    """Splits a new generator and discriminator into graphs and weights.

    Args:
      key: sets the initial weights.
      image_size: see :class:`Generator`, as for the others.
      num_classes: as there.
      width: as there.
      latents: as there.
      codes: start the means of the noise at standard normal draws, not at 0.

    Returns:
      The graphs and the weights.
    """
    generator_key, discriminator_key, mean_key = jax.random.split(key, 3)
    shape = num_classes, latents
    mean = jax.random.normal(mean_key, shape) if codes else jnp.zeros(shape)
    generator = Generator(image_size, mean, width=width, rngs=nnx.Rngs(generator_key))
    discriminator = Discriminator(
        image_size, num_classes, width=width, rngs=nnx.Rngs(discriminator_key)
    )
    graphs, weights = zip(*map(nnx.split, (generator, discriminator)), strict=True)
    return Graphs(*graphs), Weights(*weights)


@functools.cache
def make_sampler(graphs: Graphs):
    """Makes the jitted sampler.

    Args:
      graphs: of both networks.

    Returns:
      ``sample(params, labels, key)``, the pixels a generator of weights ``params``
      makes of these classes.
    """

    @jax.jit
    def sample(params, labels, key):
        generator = nnx.merge(graphs.generator, params)
        return generator(generator.draw(labels, key))

    return sample
