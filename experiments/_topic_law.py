"""The topic model of ``topic_model``: its law, its guide, and how they score."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from flax import nnx
from jax.scipy.special import gammaln, logsumexp

import reparam_jax as rj


@dataclasses.dataclass(frozen=True)
class JaxDirichlet:
    """The path of ``jax.random.dirichlet``, with the gradient that JAX gives it."""

    def draw(self, key: jax.Array, law: Any, num_samples: int) -> jax.Array:
        """All the randomness: one key for each draw."""
        del law
        return jax.random.split(key, num_samples)

    def estimate(self, cost_fn: Callable, law: Any, draws: jax.Array, *args):
        """The mean cost of the draws, which carry JAX's gradient."""

        def one(key):
            return cost_fn(jax.random.dirichlet(key, law.concentration), *args)

        return jax.vmap(one)(draws).mean(0)


ESTIMATORS = {"ours": rj.Pathwise(), "jax": JaxDirichlet()}
ARMS = tuple(ESTIMATORS)


class TopicModel(nnx.Module):
    """The topics, and the encoder of the guide of a document's shares.

    Args:
      num_words: size of the vocabulary.
      num_topics: how many topics.
      width: of the encoder's hidden layer.
      rngs: an ``nnx.Rngs`` for the initial parameters.
    """

    def __init__(self, num_words: int, num_topics: int, *, width: int, rngs: nnx.Rngs):
        logits = 0.5 * jax.random.normal(rngs.params(), (num_topics, num_words))
        self.topic_logits = nnx.Param(logits)
        self.hidden = nnx.Linear(num_words, width, rngs=rngs)
        small = nnx.initializers.variance_scaling(0.01, "fan_in", "normal")
        self.readout = nnx.Linear(width, num_topics, kernel_init=small, rngs=rngs)

    def concentration(
        self, counts: jax.Array, prior: jax.Array, first: jax.Array
    ) -> jax.Array:
        """Encodes counts (documents, words) as the guide's (documents, topics).

        They are near ``first`` before training, and never below a tenth of ``prior``,
        which keeps the divergence finite.
        """
        length = jnp.linalg.norm(counts, axis=-1, keepdims=True)
        scaled = counts * counts.shape[-1] ** 0.5 / length
        outputs = self.readout(nnx.tanh(self.hidden(scaled)))
        least = prior / 10
        return jax.nn.softplus(outputs + jnp.log(jnp.expm1(first - least))) + least

    def topics(self) -> jax.Array:
        """The word probabilities, of shape (topics, words)."""
        return jax.nn.softmax(self.topic_logits[...])


def log_likelihood(shares: jax.Array, counts: jax.Array, topics: jax.Array):
    r"""The log-probability of the words, :math:`\sum_w n_w \log (\theta \beta)_w`.

    Args:
      shares: of the topics in each document, of shape (documents, topics).
      counts: of shape (documents, words).
      topics: word probabilities of shape (topics, words).

    Returns:
      One number for each document, in nats.
    """
    return (counts * jnp.log(shares @ topics)).sum(-1)


@functools.partial(jax.jit, static_argnames="num_draws")
def perplexities(
    key: jax.Array,
    concentration: jax.Array,
    counts: jax.Array,
    topics: jax.Array,
    prior: jax.typing.ArrayLike,
    *,
    num_draws: int,
) -> dict[str, jax.Array]:
    """The perplexity of documents: by importance sampling, and from the bound.

    Small shares round to 0, where densities of Dirichlet distributions are infinite: so
    draws are taken, and the weights' densities, in logarithms. The Jacobian cancels.

    Args:
      key: one key.
      concentration: of the guide, of shape (documents, topics).
      counts: of shape (documents, words).
      topics: word probabilities of shape (topics, words).
      prior: the concentration of every topic in the prior.
      num_draws: how many draws are weighted.

    Returns:
      ``perplexity``, ``bound_perplexity``, and ``effective_draws``, averaged over
      documents.
    """
    shape = num_draws, *concentration.shape
    log_shares = rj.log_dirichlet(key, concentration, shape=shape)
    likelihoods = jax.vmap(lambda one: log_likelihood(jnp.exp(one), counts, topics))(
        log_shares
    )
    priors = jnp.full(concentration.shape, prior)
    difference = _log_normalizer(concentration) - _log_normalizer(priors)
    exponents = ((priors - concentration)[None] * log_shares).sum(-1)
    log_weights = likelihoods + exponents + difference[None]
    chex.assert_shape(log_weights, (num_draws, len(counts)))
    log_marginals = logsumexp(log_weights, 0) - jnp.log(num_draws)
    divergence = dist.kl_divergence(
        dist.Dirichlet(concentration), dist.Dirichlet(priors)
    )
    bounds = likelihoods.mean(0) - divergence
    weights = jax.nn.softmax(log_weights, 0)
    num_words = counts.sum()
    return {
        "perplexity": jnp.exp(-log_marginals.sum() / num_words),
        "bound_perplexity": jnp.exp(-bounds.sum() / num_words),
        "effective_draws": (1 / (weights**2).sum(0)).mean(),
    }


def _log_normalizer(concentration):
    """The logarithm of the integral of the unnormalised Dirichlet density."""
    return gammaln(concentration).sum(-1) - gammaln(concentration.sum(-1))


def true_concentration(
    counts: np.ndarray, shares: np.ndarray, topics: np.ndarray, prior: float
) -> np.ndarray:
    """The concentrations of a guide near the posterior, from the true shares.

    Args:
      counts: of shape (documents, words).
      shares: of the topics in each document, of shape (documents, topics).
      topics: word probabilities of shape (topics, words).
      prior: the concentration of every topic in the prior.

    Returns:
      The prior's and the expected numbers of words of each topic.
    """
    return prior + shares * ((counts / (shares @ topics)) @ topics.T)
