"""Policy gradients on the regulator, from samples, by many estimators."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

import reparam_jax as rj

from . import _regulator, _regulator_exact
from ._policy_score import costs_to_go, mean_of_others, score_estimate
from ._regulator import Noise, Policy, Regulator, Trajectory
from ._regulator_exact import ValueFunction

NUM_STEPS = 10
TRAJECTORIES = 4


class Arm(NamedTuple):
    """One estimator of the policy gradient.

    Attributes:
      surrogate: ``(key, policy, regulator) -> cost``, whose gradient is the estimate.
      environment_steps: of one estimate.
      knows: beside the simulator's states and costs.
      is_biased: whether its mean is not the gradient.
    """

    surrogate: Callable[[jax.Array, Policy, Regulator], jax.Array]
    environment_steps: int
    knows: str
    is_biased: bool = False


def make_setting() -> tuple[Regulator, Policy]:
    """The double integrator, and a policy of half the optimal gains.

    Returns:
      The system and the policy.
    """
    regulator = _regulator.double_integrator()
    gains = _regulator_exact.optimal_gains(regulator, num_steps=NUM_STEPS)
    return regulator, Policy(gains / 2, jnp.log(jnp.array([0.5])))


def standard_noise(regulator: Regulator, policy: Policy) -> Noise:
    """The law of a trajectory's noise.

    Args:
      regulator: the system.
      policy: gains and standard deviation.

    Returns:
      A tree of standard normal distributions, each one event.
    """
    steps, actions, states = policy.gains.shape
    shapes = (states,), (steps, actions), (steps, states)

    def law(shape) -> Any:
        normal = dist.Normal(jnp.zeros(shape), jnp.ones(shape))
        return normal.to_event(len(shape))

    return Noise(*map(law, shapes))


def pathwise(key: jax.Array, policy: Policy, regulator: Regulator) -> jax.Array:
    """Through the actions, the dynamics and the costs of a whole trajectory.

    Args:
      key: one key.
      policy: gains and standard deviation.
      regulator: the system.

    Returns:
      The cost of the trajectory.
    """

    def total_cost(noise, policy):
        trajectory = _regulator.rollout(regulator, policy, noise)
        return jnp.sum(_regulator.costs(regulator, trajectory))

    noise = standard_noise(regulator, policy)
    return rj.expectation(key, total_cost, noise, policy, estimator=rj.Pathwise())


def visit(key: jax.Array, policy: Policy, regulator: Regulator) -> Trajectory:
    """Follows the policy in a simulator that has no gradient.

    Args:
      key: one key.
      policy: gains and standard deviation.
      regulator: the system.

    Returns:
      The trajectory.
    """
    noise = rj.sample(key, standard_noise(regulator, policy))
    return jax.lax.stop_gradient(_regulator.rollout(regulator, policy, noise))


def actions_at(policy: Policy, states: jax.Array) -> dist.Independent:
    """The law of the actions at visited states, one element of the batch a step.

    Args:
      policy: gains and standard deviation.
      states: of shape (..., steps + 1, states); the last has no action.

    Returns:
      A normal of batch shape (..., steps).
    """
    means = jnp.einsum("tij,...tj->...ti", policy.gains, states[..., :-1, :])
    std = jnp.broadcast_to(jnp.exp(policy.log_std), means.shape)
    return dist.Independent(dist.Normal(means, std), 1)


def exact_value(regulator: Regulator, policy: Policy) -> ValueFunction:
    """The policy's own value function, without gradient: the perfect critic.

    Args:
      regulator: the system.
      policy: gains and standard deviation.

    Returns:
      The value function.
    """
    return jax.lax.stop_gradient(_regulator_exact.value_function(regulator, policy))


def value_without_products(regulator: Regulator, policy: Policy) -> ValueFunction:
    """A critic that cannot say how position and velocity act together.

    Args:
      regulator: the system.
      policy: gains and standard deviation.

    Returns:
      The value function, its matrices cut down to their diagonals.
    """
    value = exact_value(regulator, policy)
    size = value.matrix.shape[-1]
    return value._replace(matrix=value.matrix * jnp.eye(size)[None])


def _next_values(value, next_states):
    return _regulator.quadratic(value.matrix[1:], next_states) + value.offset[1:]


def stochastic_value_gradient(critic):
    """SVG(1): one step of the model, from every visited state, into a critic.

    The noise of the action and the disturbance are inferred from the transition.

    Args:
      critic: ``(regulator, policy) -> value function``.

    Returns:
      A surrogate.
    """

    def surrogate(key, policy, regulator):
        visited = visit(key, policy, regulator)
        states, next_states = visited.states[:-1], visited.states[1:]
        law: Any = actions_at(policy, visited.states).base_dist
        noise = jax.lax.stop_gradient((visited.actions - law.loc) / law.scale)

        def model(actions):
            return states @ regulator.transition.T + actions @ regulator.control.T

        disturbances = next_states - model(visited.actions)
        actions = rj.normal_from_noise(noise, law.loc, std=law.scale)
        values = _next_values(critic(regulator, policy), model(actions) + disturbances)
        return jnp.sum(_regulator.running_costs(regulator, states, actions) + values)

    return surrogate


def score_function(kind: str):
    """The score function at the actions taken, along whole trajectories.

    Args:
      kind: what an action is credited with: ``"whole"``, the cost of the trajectory;
        ``"to go"``, what it costs from there on; ``"value"``, that less the exact value
        of the state; ``"others"``, that less the mean of the other trajectories.

    Returns:
      A surrogate.
    """
    count = TRAJECTORIES if kind == "others" else 1

    def surrogate(key, policy, regulator):
        keys = jax.random.split(key, count)
        visited = jax.vmap(lambda key: visit(key, policy, regulator))(keys)
        costs = jax.vmap(lambda path: _regulator.costs(regulator, path))(visited)
        law = actions_at(policy, visited.states)
        if kind == "whole":
            return score_estimate(law, visited.actions, jnp.sum(costs))
        to_go = costs_to_go(costs.T).T
        if kind == "to go":
            baseline = None
        elif kind == "value":
            value = exact_value(regulator, policy)
            matrices, offsets = value.matrix[None, :-1], value.offset[None, :-1]
            baseline = _regulator.quadratic(matrices, visited.states[:, :-1]) + offsets
        else:
            baseline = mean_of_others(to_go)
        estimates = score_estimate(law, visited.actions, to_go, baseline=baseline)
        return jnp.sum(estimates) / count

    return surrogate


def at_visited_states(estimator: Any, *, num_samples: int = 1, restarts: bool = False):
    """Draws actions anew at every visited state, for an action-value.

    Args:
      estimator: of the library.
      num_samples: of actions at each state.
      restarts: whether the action-value is the cost of a simulation that restarts
        there, with the same noise for all actions of a state; else the exact one.

    Returns:
      A surrogate.
    """

    def surrogate(key, policy, regulator):
        visit_key, restart_key, action_key = jax.random.split(key, 3)
        visited = visit(visit_key, policy, regulator)
        fixed = jax.lax.stop_gradient(policy)
        value = exact_value(regulator, policy)
        disturbance_var = regulator.disturbance_std**2
        spread = jnp.einsum("i,tii->t", disturbance_var, value.matrix[1:])

        def exact_action_value(actions, states, noise):
            del noise
            moved = states @ regulator.transition.T + actions @ regulator.control.T
            later = _next_values(value, moved) + spread
            return _regulator.running_costs(regulator, states, actions) + later

        def simulated_action_value(actions, states, noise):
            return _regulator.costs_from_each(regulator, fixed, states, actions, noise)

        law = actions_at(policy, visited.states)
        steps, size = visited.states[:-1].shape
        shapes = (steps, steps, len(policy.log_std)), (steps, steps, size)
        noise = [
            rj.normal(key, 0.0, 1.0, shape=shape)
            for key, shape in zip(jax.random.split(restart_key), shapes, strict=True)
        ]
        estimates = rj.expectation(
            action_key,
            simulated_action_value if restarts else exact_action_value,
            law,
            visited.states[:-1],
            noise,
            num_samples=num_samples,
            estimator=estimator,
        )
        return jnp.sum(estimates)

    return surrogate


def _restarted(evaluations):
    return NUM_STEPS + evaluations * NUM_STEPS * (NUM_STEPS + 1) // 2


LEAVE_ONE_OUT = rj.ScoreFunction(baseline="leave_one_out")
# A measure-valued estimate for a normal action evaluates 1 + 4 actions.
ARMS = {
    "pathwise, whole trajectory": Arm(pathwise, NUM_STEPS, "derivatives of it all"),
    "SVG(1), exact value": Arm(
        stochastic_value_gradient(exact_value), NUM_STEPS, "model, value"
    ),
    "SVG(1), value without products": Arm(
        stochastic_value_gradient(value_without_products),
        NUM_STEPS,
        "model, wrong value",
        is_biased=True,
    ),
    "score function, whole cost": Arm(score_function("whole"), NUM_STEPS, "nothing"),
    "score function, cost to go": Arm(score_function("to go"), NUM_STEPS, "nothing"),
    "score function, leave-one-out": Arm(
        score_function("others"), TRAJECTORIES * NUM_STEPS, "nothing"
    ),
    "score function, value as baseline": Arm(
        score_function("value"), NUM_STEPS, "value"
    ),
    "leave-one-out of 2 actions": Arm(
        at_visited_states(LEAVE_ONE_OUT, num_samples=2), NUM_STEPS, "action-value"
    ),
    "measure-valued": Arm(
        at_visited_states(rj.MeasureValued()), NUM_STEPS, "action-value"
    ),
    "pathwise in the action": Arm(
        at_visited_states(rj.Pathwise()), NUM_STEPS, "action-value"
    ),
    "leave-one-out of 2 actions, restarts": Arm(
        at_visited_states(LEAVE_ONE_OUT, num_samples=2, restarts=True),
        _restarted(2),
        "restarts",
    ),
    "measure-valued, restarts": Arm(
        at_visited_states(rj.MeasureValued(), restarts=True), _restarted(5), "restarts"
    ),
}
