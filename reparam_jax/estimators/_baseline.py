"""A baseline that follows the costs of earlier steps."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class MovingAverageState(NamedTuple):
    """What a moving average has seen: the weighted sum of costs, and the weights' sum.

    Args:
      total: of the shape of the baseline.
      weight: between 0 and 1.
    """

    total: jax.Array
    weight: jax.Array

    @property
    def value(self) -> jax.Array:
        """The average, 0 before the first update."""
        seen = self.weight > 0
        return jnp.where(seen, self.total / jnp.where(seen, self.weight, 1), 0)


class MovingAverage(NamedTuple):
    """A pair of pure functions.

    Args:
      init: ``(shape=()) -> state``.
      update: ``(state, cost) -> state``.
    """

    init: Callable[..., MovingAverageState]
    update: Callable[[MovingAverageState, jax.Array], MovingAverageState]


def moving_average_baseline(decay: float = 0.99) -> MovingAverage:
    r"""Makes a baseline for :class:`ScoreFunction`: the average cost of earlier steps.

    .. math:: m_t = \gamma \, m_{t-1} + (1 - \gamma) f_t, \qquad
       b_t = m_t / (1 - \gamma^t)

    for the decay :math:`\gamma` and the costs :math:`f_t`.

    Args:
      decay: between 0, for the last cost alone, and below 1.

    Returns:
      ``(init, update)``: ``init(shape=())`` makes a state for a baseline of that
      shape, ``update(state, cost)`` the next one from a cost whose trailing axes are
      that shape; leading ones are averaged. ``state.value`` is the baseline of the next
      step: 0 at first, and independent of the draws to come, so gradients stay
      unbiased.

    Raises:
      ValueError: ``decay`` is not in [0, 1).

    Gradient:
      None: costs are not differentiated.

    Example:
      >>> import jax, numpyro.distributions as dist, reparam_jax as rj
      >>> baseline = rj.moving_average_baseline(decay=0.9)
      >>> state = baseline.init()
      >>> def loss(logits, key, state):
      ...   return rj.expectation(
      ...     key, lambda b: 5.0 + b, dist.Bernoulli(logits=logits),
      ...     estimator=rj.ScoreFunction(baseline=state.value),
      ...   )
      >>> cost, slope = jax.value_and_grad(loss)(0.5, jax.random.key(0), state)
      >>> state = baseline.update(state, cost)
      >>> float(state.value) == float(cost)
      True
    """
    if not 0 <= decay < 1:
        raise ValueError(
            f"`moving_average_baseline` needs `decay` in [0, 1), got {decay}."
        )

    def init(shape: tuple[int, ...] = ()) -> MovingAverageState:
        return MovingAverageState(jnp.zeros(shape), jnp.zeros(()))

    def update(state: MovingAverageState, cost: jax.Array) -> MovingAverageState:
        cost = lax.stop_gradient(jnp.asarray(cost))
        cost = jnp.mean(cost, tuple(range(cost.ndim - state.total.ndim)))
        total = decay * state.total + (1 - decay) * cost
        return MovingAverageState(total, decay * state.weight + (1 - decay))

    return MovingAverage(init, update)
