"""From features to the mean and variance of a normal."""

import chex
import jax
import jax.numpy as jnp
from flax import nnx


class GaussianHead(nnx.Module):
    r"""Maps features to a mean and a positive variance, by one linear layer.

    .. math:: (\mu, r) = W h + b, \qquad v = \log(1 + e^r) + v_{\min}

    It acts on the last axis, so on feature maps (NHWC) it is a 1x1 convolution.

    Args:
      in_features: length of the last axis of the input.
      out_features: length of the last axis of the mean and of the variance.
      min_var: :math:`v_{\min} > 0`, the floor that keeps the gradient for the variance
        bounded.
      rngs: an ``nnx.Rngs`` for the initial parameters.
      **linear: further options of ``nnx.Linear``, such as ``dtype`` or
        ``kernel_init``.

    Raises:
      ValueError: ``min_var`` is not positive.

    Gradient:
      Exact: the head is deterministic.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> import reparam_jax as rj
      >>> head = rj.layers.GaussianHead(16, 4, rngs=nnx.Rngs(0))
      >>> mean, var = head(jnp.ones((2, 8, 8, 16)))
      >>> mean.shape, var.shape, bool((var > 0).all())
      ((2, 8, 8, 4), (2, 8, 8, 4), True)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        min_var: float = 1e-6,
        rngs: nnx.Rngs,
        **linear,
    ):
        if not min_var > 0:
            raise ValueError(
                f"`GaussianHead` needs `min_var` to be positive, got {min_var}: the "
                "gradient for a variance near 0 is unbounded."
            )
        self.out_features = out_features
        self.min_var = min_var
        self.linear = nnx.Linear(in_features, 2 * out_features, rngs=rngs, **linear)

    def __call__(self, features: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Applies the head.

        Args:
          features: array of shape (..., in_features).

        Returns:
          The mean and the variance, each of shape (..., out_features).
        """
        mean, raw = jnp.split(self.linear(features), 2, axis=-1)
        var = jax.nn.softplus(raw) + self.min_var
        chex.assert_shape([mean, var], (*features.shape[:-1], self.out_features))
        return mean, var
