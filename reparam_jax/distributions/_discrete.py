"""The laws with two and with a few outcomes, by their logits."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from ._structure import Distribution, lead, unwrap


def bernoulli_logits(distribution: Distribution) -> jax.Array | None:
    """Returns the logits of a Bernoulli law, of its whole shape; ``None`` for others.

    From probabilities p they are log p - log(1 - p), and infinite at 0 and 1.
    """
    base = unwrap(distribution)
    if isinstance(base, dist.BernoulliLogits):
        logits = jnp.asarray(base.logits)
    elif isinstance(base, dist.BernoulliProbs):
        probs = jnp.asarray(base.probs)
        logits = jnp.log(probs) - jnp.log1p(-probs)
    else:
        return None
    shape = distribution.shape()
    return jnp.broadcast_to(lead(len(shape), _float(logits)), shape)


def categorical_logits(distribution: Distribution) -> jax.Array | None:
    """Returns normalized log-probabilities, of the law's whole shape and (K,).

    Those of a categorical law, whose draws are indices, or of a multinomial law of one
    trial, whose draws are one-hot. ``None`` for other laws.
    """
    base = unwrap(distribution)
    if isinstance(base, dist.CategoricalProbs | dist.MultinomialProbs):
        probs = jnp.asarray(base.probs)
        logits = jnp.log(probs / jnp.sum(probs, -1, keepdims=True))
    elif isinstance(base, dist.CategoricalLogits | dist.MultinomialLogits):
        logits = jax.nn.log_softmax(_float(jnp.asarray(base.logits)))
    else:
        return None
    shape = distribution.shape()
    if is_one_hot(distribution):
        if base.total_count != 1:  # pyright: ignore[reportAttributeAccessIssue]
            return None
    else:
        shape = (*shape, logits.shape[-1])
    return jnp.broadcast_to(lead(len(shape), _float(logits)), shape)


def is_one_hot(distribution: Distribution) -> bool:
    """Whether the draws of a law on categories are one-hot, not indices."""
    kinds = dist.MultinomialProbs | dist.MultinomialLogits
    return isinstance(unwrap(distribution), kinds)


def _float(array):
    return (
        array.astype(jnp.result_type(array, float))
        if array.dtype.kind in "iub"
        else array
    )
