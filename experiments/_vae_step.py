"""The training step of a convolutional Gaussian VAE that ``benchmark vae`` times."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import optax
from flax import nnx

import reparam_jax as rj

from ._networks import ConvDecoder, ConvEncoder

LATENTS, WIDTH, LEARNING_RATE = 16, 32, 1e-3
OPTIMIZER = optax.adam(LEARNING_RATE)


class State(NamedTuple):
    """What a training step changes."""

    params: Any
    moments: optax.OptState
    key: jax.Array


def init(seed: int, image_size: int) -> tuple[nnx.GraphDef, State]:
    """Draws the first parameters of encoder and decoder.

    Args:
      seed: sets the parameters, and the key of the draws.
      image_size: height and width of the images.

    Returns:
      The networks' graph definition, and the first state.
    """
    init_key, key = jax.random.split(jax.random.key(seed))
    rngs = nnx.Rngs(init_key)
    networks = {
        "encoder": ConvEncoder(image_size, 2 * LATENTS, width=WIDTH, rngs=rngs),
        "decoder": ConvDecoder(image_size, LATENTS, width=WIDTH, rngs=rngs),
    }
    graphdef, params = nnx.split(networks)
    return graphdef, State(params, OPTIMIZER.init(params), key)


def make_bound(graphdef: nnx.GraphDef) -> Callable[..., jax.Array]:
    """Makes the evidence lower bound of Bernoulli pixels.

    Args:
      graphdef: from :func:`init`.

    Returns:
      ``bound(params, key, pixels)``, in nats, one for each image.
    """

    def bound(params, key, pixels):
        networks = nnx.merge(graphdef, params)
        mean, log_std = jnp.split(networks["encoder"](pixels), 2, axis=-1)
        guide = dist.Normal(mean, jnp.exp(log_std)).to_event(1)
        prior = dist.Normal(jnp.zeros(LATENTS), 1.0).to_event(1)

        def log_likelihood(latents, pixels):
            logits = networks["decoder"](latents)
            likelihood = dist.Bernoulli(logits=logits).to_event(3)  # pyright: ignore
            return jnp.asarray(likelihood.log_prob(pixels))

        return rj.elbo(key, log_likelihood, guide, pixels, prior=prior)

    return bound


def make_step(
    graphdef: nnx.GraphDef,
) -> Callable[[State, jax.Array], tuple[State, jax.Array]]:
    """Makes one step of Adam on the mean bound of a minibatch.

    Args:
      graphdef: from :func:`init`.

    Returns:
      ``step(state, pixels)``, to the next state and the mean bound; for ``jax.jit``,
      with the state donated, and for ``jax.lax.scan``.
    """
    bound = make_bound(graphdef)

    def step(state, pixels):
        key, draw_key = jax.random.split(state.key)

        def loss(params):
            return -jnp.mean(bound(params, draw_key, pixels))

        value, grads = jax.value_and_grad(loss)(state.params)
        updates, moments = OPTIMIZER.update(grads, state.moments, state.params)
        params = optax.apply_updates(state.params, updates)
        return State(params, moments, key), -value

    return step
