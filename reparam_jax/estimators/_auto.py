"""The best unbiased estimator for each distribution of an expectation."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from reparam_jax.distributions._paths import find_path

from ._enumerate import Enumerate, count_outcomes
from ._estimator import Estimator
from ._pathwise import Pathwise
from ._per_leaf import nest
from ._score_function import LEAVE_ONE_OUT, ScoreFunction

# So many evaluations of the cost, in one batch, are cheap beside the variance they end.
_MOST_OUTCOMES = 64


@dataclasses.dataclass(frozen=True)
class Auto(Estimator):
    r"""The default: for each distribution the best unbiased estimator there is.

    The exact sum (:class:`Enumerate`) for discrete distributions, as long as it has at
    most 64 terms: joint outcomes of all of them for a scalar cost, those of one element
    of the batch for a cost of the batch's shape. :class:`Pathwise` where this library
    has a gradient for the draw. For all others :class:`ScoreFunction`, with a
    leave-one-out baseline from 2 samples on.

    Draws:
      As of :class:`Pathwise` where that is used, else as of :class:`ScoreFunction`,
      also where the sum does not need them.

    Gradient:
      Unbiased for costs that are continuous in the continuous draws. To the orders and
      in the modes of the estimators used.

    Cost:
      One evaluation of the cost for each sample, times the outcomes summed over.

    Example:
      >>> import jax, numpyro.distributions as dist, reparam_jax as rj
      >>> def loss(logits, loc):
      ...   laws = {"bit": dist.Bernoulli(logits=logits), "z": dist.Normal(loc, 1.0)}
      ...   return rj.expectation(
      ...     jax.random.key(0), lambda x: x["bit"] * x["z"], laws, num_samples=10_000
      ...   )
      >>> slope = jax.grad(loss, 1)(0.0, 2.0)  # the probability of the bit
      >>> round(float(slope), 4)
      0.5
    """

    def draw_leaf(self, key, leaf, num_samples):
        """Draws as the pathwise gradient does, or else values."""
        return _sampling(leaf).draw_leaf(key, leaf, num_samples)

    def estimates(self, costs, leaves, draws):
        """The costs, each leaf by its own estimator."""
        pathwise, summed, scored = [], [], []
        values = []
        for place, (leaf, draw) in enumerate(zip(leaves, draws, strict=True)):
            path = find_path(leaf)
            values.append(draw if path is None else jax.eval_shape(path.at, draw))
            (scored if path is None else pathwise).append(place)
        if scored:
            shape = costs.shape_at(values)
            summed = _few_outcomes([leaves[place] for place in scored], shape)
            summed = [scored[index] for index in summed]
            scored = [place for place in scored if place not in summed]
        many = bool(scored) and values[scored[0]].shape[0] > 1
        score = ScoreFunction(baseline=LEAVE_ONE_OUT if many else None)
        groups = [(Enumerate(), summed), (Pathwise(), pathwise), (score, scored)]
        draws = list(draws)
        for place in summed:
            draws[place] = jnp.zeros((1, 0))  # nothing, as Enumerate draws
        groups = [(estimator, places) for estimator, places in groups if places]
        return nest(groups, costs, leaves, draws)


def _sampling(leaf):
    return ScoreFunction() if find_path(leaf) is None else Pathwise()


def _few_outcomes(leaves, shape):
    """The leaves to sum over: those with the fewest outcomes, while there are few."""
    counts = []
    for place, leaf in enumerate(leaves):
        count = count_outcomes(leaf)
        if count is not None:
            elements = 1 if shape else math.prod(leaf.batch_shape)
            counts.append((count**elements, place))
    chosen, total = [], 1
    for count, place in sorted(counts):
        total *= count
        if total > _MOST_OUTCOMES:
            break
        chosen.append(place)
    return chosen
