"""A variational information bottleneck: encoder, Gaussian head, sample, decoder."""

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
from ._data import Measured

Arm = Literal["sample", "mean", "cut"]
ARMS: tuple[Arm, ...] = ("sample", "mean", "cut")
BEFORE = ("encoder_1", "encoder_2", "head", "mean", "var")
AFTER = ("decoder_1", "decoder_2", "readout")
PLACES = BEFORE + AFTER


class Bottleneck(nnx.Module):
    """Classifies images known as mean and variance through a normal latent.

    Args:
      image_size: height and width of the images, even.
      num_classes: number of logits.
      width: channels of the first convolution; the next two have twice as many.
      latents: channels of the latent, at half the resolution of the image.
      rngs: an ``nnx.Rngs`` for the initial parameters.
    """

    def __init__(
        self,
        image_size: int,
        num_classes: int,
        *,
        width: int,
        latents: int,
        rngs: nnx.Rngs,
    ):
        self.encoder_1 = nnx.Conv(2, width, (3, 3), rngs=rngs)
        self.encoder_2 = nnx.Conv(width, 2 * width, (3, 3), rngs=rngs)
        self.head = rj.layers.GaussianHead(2 * width, latents, rngs=rngs)
        self.sample = rj.layers.Sample()
        self.decoder_1 = nnx.Conv(latents, 2 * width, (3, 3), rngs=rngs)
        self.decoder_2 = nnx.Conv(2 * width, width, (3, 3), rngs=rngs)
        self.readout = nnx.Linear(
            width * (image_size // 4) ** 2, num_classes, rngs=rngs
        )

    def encode(self, measured: Measured) -> tuple[jax.Array, jax.Array]:
        """Maps measured images (NHWC) to the mean and variance of the latent."""
        features = jnp.concatenate([measured.mean, measured.var], axis=-1)
        features = nnx.avg_pool(nnx.relu(self.encoder_1(features)), (2, 2), (2, 2))
        return self.head(nnx.relu(self.encoder_2(features)))

    def draw(
        self, mean: jax.Array, var: jax.Array, key: jax.Array, arm: Arm
    ) -> jax.Array:
        """Passes the latent on: a draw, its mean, or a draw without its gradient."""
        latent = self.sample(mean, var, rngs=key, deterministic=arm == "mean")
        return jax.lax.stop_gradient(latent) if arm == "cut" else latent

    def decode(self, latent: jax.Array) -> jax.Array:
        """Maps a latent to logits."""
        features = nnx.relu(self.decoder_1(latent))
        features = nnx.relu(self.decoder_2(features))
        features = nnx.avg_pool(features, (2, 2), (2, 2))
        return self.readout(features.reshape(len(features), -1))


@functools.partial(
    jax.jit, static_argnames=("image_size", "num_classes", "width", "latents")
)
def init_network(
    key: jax.Array, *, image_size: int, num_classes: int, width: int, latents: int
) -> tuple[nnx.GraphDef, nnx.State]:
    """Splits a new :class:`Bottleneck` into its graph and its parameters.

    Args:
      key: sets the initial parameters.
      image_size: see :class:`Bottleneck`, as for the others.
      num_classes: as there.
      width: as there.
      latents: as there.

    Returns:
      The graph definition and the parameters.
    """
    network = Bottleneck(
        image_size, num_classes, width=width, latents=latents, rngs=nnx.Rngs(key)
    )
    return nnx.split(network)


@functools.cache
def make_step(
    graphdef: nnx.GraphDef,
    *,
    learning_rate: float,
    arm: Arm,
    mesh: Mesh,
    debug: bool = False,
):
    r"""Makes one jitted training step.

    The loss is that of Alemi et al. [1],

    .. math:: \mathrm{cross\ entropy} + \beta \, \mathrm{KL}(N(\mu, v) \| N(0, 1)),

    the divergence summed over the latent of an image, both averaged over images.

    Args:
      graphdef: of a :class:`Bottleneck`.
      learning_rate: of Adam.
      arm: how the latent is passed on.
      mesh: the minibatch is split over it.
      debug: checks on every step that loss and gradients are finite.

    Returns:
      ``step(params, opt_state, batch, key, index, beta)``, which gives the next
      ``params`` and ``opt_state`` (of ``optax.adam``), and ``{"cross_entropy",
      "kl"}``, all on every device. Step ``index`` uses ``fold_in(key, index)``.

    References:
      [1] Alemi, Fischer, Dillon, Murphy. Deep variational information bottleneck.
      ICLR 2017. https://arxiv.org/abs/1612.00410
    """
    optimizer = optax.adam(learning_rate)

    def loss_fn(params, batch, key, beta):
        network = nnx.merge(graphdef, params)
        mean, var = network.encode(batch)
        logits = network.decode(network.draw(mean, var, key, arm))
        cross_entropy = _cross_entropy(logits, batch.labels)
        latent = dist.Normal(mean, jnp.sqrt(var))
        divergence = dist.kl_divergence(latent, dist.Normal(0.0, 1.0))
        kl = divergence.sum() / len(batch.labels)
        return cross_entropy + beta * kl, {"cross_entropy": cross_entropy, "kl": kl}

    def step(params, opt_state, batch, key, index, beta):
        draw_key = jax.random.fold_in(key, index)
        grads, parts = jax.grad(loss_fn, has_aux=True)(params, batch, draw_key, beta)
        chex.assert_trees_all_equal_shapes_and_dtypes(grads, params)
        if debug:
            chex.assert_tree_all_finite((grads, parts))
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, parts

    jitted = jax.jit(step, out_shardings=_devices.replicated(mesh))
    return chex.chexify(jitted, async_check=False) if debug else jitted


@functools.cache
def make_predict(
    graphdef: nnx.GraphDef, *, deterministic: bool, num_draws: int, mesh: Mesh
):
    """Makes the jitted prediction, averaged over draws of the latent.

    Args:
      graphdef: of a :class:`Bottleneck`.
      deterministic: one prediction from the mean of the latent instead.
      num_draws: how many draws to average over.
      mesh: the images are split over it.

    Returns:
      ``predict(params, measured, key)``, the logarithms of the mean probabilities, of
      shape (count, classes), all on every device.
    """
    arm: Arm = "mean" if deterministic else "sample"
    num_draws = 1 if deterministic else num_draws

    @functools.partial(jax.jit, out_shardings=_devices.replicated(mesh))
    def predict(params, measured, key):
        network = nnx.merge(graphdef, params)
        mean, var = network.encode(measured)
        draw = functools.partial(network.draw, mean, var, arm=arm)
        logits = jax.vmap(lambda key: network.decode(draw(key)))(
            jax.random.split(key, num_draws)
        )
        log_probs = jax.nn.log_softmax(logits)
        chex.assert_shape(log_probs, (num_draws, len(measured.labels), None))
        return jax.nn.logsumexp(log_probs, axis=0) - jnp.log(num_draws)

    return predict


@functools.cache
def make_gradient_norms(graphdef: nnx.GraphDef, *, arm: Arm):
    """Makes the jitted probe of where the gradient of the cross-entropy arrives.

    Args:
      graphdef: of a :class:`Bottleneck`.
      arm: how the latent is passed on.

    Returns:
      ``gradient_norms(params, measured, key)``: the norm of the gradient for the
      kernel of every layer, and for the tensors ``mean`` and ``var``; ``PLACES`` has
      the names in the order of the data flow.
    """

    @jax.jit
    def gradient_norms(params, measured, key):
        def encode(params):
            return nnx.merge(graphdef, params).encode(measured)

        def decode(params, mean, var):
            network = nnx.merge(graphdef, params)
            logits = network.decode(network.draw(mean, var, key, arm))
            return _cross_entropy(logits, measured.labels)

        (mean, var), pull_back = jax.vjp(encode, params)
        after, *latent_grads = jax.grad(decode, argnums=(0, 1, 2))(params, mean, var)
        chex.assert_trees_all_equal_shapes_and_dtypes(latent_grads, [mean, var])
        (before,) = pull_back(tuple(latent_grads))
        chex.assert_trees_all_equal_shapes_and_dtypes(before, after, params)
        tensors = (
            before["encoder_1"]["kernel"],
            before["encoder_2"]["kernel"],
            before["head"]["linear"]["kernel"],
            *latent_grads,
            *(after[name]["kernel"] for name in AFTER),
        )
        return dict(zip(PLACES, map(optax.tree.norm, tensors), strict=True))

    return gradient_norms


def _cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
