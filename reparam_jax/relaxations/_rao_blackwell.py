"""Several relaxations of one hard draw (Rao-Blackwell)."""

import jax
import jax.numpy as jnp
from jax import lax

from ._gradients import harden, with_gradient_of
from ._scores import one_hot_argmax, softmax


def rao_blackwell(
    noise: jax.Array, logits: jax.Array, temperature: jax.Array
) -> jax.Array:
    r"""Returns a hard draw, with the mean derivative of relaxations of that draw.

    The first noise chooses the class, and is a relaxation itself; each other one is
    turned into noise given that class. Noise is not differentiated: all has the
    expectation of one relaxation alone, and less variance.

    Args:
      noise: standard Gumbel, of shape (relaxations, ..., classes).
      logits: of shape (..., classes).
      temperature: likewise.

    Returns:
      A one-hot array of shape (..., classes).
    """
    logits, temperature = jnp.broadcast_arrays(logits, temperature)
    scores = logits + noise[0]
    chosen = one_hot_argmax(scores)
    others = conditional_scores(noise[1:], logits[None], chosen[None])
    scores = lax.stop_gradient(jnp.concatenate([scores[None], others]))
    scores = with_gradient_of(scores, jnp.broadcast_to(logits[None], scores.shape))
    soft = softmax(scores, chosen[None], temperature[None])
    return harden(chosen, jnp.mean(soft, 0))


# The largest of the scores l + g is log(sum_j exp(l_j)) + g' with a Gumbel variable g',
# whichever class it is; the others, given it, are Gumbel variables cut off there. With
# exponential E = exp(-g) the largest score is -log(E / Z), and another -log(E_j / e^l_j
# + E / Z) (Paulus, Maddison, Krause, section 3.2).
def conditional_scores(
    noise: jax.Array, logits: jax.Array, chosen: jax.Array
) -> jax.Array:
    """Returns noisy logits, given which of them is the largest.

    Args:
      noise: standard Gumbel.
      logits: broadcast with the noise.
      chosen: marks the largest along the last axis.
    """
    log_total = jax.nn.logsumexp(logits, -1, keepdims=True)
    top = log_total + jnp.sum(jnp.where(chosen, noise, 0), -1, keepdims=True)
    below = -jnp.logaddexp(-(logits + noise), -top)
    return jnp.where(chosen, top, below)
