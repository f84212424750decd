"""A diagnostic of relaxed draws whose gradient is gone."""

import jax
import jax.numpy as jnp
from jax import lax


def saturated_fraction(draws: jax.Array, *, event_ndim: int = 1) -> jax.Array:
    r"""Returns the fraction of relaxed draws that are hard within rounding.

    A draw is counted where its largest component is exactly 1 in its dtype, or for
    zeros and ones, where :math:`\max(y, 1 - y)` is. Its gradient is then below
    :math:`\epsilon / \tau` with the dtype's :math:`\epsilon`: dead, for training.

    Where most draws of ``rj.gumbel_softmax`` or ``rj.relaxed_bernoulli`` are counted,
    the temperature is too low for the scale of the logits: raise it, bound the logits,
    or use an estimator for hard draws. Give it soft draws: hard ones are all counted,
    and their soft ones are those of the same key with ``hard=False``.

    Args:
      draws: soft draws, of shape (..., classes); with ``event_ndim=0``, of any shape.
      event_ndim: 1 for relaxed one-hot vectors along the last axis, 0 for relaxed zeros
        and ones.

    Returns:
      One number from 0 to 1 in float32; NaN for no draws at all. A draw that is NaN is
      not counted as saturated.

    Raises:
      ValueError: ``event_ndim`` is neither 0 nor 1, or there is no axis of classes.

    Gradient:
      None: it is a count.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> logits = jnp.zeros((1000, 3))
      >>> def saturated(temperature):
      ...   draws = rj.gumbel_softmax(jax.random.key(0), logits, temperature)
      ...   return float(rj.relaxations.saturated_fraction(draws))
      >>> saturated(1.0), saturated(0.001) > 0.9
      (0.0, True)
    """
    draws = lax.stop_gradient(jnp.asarray(draws))
    if event_ndim not in (0, 1) or draws.ndim < event_ndim:
        raise ValueError(
            "`saturated_fraction` takes draws of shape (..., classes) (event_ndim=1), "
            f"or of zeros and ones (event_ndim=0), got shape {draws.shape} with "
            f"event_ndim={event_ndim!r}."
        )
    largest = jnp.max(draws, -1) if event_ndim else jnp.maximum(draws, 1 - draws)
    return jnp.mean(largest == 1, dtype=jnp.float32)
