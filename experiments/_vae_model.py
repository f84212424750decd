"""The variational autoencoder of ``vae``: its network, its bounds, its programs."""

import functools
from typing import Literal

import chex
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import optax
from flax import nnx
from jax.sharding import Mesh

import reparam_jax as rj

from . import _devices
from ._networks import ConvDecoder, ConvEncoder, DenseDecoder, DenseEncoder
from ._vae_latents import Latent, center, make_guide, make_prior, num_outputs

Network = Literal["dense", "conv"]
Objective = Literal["elbo", "stl", "iwae", "dreg"]
NETWORKS = {
    "dense": (DenseEncoder, DenseDecoder),
    "conv": (ConvEncoder, ConvDecoder),
}


class Vae(nnx.Module):
    """Encodes an image as the law of its latent, and decodes latents.

    Args:
      image_size: height and width of the images.
      network: kind of the encoder and of the decoder.
      width: of both, see there.
      latent: family of the latent's law.
      latents: length of the latent.
      rngs: an ``nnx.Rngs`` for the initial parameters.
    """

    def __init__(
        self,
        image_size: int,
        *,
        network: Network,
        width: int,
        latent: Latent,
        latents: int,
        rngs: nnx.Rngs,
    ):
        make_encoder, make_decoder = NETWORKS[network]
        outputs = num_outputs(latent, latents)
        self.encoder = make_encoder(image_size, outputs, width=width, rngs=rngs)
        self.decoder = make_decoder(image_size, latents, width=width, rngs=rngs)
        self.latent: Latent = latent
        self.latents = latents

    def guide(self, pixels: jax.Array) -> dist.Distribution:
        """Returns the law of each image's latent."""
        return make_guide(self.latent, self.encoder(pixels))

    def prior(self) -> dist.Distribution:
        """Returns the prior of a latent."""
        return make_prior(self.latent, self.latents)

    def log_likelihood(self, latent: jax.Array, pixels: jax.Array) -> jax.Array:
        """Returns the log-probability of each black and white image, in nats."""
        terms = optax.sigmoid_binary_cross_entropy(self.decoder(latent), pixels)
        return -jnp.sum(terms, axis=(-3, -2, -1))


@functools.partial(
    jax.jit, static_argnames=("image_size", "network", "width", "latent", "latents")
)
def init_network(key: jax.Array, **options) -> tuple[nnx.GraphDef, nnx.State]:
    """Splits a new :class:`Vae` into its graph and its parameters.

    Args:
      key: sets the initial parameters.
      **options: those of :class:`Vae`.

    Returns:
      The graph definition and the parameters.
    """
    return nnx.split(Vae(**options, rngs=nnx.Rngs(key)))


def bound(
    key: jax.Array,
    vae: Vae,
    pixels: jax.Array,
    *,
    objective: Objective,
    num_samples: int,
) -> jax.Array:
    """Estimates what a training maximises.

    Args:
      key: one key.
      vae: the model and its guide.
      pixels: of shape (images, height, width, 1).
      objective: the evidence lower bound, with the whole pathwise gradient (``elbo``)
        or that of sticking the landing (``stl``), of one draw; or the
        importance-weighted bound, with the standard gradient (``iwae``) or the doubly
        reparameterised one (``dreg``).
      num_samples: draws of the importance-weighted bound.

    Returns:
      A bound for each image, in nats.
    """
    estimate = {
        "elbo": rj.elbo,
        "stl": functools.partial(rj.elbo, sticking_the_landing=True),
        "iwae": functools.partial(rj.iwae_bound, num_samples=num_samples),
        "dreg": functools.partial(
            rj.iwae_bound, num_samples=num_samples, gradient="dreg"
        ),
    }[objective]
    guide = vae.guide(pixels)
    bounds = estimate(key, vae.log_likelihood, guide, pixels, prior=vae.prior())
    chex.assert_shape(bounds, (len(pixels),))
    return bounds


