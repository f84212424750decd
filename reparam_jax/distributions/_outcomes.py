"""The outcomes of a law with finitely many, and their probabilities."""

import math

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from ._discrete import bernoulli_logits, categorical_logits, is_one_hot
from ._log_prob import log_prob
from ._structure import Distribution, lead, unwrap

# Powers of probabilities that underflow, times binomial coefficients, are below 1e-19.
_MOST_TRIALS = 64


def count_outcomes(leaf: Distribution) -> int | None:
    """Returns how many outcomes one element of the batch has, its whole event.

    ``None`` where that is infinite, differs from element to element, or is not known
    while tracing.
    """
    count = _count(leaf)
    if count is None:
        return None
    return count ** math.prod(part_shape(leaf, of_event=True))


def outcomes(leaf: Distribution) -> jax.Array:
    """Returns the outcomes of one part of the law, of shape (K, *event of a part)."""
    base = unwrap(leaf)
    if is_one_hot(leaf):
        return jnp.eye(base.event_shape[0], dtype=jnp.result_type(int))
    return _support(base)


def probabilities(leaf: Distribution) -> jax.Array:
    """Returns the probability of each outcome, of shape (K, *shape of the parts).

    Differentiable to every order. At probabilities of 0 and of 1 too, of Bernoulli,
    categorical and binomial laws (of at most 64 trials); of others as their
    log-probabilities are.
    """
    base = unwrap(leaf)
    if bernoulli_logits(leaf) is not None:
        table = jnp.stack(_two_probabilities(base))
    elif categorical_logits(leaf) is not None:
        table = jnp.moveaxis(_category_probabilities(base), -1, 0)
    elif _is_short_binomial(base):
        table = _binomial(base, len(outcomes(base)) - 1)
    else:
        values = outcomes(base)
        ones = (1,) * len(base.batch_shape)
        values = values.reshape(len(values), *ones, *base.event_shape)
        table = jnp.exp(log_prob(base, values))
    shape = part_shape(leaf)
    return jax.vmap(lambda row: jnp.broadcast_to(row, shape))(table)


def part_shape(leaf: Distribution, *, of_event: bool = False) -> tuple[int, ...]:
    """Returns the shape of the independent parts of a law, or of those in an event.

    A part is one draw of the family under the wrappers: a number, or its own event.
    """
    shape = leaf.event_shape if of_event else leaf.shape()
    return shape[: len(shape) - unwrap(leaf).event_dim]


def _count(leaf):
    base = unwrap(leaf)
    if is_one_hot(leaf):
        one_trial = categorical_logits(leaf) is not None
        return base.event_shape[0] if one_trial else None
    unknown = (
        NotImplementedError,
        jax.errors.ConcretizationTypeError,
        jax.errors.TracerArrayConversionError,
    )
    try:
        return len(_support(base))
    except unknown:
        return None


def _support(base):
    with jax.ensure_compile_time_eval():  # its length comes from arrays
        values = jnp.asarray(base.enumerate_support(expand=False))
        return values.reshape(-1, *base.event_shape)


def _is_short_binomial(base):
    laws = dist.BinomialProbs | dist.BinomialLogits
    return isinstance(base, laws) and len(outcomes(base)) <= _MOST_TRIALS + 1


def _two_probabilities(base):
    if isinstance(base, dist.BernoulliProbs | dist.BinomialProbs):
        probs = _float(base.probs)
        return 1 - probs, probs
    logits = _float(base.logits)
    return jax.nn.sigmoid(-logits), jax.nn.sigmoid(logits)


def _category_probabilities(base):
    if isinstance(base, dist.CategoricalProbs | dist.MultinomialProbs):
        probs = _float(base.probs)
        return probs / jnp.sum(probs, -1, keepdims=True)
    return jax.nn.softmax(_float(base.logits))


# By products, not exp(log p), whose derivative at p = 0 and 1 is lost.
def _binomial(base, count):
    failure, success = _two_probabilities(base)
    ndim = len(base.batch_shape)
    coefficients = [float(math.comb(count, wins)) for wins in range(count + 1)]
    coefficients = jnp.asarray(coefficients, success.dtype)
    wins = _powers(lead(ndim, success), count)
    losses = _powers(lead(ndim, failure), count)[::-1]
    return coefficients.reshape(-1, *(1,) * ndim) * wins * losses


def _powers(base, count):
    """Those from 0 to a count; ``**`` has NaN for second derivatives at 0."""
    factors = jnp.broadcast_to(base, (count, *base.shape))
    return jnp.concatenate([jnp.ones_like(base)[None], jnp.cumprod(factors, 0)])


def _float(array):
    array = jnp.asarray(array)
    return array.astype(jnp.result_type(array, float))
