"""A variational autoencoder of black and white images with a discrete latent."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from flax import nnx

from ._networks import DenseDecoder, DenseEncoder

Latent = Literal["bernoulli", "categorical"]
Network = Literal["linear", "dense"]


class DiscreteVae(nnx.Module):
    """Encoder, decoder and learned prior of a latent of bits or of categories.

    Args:
      image_size: height and width of the images.
      latent: the law of one variable of the latent.
      latents: how many variables.
      num_classes: outcomes of one categorical variable.
      network: one linear map each way, or one hidden layer between.
      width: of the hidden layer.
      rngs: an ``nnx.Rngs`` for the initial parameters.
    """

    def __init__(
        self,
        image_size: int,
        *,
        latent: Latent,
        latents: int,
        num_classes: int,
        network: Network,
        width: int,
        rngs: nnx.Rngs,
    ):
        self.latent: Latent = latent
        self.logits_shape = (
            (latents,) if latent == "bernoulli" else (latents, num_classes)
        )
        num_logits = latents if latent == "bernoulli" else latents * num_classes
        if network == "linear":
            small = nnx.initializers.normal(0.05)
            pixels = image_size**2
            self.encoder = nnx.Linear(pixels, num_logits, kernel_init=small, rngs=rngs)
            self.decoder = nnx.Linear(num_logits, pixels, kernel_init=small, rngs=rngs)
        else:
            self.encoder = DenseEncoder(image_size, num_logits, width=width, rngs=rngs)
            self.decoder = DenseDecoder(image_size, num_logits, width=width, rngs=rngs)
        self.prior_logits = nnx.Param(jnp.zeros(self.logits_shape))

    def guide(self, images: jax.Array) -> dist.Distribution:
        """Gives the law of the latent of each image (batch, height, width, 1)."""
        if isinstance(self.encoder, nnx.Linear):
            images = images.reshape(len(images), -1)
        return self._law(self.encoder(images).reshape(-1, *self.logits_shape))

    def prior(self) -> dist.Distribution:
        """Gives the law of the latent before an image is seen."""
        return self._law(self.prior_logits[...])

    def log_likelihood(self, codes: jax.Array, images: jax.Array) -> jax.Array:
        """Gives the log-probability of each image, in nats.

        Args:
          codes: the latent of each image, of shape (batch, latents): bits, relaxed
            ones, or indices of categories; one-hot and relaxed categories have the
            shape (batch, latents, num_classes).
          images: pixels of 0 and 1, of shape (batch, height, width, 1).

        Returns:
          An array of shape (batch,).
        """
        if self.latent == "categorical" and codes.ndim == 2:
            codes = jax.nn.one_hot(codes, self.logits_shape[-1], dtype=images.dtype)
        flat = codes.reshape(len(codes), -1).astype(images.dtype)
        logits = self.decoder(flat).reshape(images.shape)
        return jnp.asarray(_bits(logits, event_dim=3).log_prob(images))

    def _law(self, logits):
        if self.latent == "bernoulli":
            return _bits(logits, event_dim=1)
        return dist.Independent(dist.CategoricalLogits(logits), 1)


def _bits(logits, *, event_dim):
    return dist.Independent(dist.BernoulliLogits(logits), event_dim)
