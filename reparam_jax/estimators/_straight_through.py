"""The straight-through gradient."""

import dataclasses

import jax
import jax.numpy as jnp

from reparam_jax.distributions._discrete import (
    bernoulli_logits,
    categorical_logits,
    is_one_hot,
)
from reparam_jax.distributions._structure import Distribution, unwrap
from reparam_jax.distributions._values import draw_values
from reparam_jax.relaxations._gradients import with_gradient_of
from reparam_jax.relaxations._scores import probabilities

from ._estimator import Estimator


@dataclasses.dataclass(frozen=True)
class StraightThrough(Estimator):
    r"""The gradient as if a hard draw moved like its probability.

    .. math:: \hat g = \nabla_z f(z) \cdot \nabla_\theta \, p_\theta, \qquad
       z \sim p_\theta

    The cost sees floats in the dtype of the logits: for a Bernoulli leaf, zeros and
    ones of its shape; for a categorical or multinomial leaf of one trial, one-hot
    vectors along a last axis (a categorical draw is no index here). The value is the
    cost at those draws.

    Raises:
      TypeError: a leaf is neither a Bernoulli law nor one on categories.

    Gradient:
      Biased, unless the cost is linear in each draw: it takes the slope at one end for
      the difference of the two. For the cost :math:`(z - c)^2` of a Bernoulli draw it
      is off by the factor :math:`2 (p - c) / (1 - 2 c)`: -3 at p = 0.3, c = 0.45, and
      401 at p = 0.9, c = 0.499. It needs a cost that is differentiable in the draw; to
      every order of the surrogate.

    Draws:
      For each leaf hard draws as of ``dist.sample``, of shape (num_samples, *shape).

    Cost:
      One evaluation per estimate.

    References:
      Bengio, Leonard, Courville. Estimating or propagating gradients through stochastic
      neurons for conditional computation. 2013, section 4.

    Example:
      >>> import jax, numpyro.distributions as dist, reparam_jax as rj
      >>> def loss(logits):
      ...   return rj.expectation(
      ...     jax.random.key(0),
      ...     lambda draw: 3.0 * draw,
      ...     dist.Bernoulli(logits=logits),
      ...     estimator=rj.StraightThrough(),
      ...   )
      >>> jax.grad(loss)(0.0).item()  # 3 p (1 - p)
      0.75
    """

    def draw_leaf(self, key, leaf, num_samples):
        """Draws hard values of one leaf."""
        _logits_and_event(leaf)
        return draw_values(key, leaf, (num_samples,))

    def estimates(self, costs, leaves, draws):
        """Gives each hard draw its cost."""
        return costs(
            [_attached(leaf, draw) for leaf, draw in zip(leaves, draws, strict=True)]
        )


def _attached(leaf: Distribution, draw: jax.Array) -> jax.Array:
    """Returns hard draws as floats, with the gradient of their probabilities."""
    logits, event_ndim = _logits_and_event(leaf)
    if event_ndim and not is_one_hot(leaf):
        draw = jax.nn.one_hot(draw, logits.shape[-1], dtype=logits.dtype)
    probs = jnp.broadcast_to(probabilities(logits, event_ndim)[None], draw.shape)
    return with_gradient_of(draw.astype(probs.dtype), probs)


def _logits_and_event(leaf):
    """Returns the logits of a leaf, and how many of their axes make up one draw."""
    for event_ndim, find in enumerate((bernoulli_logits, categorical_logits)):
        logits = find(leaf)
        if logits is not None:
            return logits, event_ndim
    raise TypeError(
        "`StraightThrough` takes Bernoulli laws, and laws on categories (Categorical, "
        f"or Multinomial of one trial), got {type(unwrap(leaf)).__name__}. "
        "`ScoreFunction` works for every law with a log-probability, and `Pathwise` "
        "for continuous ones."
    )