@functools.cache
def make_train(
    graphdef: nnx.GraphDef,
    *,
    objective: Objective,
    num_samples: int,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    debug: bool = False,
):
    """Makes the jitted program of several training steps.

    Args:
      graphdef: of a :class:`Vae`.
      objective: see :func:`bound`.
      num_samples: see there.
      optimizer: of the parameters.
      mesh: minibatches are split over it.
      debug: checks on every step that bound and gradients are finite.

    Returns:
      ``train(params, opt_state, minibatches, key, first)``, for minibatches of shape
      (steps, images, ...) split along the second axis, which gives the next ``params``
      and ``opt_state``, and the mean bound, all on every device. Step number ``first +
      i`` uses ``fold_in(key, first + i)``.
    """

    def loss_fn(params, pixels, key):
        vae = nnx.merge(graphdef, params)
        bounds = bound(key, vae, pixels, objective=objective, num_samples=num_samples)
        return -jnp.mean(bounds)

    def train(params, opt_state, minibatches, key, first):
        def step(state, given):
            params, opt_state = state
            number, pixels = given
            draw_key = jax.random.fold_in(key, number)
            loss, grads = jax.value_and_grad(loss_fn)(params, pixels, draw_key)
            chex.assert_trees_all_equal_shapes_and_dtypes(grads, params)
            if debug:
                chex.assert_tree_all_finite((loss, grads))
            updates, opt_state = optimizer.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), loss

        numbers = first + jnp.arange(len(minibatches), dtype=jnp.uint32)
        state, losses = jax.lax.scan(step, (params, opt_state), (numbers, minibatches))
        return *state, -jnp.mean(losses)

    jitted = jax.jit(train, out_shardings=_devices.replicated(mesh))
    return chex.chexify(jitted, async_check=False) if debug else jitted


@functools.cache
def make_evaluate(
    graphdef: nnx.GraphDef, *, num_samples: int, chunk_size: int, mesh: Mesh
):
    """Makes the jitted evaluation of images.

    Args:
      graphdef: of a :class:`Vae`.
      num_samples: draws of the guide for each image.
      chunk_size: how many of them are decoded at a time.
      mesh: the images are split over it.

    Returns:
      ``evaluate(params, pixels, key)``: for each image ``elbo``, by as many draws, the
      ``log_likelihood`` that importance sampling gives, both in nats, and ``ess``, its
      effective number of draws, all on every device.
    """

    @functools.partial(jax.jit, out_shardings=_devices.replicated(mesh))
    def evaluate(params, pixels, key):
        vae = nnx.merge(graphdef, params)
        guide, prior = vae.guide(pixels), vae.prior()
        elbo_key, weights_key = jax.random.split(key)

        def elbo(key):
            return rj.elbo(
                key,
                vae.log_likelihood,
                guide,
                pixels,
                prior=prior,
                num_samples=chunk_size,
            )

        keys = jax.random.split(elbo_key, num_samples // chunk_size)
        log_likelihood, ess = rj.importance_sampled_log_likelihood(
            weights_key,
            vae.log_likelihood,
            guide,
            pixels,
            prior=prior,
            num_samples=num_samples,
            chunk_size=chunk_size,
        )
        elbos = jax.lax.map(elbo, keys)
        return {"elbo": elbos.mean(0), "log_likelihood": log_likelihood, "ess": ess}

    return evaluate


@functools.cache
def make_pictures(graphdef: nnx.GraphDef, *, num_pictures: int, mesh: Mesh):
    """Makes the jitted program of what the figure shows.

    Args:
      graphdef: of a :class:`Vae`.
      num_pictures: how many reconstructions and samples.
      mesh: where the parameters lie.

    Returns:
      ``pictures(params, pixels, key)``: ``reconstructions`` of the first images, each
      from one draw of its guide, and ``samples`` from the prior, as probabilities of
      shape (num_pictures, height, width); and ``places``, where the guide puts the
      latent of every image.
    """

    @functools.partial(jax.jit, out_shardings=_devices.replicated(mesh))
    def pictures(params, pixels, key):
        vae = nnx.merge(graphdef, params)
        guide_key, prior_key = jax.random.split(key)
        draws = rj.sample(guide_key, vae.guide(pixels[:num_pictures]))
        fresh = rj.sample(prior_key, vae.prior(), (num_pictures,))
        return {
            "reconstructions": nnx.sigmoid(vae.decoder(draws))[..., 0],
            "samples": nnx.sigmoid(vae.decoder(fresh))[..., 0],
            "places": center(vae.guide(pixels)),
        }

    return pictures
