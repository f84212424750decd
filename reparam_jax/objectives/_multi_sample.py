"""The bound of several importance-weighted draws, and the gradients that it has."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import logsumexp

from reparam_jax.distributions._paths import path_of
from reparam_jax.distributions._structure import Distribution
from reparam_jax.estimators import Auto, Pathwise, ScoreFunction
from reparam_jax.estimators._attach import box, score
from reparam_jax.estimators._costs import spread
from reparam_jax.estimators._expectation import as_estimator
from reparam_jax.estimators._per_leaf import PerLeaf
from reparam_jax.estimators._score_function import score_of

from ._model import Model

Estimators = list[Pathwise | ScoreFunction]


def log_mean_exp(log_weights: jax.Array) -> jax.Array:
    """The logarithm of the mean of weights along their first axis."""
    return logsumexp(log_weights, 0) - math.log(log_weights.shape[0])


def estimators_of(
    model: Model, guide: Any, estimator: Any, default: Callable[[Distribution], Any]
) -> Estimators | None:
    """Returns the estimator of each leaf: pathwise, or the plain score.

    With these the weights of all draws come from one call. ``None`` stands for all
    other estimators, which know only costs of whole sets of draws.

    Args:
      model: of the objective.
      guide: the tree of its leaves.
      estimator: what the user chose.
      default: the estimator of a leaf, where they chose none.
    """
    estimator = as_estimator(model.name, estimator)
    every = list(range(len(model.leaves)))
    is_tree = isinstance(estimator, PerLeaf)
    groups = estimator.groups(guide) if is_tree else [(estimator, every)]
    chosen: list[Any] = [None] * len(every)
    for one, places in groups:
        for place in places:
            is_default = isinstance(one, Auto)
            chosen[place] = default(model.leaves[place]) if is_default else one
    return chosen if all(map(_takes_each_draw, chosen)) else None


def _takes_each_draw(estimator):
    """Whether it is pathwise, or a score with no baseline but the draws' own."""
    if not isinstance(estimator, ScoreFunction):
        return isinstance(estimator, Pathwise)
    own = estimator.baseline is None or isinstance(estimator.baseline, str)
    return own and estimator.coupling is None


def draw_leaves(
    model: Model, key: jax.Array, num_samples: int, estimators: Estimators
) -> list[jax.Array]:
    """Draws each leaf: with its gradient where it is pathwise, else without.

    Returns:
      Values of shape (num_samples, *leaf.shape()).
    """
    count = len(model.leaves)
    keys = [key] if count == 1 else jax.random.split(key, count)
    values = []
    for key, leaf, estimator in zip(keys, model.leaves, estimators, strict=True):
        draw = estimator.draw_leaf(key, leaf, num_samples)
        if isinstance(estimator, Pathwise):
            draw = path_of(model.name, leaf).at(draw)
        values.append(draw)
    return values


def scored_bound(
    model: Model,
    values: list[jax.Array],
    log_weights: jax.Array,
    estimators: Estimators,
) -> jax.Array:
    r"""The bound, with the scores of the leaves that are not pathwise.

    For :math:`L = \log \frac1K \sum_k w_k` of independent draws,

    .. math:: \nabla \mathrm{E} L = \mathrm{E} \left[ \nabla L + \sum_k (L - L_{-k})
       \nabla \log q(z_k) \right]

    where :math:`L_{-k}` has the geometric mean of the other weights in the place of
    :math:`w_k`, so that it does not depend on that draw (Mnih, Rezende, VIMCO).

    Args:
      model: of the objective.
      values: draws of all leaves.
      log_weights: of the draws, (K, *shape).
      estimators: of each leaf.
    """
    bound = log_mean_exp(log_weights)
    scores = [
        spread(score_of(leaf, value), log_weights)
        for leaf, value, estimator in zip(model.leaves, values, estimators, strict=True)
        if isinstance(estimator, ScoreFunction)
    ]
    if not scores:
        return bound
    each = jnp.broadcast_to(sum(scores[1:], scores[0]), log_weights.shape)
    bound = score(bound, jnp.zeros_like(bound), jnp.sum(each, 0))
    baselines = bounds_without(lax.stop_gradient(log_weights))
    return bound - jnp.sum(baselines * (box(each) - 1), 0)


def bounds_without(log_weights: jax.Array) -> jax.Array:
    """The bounds in which the geometric mean of all others replaces one weight.

    With a single draw, or where all others have weight 0, it is 0: that does not
    depend on the draw either, and is finite.

    Args:
      log_weights: of shape (K, *shape).

    Returns:
      One for each draw, of the same shape.
    """
    count = log_weights.shape[0]
    if count == 1:
        return jnp.zeros_like(log_weights)
    total = _over_others(lax.cumlogsumexp, jnp.logaddexp, log_weights, -jnp.inf)
    mean = _over_others(lax.cumsum, jnp.add, log_weights, 0) / (count - 1)
    bounds = jnp.logaddexp(total, mean) - math.log(count)
    return jnp.where(jnp.isneginf(bounds), 0, bounds)


# All before and all after: no difference that would cancel, or be inf - inf.
def _over_others(accumulate, combine, terms, nothing):
    edge = jnp.full_like(terms[:1], nothing)
    before = jnp.concatenate([edge, accumulate(terms, 0)[:-1]])
    after = jnp.concatenate([accumulate(terms, 0, reverse=True)[1:], edge])
    return combine(before, after)


def estimate_together(
    model: Model,
    key: jax.Array,
    guide: Any,
    args: tuple,
    num_samples: int,
    estimator: Any,
    summaries: list[Callable[[jax.Array], jax.Array]],
) -> list[jax.Array]:
    """Estimates functions of all weights by any estimator: one cost of all draws.

    The draws are the leaves of one tree of ``num_samples`` copies of the guide.

    Args:
      model: of the objective.
      key: one key.
      guide: the tree of its leaves.
      args: of the log-density.
      num_samples: how many draws.
      estimator: any, or a tree of them like the guide.
      summaries: functions of the log-weights of all draws, (num_samples, *shape).

    Returns:
      The expectation of each, with the estimator's derivative.
    """
    copies = (guide,) * num_samples
    estimator = as_estimator(model.name, estimator)
    if isinstance(estimator, PerLeaf):
        estimator = PerLeaf((estimator.estimators,) * num_samples)
    draws = estimator.draw(key, copies, 1)

    def cost_of(summary):
        def cost(draws, *args):
            draws = [model.structure.flatten_up_to(draw) for draw in draws]
            stacked = [jnp.stack(values) for values in zip(*draws, strict=True)]
            return summary(model.make_log_weights(args)(stacked))

        return cost

    return [
        estimator.estimate(cost_of(summary), copies, draws, *args)
        for summary in summaries
    ]
