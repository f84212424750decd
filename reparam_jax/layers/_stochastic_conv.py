"""A convolution whose input is known as mean and variance."""

from collections.abc import Sequence

import chex
import jax
from flax import nnx

from ._sample import Randomness, Sample


class StochasticConv(nnx.Module):
    r"""Draws its input from Normal(mean, var), then convolves the draw.

    .. math:: y = K * z + b, \qquad z = \mu + \sqrt{v} \epsilon

    Args:
      in_features: number of input channels (last axis).
      out_features: number of output channels.
      kernel_size: spatial extent of the kernel.
      deterministic: if true, the mean is convolved; see :class:`Sample`.
      rng_collection: the stream of ``rngs`` that sampling keys are taken from.
      rngs: an ``nnx.Rngs``, for the initial parameters and, forked, for sampling.
      **conv: further options of ``nnx.Conv``, such as ``padding`` or ``strides``.

    Gradient:
      Exact and pathwise for mean, variance, kernel and bias.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> import reparam_jax as rj
      >>> layer = rj.layers.StochasticConv(16, 32, (3, 3), rngs=nnx.Rngs(0))
      >>> layer(jnp.zeros((1, 30, 30, 16)), jnp.ones((1, 30, 30, 16))).shape
      (1, 30, 30, 32)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        *,
        deterministic: bool | None = False,
        rng_collection: str = "sample",
        rngs: nnx.Rngs,
        **conv,
    ):
        self.sample = Sample(
            deterministic=deterministic, rng_collection=rng_collection, rngs=rngs
        )
        self.conv = nnx.Conv(in_features, out_features, kernel_size, rngs=rngs, **conv)

    def __call__(
        self,
        mean: jax.Array,
        var: jax.Array,
        *,
        deterministic: bool | None = None,
        rngs: Randomness | None = None,
    ) -> jax.Array:
        """Draws and convolves.

        Args:
          mean: the means, of shape (..., height, width, in_features).
          var: the variances, not negative; broadcasts with ``mean``.
          deterministic: takes precedence over the constructor's.
          rngs: a key, ``nnx.RngStream`` or ``nnx.Rngs``; takes precedence over the
            constructor's.

        Returns:
          An array of shape (..., height', width', out_features).
        """
        draw = self.sample(mean, var, deterministic=deterministic, rngs=rngs)
        features = self.conv(draw)
        chex.assert_rank(features, draw.ndim)
        return features
