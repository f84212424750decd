"""The exact sum over the outcomes of discrete distributions."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from reparam_jax import noise as noise_room
from reparam_jax.distributions._outcomes import (
    count_outcomes as count_outcomes,
)
from reparam_jax.distributions._outcomes import outcomes, probabilities
from reparam_jax.distributions._structure import unwrap

from ._estimator import Estimator, check_count, instead_for
from ._grid import Axis, integrate, joint_points, make_grid


@dataclasses.dataclass(frozen=True)
class Enumerate(Estimator):
    r"""The exact expectation: the sum of the costs of all outcomes.

    .. math:: \mathrm{E} f(z) = \sum_k p_k f(k)

    for discrete distributions with finitely many outcomes. A scalar cost is summed over
    the joint outcomes of all elements of all distributions, at most :math:`2^{16}`; a
    cost of the batch's shape over those of one element of the batch, for all elements
    at once.

    With ``num_terms`` the most probable outcomes :math:`k \in C` alone are summed, and
    one outcome z of the others is drawn, from :math:`q_k = p_k / \sum_{j \notin C}
    p_j`:

    .. math:: \sum_{k \in C} p_k f(k) + \frac{p_z}{\bot q_z} f(z)

    with :math:`\bot` for "not differentiated". This is the score-function estimate with
    its variance cut down to that of the improbable outcomes (Rao-Blackwell).

    Args:
      num_terms: how many joint outcomes are summed exactly, for each element of the
        batch if the cost has its shape. By default all.

    Draws:
      For each distribution an array of shape (num_samples, 0): nothing is random, and
      ``num_samples`` has no effect. With ``num_terms``, uniforms on [0, 1) of shape
      (num_samples, \*batch shape), which pick the outcome by the cumulative sum of q in
      the order of falling probability; a scalar cost uses the first of each sample.

    Raises:
      TypeError: a distribution has infinitely many outcomes, or their number is not
        known while tracing or differs from element to element.
      ValueError: there are more than :math:`2^{16}` joint outcomes, ``num_terms`` is
        not positive, or it is used for several distributions at a time.

    Gradient:
      Exact, of every order and in every mode, for the parameters and for all that the
      cost depends on; at logits of 0 and probabilities of 0 and 1 too. With
      ``num_terms`` unbiased, of every order; outcomes of probability 0 that are not
      summed are never drawn, and a derivative for their probability leaves them out.

    Cost:
      One evaluation of the cost for each joint outcome; with ``num_terms`` so many, and
      one for each sample.

    References:
      Liu, Regier, Tripuraneni, Jordan, McAuliffe. Rao-Blackwellized stochastic
      gradients for discrete distributions. ICML 2019, section 3.

    Example:
      >>> import jax, jax.numpy as jnp, numpyro.distributions as dist, reparam_jax as rj
      >>> def loss(logits):
      ...   return rj.expectation(
      ...     jax.random.key(0),
      ...     lambda bits: jnp.prod(bits) * 8.0,
      ...     dist.Bernoulli(logits=logits),
      ...     estimator=rj.Enumerate(),
      ...   )
      >>> jax.grad(loss)(jnp.zeros(3)).tolist()
      [0.5, 0.5, 0.5]
    """

    num_terms: int | None = None

    def __post_init__(self):
        if self.num_terms is not None:
            check_count("Enumerate", num_terms=self.num_terms)

    def draw_leaf(self, key, leaf, num_samples):
        """Draws nothing, or uniforms that pick an outcome."""
        if count_outcomes(leaf) is None:
            raise TypeError(
                "`Enumerate` needs distributions with finitely many outcomes, of a "
                f"number known while tracing, got {type(unwrap(leaf)).__name__}: "
                f"{instead_for(leaf)} works for it."
            )
        if self.num_terms is None:
            return jnp.zeros((num_samples, 0))
        dtype = jax.eval_shape(lambda: probabilities(leaf)).dtype
        return noise_room.uniform(key, (num_samples, *leaf.batch_shape), dtype)

    def estimates(self, costs, leaves, draws):
        """The sum over the grid of outcomes, or over its most probable points."""
        axes = [Axis(outcomes(leaf), probabilities(leaf)) for leaf in leaves]
        example = [
            joint_points(leaf, jnp.zeros((1, *leaf.event_shape), axis.points.dtype))
            for leaf, axis in zip(leaves, axes, strict=True)
        ]
        batch_ndim = len(costs.shape_at(example))
        grid = make_grid("Enumerate", leaves, axes, batch_ndim)
        if self.num_terms is None:
            values = map(joint_points, leaves, grid.values)
            return integrate(costs, list(values), grid.weights)
        if len(leaves) > 1:
            raise ValueError(
                "`Enumerate(num_terms=...)` takes one distribution, got "
                f"{len(leaves)}: give each its own, in a tree of estimators."
            )
        return _partial(costs, leaves[0], grid, draws[0], self.num_terms)


def _partial(costs, leaf, grid, uniforms, num_terms):
    """The sum over the most probable points, and one drawn from the others."""
    (table,), weights = grid
    order = jnp.argsort(lax.stop_gradient(weights), 0, descending=True)
    weights = jnp.take_along_axis(weights, order, 0)

    def values_at(index):
        return table[index].reshape(index.shape[0], *leaf.shape())

    top = values_at(order[:num_terms])
    total = integrate(costs, [top], weights[:num_terms])
    if num_terms >= len(weights):
        return total
    rest, order = weights[num_terms:], order[num_terms:]
    uniforms = uniforms.reshape(uniforms.shape[0], -1)
    uniforms = uniforms if weights.ndim > 1 else uniforms[:, 0]
    uniforms = uniforms.reshape(-1, *weights.shape[1:])
    chances, picked = _pick(uniforms, lax.stop_gradient(rest))
    ratio = jnp.take_along_axis(rest, picked, 0) / jnp.take_along_axis(
        chances, picked, 0
    )
    drawn = costs([values_at(jnp.take_along_axis(order, picked, 0))])
    return total + ratio * drawn


# By the inverse of the cumulative sum along axis 0; what is impossible comes last, and
# a sum rounded in another order must not reach it. Where all are 0 any pick will do:
# the ratio p / q is 0, and its derivative that of a uniform draw.
def _pick(uniforms, rest):
    mass = jnp.sum(rest, 0, keepdims=True)
    chances = jnp.where(mass > 0, rest / jnp.where(mass > 0, mass, 1), 1 / len(rest))
    ends = jnp.cumsum(chances, 0)
    picked = jnp.sum(uniforms[:, None] * ends[None, -1:] >= ends[None], 1)
    last_possible = jnp.sum(chances > 0, 0, keepdims=True) - 1
    return chances, jnp.minimum(picked, last_possible)
