"""Score-function gradients at the actions that a trajectory took."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

import reparam_jax as rj


def score_estimate(
    law: dist.Distribution,
    actions: jax.Array,
    costs: jax.Array,
    *,
    baseline: jax.Array | None = None,
) -> jax.Array:
    """Gives costs the score-function gradient of actions that were already taken.

    Args:
      law: of the actions at the visited states.
      actions: of the shape of ``law``.
      costs: what came after each action, of the law's batch shape; or one number, which
        is credited with all actions.
      baseline: subtracted from the costs; must not depend on the action it goes with.

    Returns:
      ``costs``.
    """
    estimator = rj.ScoreFunction(baseline=baseline)
    return estimator.estimate(lambda _: costs, law, actions[None])


def mean_of_others(values: jax.Array) -> jax.Array:
    """The leave-one-out baseline of independent trajectories.

    Args:
      values: of shape (trajectories, ...).

    Returns:
      For each trajectory the mean of the others.
    """
    total = jnp.sum(values, 0, keepdims=True)
    return (total - values) / (len(values) - 1)


def costs_to_go(costs: jax.Array, *, discount: float = 1.0) -> jax.Array:
    """What each step and those after it cost.

    Args:
      costs: of shape (steps, ...).
      discount: of a cost one step later.

    Returns:
      An array of that shape.
    """

    def retreat(later, cost):
        total = cost + discount * later
        return total, total

    _, totals = jax.lax.scan(retreat, jnp.zeros_like(costs[0]), costs, reverse=True)
    return totals
