"""The training of a GAN: its two losses, and a scan over its steps."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
from flax import nnx

from ._data import Images
from ._gan_network import Discriminator, Generator, Graphs, Weights

LOSSES = ("discriminator_loss", "generator_loss")


def make_optimizer(learning_rate: float) -> optax.GradientTransformation:
    """Makes the optimizer of either network: Adam without momentum.

    Args:
      learning_rate: of Adam.

    Returns:
      The optimizer.
    """
    return optax.adam(learning_rate, b1=0.0, b2=0.99)


def start_state(weights: Weights, learning_rate: float) -> dict[str, Any]:
    """Makes the first state of a training.

    Args:
      weights: of both networks.
      learning_rate: of Adam.

    Returns:
      ``weights``, the ``average`` of the generator's, and ``opt_state``.
    """
    optimizer = make_optimizer(learning_rate)
    return {
        "weights": weights,
        "average": weights.generator,
        "opt_state": Weights(*map(optimizer.init, weights)),
    }


def discriminator_loss(
    discriminator: Discriminator, real: Images, fake: jax.Array, *, penalty: float
) -> jax.Array:
    r"""Logistic loss, and the gradient penalty R1 [1] on real images.

    .. math:: \mathrm{softplus}(-D(x)) + \mathrm{softplus}(D(\tilde x))
       + \tfrac{\gamma}{2} |\nabla_x D(x)|^2

    Args:
      discriminator: :math:`D`, of image and class.
      real: images :math:`x` and their classes.
      fake: generated pixels :math:`\tilde x` of the same classes.
      penalty: :math:`\gamma`.

    Returns:
      The mean over the images, a scalar.

    References:
      [1] Mescheder, Geiger, Nowozin. Which training methods for GANs do actually
      converge? ICML 2018. https://arxiv.org/abs/1801.04406
    """
    labels = jnp.asarray(real.labels)
    scores, pull_back = jax.vjp(
        lambda pixels: discriminator(pixels, labels), real.pixels
    )
    (slopes,) = pull_back(jnp.ones_like(scores))
    chex.assert_equal_shape([slopes, real.pixels, fake])
    fake_scores = discriminator(fake, labels)
    losses = jax.nn.softplus(-scores) + jax.nn.softplus(fake_scores)
    return jnp.mean(losses + penalty / 2 * jnp.sum(slopes**2, axis=(1, 2, 3)))


def generator_loss(
    generator: Generator,
    discriminator: Discriminator,
    labels: jax.Array,
    key: jax.Array,
    *,
    trained: tuple[str, ...],
) -> jax.Array:
    r"""Non-saturating loss :math:`\mathrm{softplus}(-D(G(z)))`.

    Args:
      generator: :math:`G`, which draws its own noise :math:`z`.
      discriminator: :math:`D`, of image and class.
      labels: the classes to generate.
      key: sets the noise.
      trained: of ``LAW``, what the gradient reaches.

    Returns:
      The mean over the classes, a scalar.
    """
    fake = generator(generator.draw(labels, key, trained=trained))
    return jnp.mean(jax.nn.softplus(-discriminator(fake, labels)))


@functools.cache
def make_advance(
    graphs: Graphs,
    *,
    trained: tuple[str, ...],
    steps: int,
    batch_size: int,
    learning_rate: float,
    penalty: float,
    decay: float,
    debug: bool = False,
):
    """Makes the jitted scan over some training steps.

    Args:
      graphs: of both networks.
      trained: of ``LAW``, what the gradient of the generator reaches.
      steps: how many steps; each updates first the discriminator, then the generator.
      batch_size: images in a minibatch, drawn with replacement.
      learning_rate: of Adam.
      penalty: weight of the gradient penalty.
      decay: of the average of the generator's weights.
      debug: checks on every step that losses and gradients are finite.

    Returns:
      ``advance(state, images, key)``, which gives the next state (see
      :func:`start_state`) and the mean of each loss over the steps.
    """
    optimizer = make_optimizer(learning_rate)

    def update(loss_fn, weights, opt_state):
        loss, grads = jax.value_and_grad(loss_fn)(weights)
        chex.assert_trees_all_equal_shapes_and_dtypes(grads, weights)
        if debug:
            chex.assert_tree_all_finite((loss, grads))
        updates, opt_state = optimizer.update(grads, opt_state, weights)
        return optax.apply_updates(weights, updates), opt_state, loss

    def step(state, key, images):
        weights, opt_state = state["weights"], state["opt_state"]
        batch_key, fake_key, generator_key = jax.random.split(key, 3)
        rows = jax.random.randint(batch_key, (batch_size,), 0, len(images.labels))
        real = jax.tree.map(lambda leaf: leaf[rows], images)
        generator = nnx.merge(graphs.generator, weights.generator)
        fake = generator(generator.draw(real.labels, fake_key, trained=trained))

        def discriminator_loss_fn(params):
            discriminator = nnx.merge(graphs.discriminator, params)
            return discriminator_loss(discriminator, real, fake, penalty=penalty)

        discriminator_weights, discriminator_opt, first_loss = update(
            discriminator_loss_fn, weights.discriminator, opt_state.discriminator
        )
        discriminator = nnx.merge(graphs.discriminator, discriminator_weights)

        def generator_loss_fn(params):
            generator = nnx.merge(graphs.generator, params)
            return generator_loss(
                generator, discriminator, real.labels, generator_key, trained=trained
            )

        generator_weights, generator_opt, second_loss = update(
            generator_loss_fn, weights.generator, opt_state.generator
        )
        state = {
            "weights": Weights(generator_weights, discriminator_weights),
            "average": optax.incremental_update(
                generator_weights, state["average"], 1 - decay
            ),
            "opt_state": Weights(generator_opt, discriminator_opt),
        }
        return state, dict(zip(LOSSES, (first_loss, second_loss), strict=True))

    def advance(state, images, key):
        state, losses = jax.lax.scan(
            lambda state, key: step(state, key, images),
            state,
            jax.random.split(key, steps),
        )
        return state, jax.tree.map(jnp.mean, losses)

    jitted = jax.jit(advance)
    return chex.chexify(jitted, async_check=False) if debug else jitted
