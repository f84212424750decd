"""Optimal gains, exact cost and exact policy gradient of the regulator."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ._regulator import Policy, Regulator


class ValueFunction(NamedTuple):
    r"""The expected cost from step t on, :math:`V_t(x) = x' P_t x + c_t`.

    Attributes:
      matrix: :math:`P_t`, of shape (steps + 1, states, states).
      offset: :math:`c_t`, of shape (steps + 1,).
    """

    matrix: jax.Array
    offset: jax.Array


def optimal_gains(regulator: Regulator, *, num_steps: int) -> jax.Array:
    r"""The gains of least cost, by the Riccati recursion.

    .. math:: K_t = -(R + B' P_{t+1} B)^{-1} B' P_{t+1} A, \qquad
       P_t = Q + A' P_{t+1} (A + B K_t), \qquad P_T = Q

    Args:
      regulator: the system.
      num_steps: T.

    Returns:
      An array of shape (steps, actions, states).
    """
    transition, control, state_cost, action_cost, *_ = regulator

    def retreat(matrix, _):
        reached = control.T @ matrix
        gain = -jnp.linalg.solve(action_cost + reached @ control, reached @ transition)
        matrix = state_cost + transition.T @ matrix @ (transition + control @ gain)
        return matrix, gain

    _, gains = jax.lax.scan(retreat, state_cost, length=num_steps, reverse=True)
    return gains


def value_function(regulator: Regulator, policy: Policy) -> ValueFunction:
    r"""The expected cost to go of a policy, optimal or not.

    .. math:: P_t &= Q + K_t' R K_t + (A + B K_t)' P_{t+1} (A + B K_t) \\
       c_t &= c_{t+1} + \mathrm{tr}(W P_{t+1})
              + \mathrm{tr}(S (R + B' P_{t+1} B))

    with W and S the covariances of disturbance and action, and :math:`P_T = Q`,
    :math:`c_T = 0`.

    Args:
      regulator: the system.
      policy: gains and standard deviation.

    Returns:
      The value function of every step.
    """
    transition, control, state_cost, action_cost, *_ = regulator
    disturbance_var = regulator.disturbance_std**2
    action_var = jnp.exp(2 * policy.log_std)

    def retreat(value, gain):
        matrix, offset = value
        of_action = action_cost + control.T @ matrix @ control
        offset += disturbance_var @ jnp.diag(matrix) + action_var @ jnp.diag(of_action)
        closed = transition + control @ gain
        matrix = state_cost + gain.T @ action_cost @ gain + closed.T @ matrix @ closed
        return (matrix, offset), (matrix, offset)

    last = state_cost, jnp.zeros((), state_cost.dtype)
    _, values = jax.lax.scan(retreat, last, policy.gains, reverse=True)
    return ValueFunction(
        *(
            jnp.concatenate([value, end[None]])
            for value, end in zip(values, last, strict=True)
        )
    )


def second_moments(regulator: Regulator, policy: Policy) -> jax.Array:
    r"""The moments :math:`\mathrm{E} x_t x_t'` of the states.

    Args:
      regulator: the system.
      policy: gains and standard deviation.

    Returns:
      An array of shape (steps + 1, states, states).
    """
    transition, control, *_ = regulator
    action_cov = jnp.diag(jnp.exp(2 * policy.log_std))
    added = control @ action_cov @ control.T + jnp.diag(regulator.disturbance_std**2)

    def advance(moment, gain):
        closed = transition + control @ gain
        moment = closed @ moment @ closed.T + added
        return moment, moment

    first = jnp.diag(regulator.initial_std**2)
    _, moments = jax.lax.scan(advance, first, policy.gains)
    return jnp.concatenate([first[None], moments])


def exact_cost(regulator: Regulator, policy: Policy) -> jax.Array:
    """The expected cost of a trajectory, by the moments of its states.

    Args:
      regulator: the system.
      policy: gains and standard deviation.

    Returns:
      A number.
    """
    moments = second_moments(regulator, policy)
    of_states = jnp.einsum("ij,tji->", regulator.state_cost, moments)
    of_gains = jnp.einsum(
        "tij,tjk,tlk,li->",
        policy.gains,
        moments[:-1],
        policy.gains,
        regulator.action_cost,
    )
    action_var = jnp.exp(2 * policy.log_std)
    of_noise = len(policy.gains) * jnp.diag(regulator.action_cost) @ action_var
    return of_states + of_gains + of_noise


def exact_gradient(regulator: Regulator, policy: Policy) -> Policy:
    r"""The gradient of :func:`exact_cost`, in closed form.

    .. math:: \frac{\partial J}{\partial K_t} &= 2 \left( (R + B' P_{t+1} B) K_t
       + B' P_{t+1} A \right) \mathrm{E} x_t x_t' \\
       \frac{\partial J}{\partial \log \sigma_j} &=
       2 \sigma_j^2 \sum_t (R + B' P_{t+1} B)_{jj}

    Args:
      regulator: the system.
      policy: gains and standard deviation.

    Returns:
      The derivatives, as a policy.

    References:
      Fazel, Ge, Kakade, Mesbahi. Global convergence of policy gradient methods for the
      linear quadratic regulator. ICML 2018, lemma 1, there for constant gains.
    """
    transition, control, *_ = regulator
    reached = control.T @ value_function(regulator, policy).matrix[1:]
    of_actions = regulator.action_cost[None] + reached @ control
    moments = second_moments(regulator, policy)[:-1]
    action_var = jnp.exp(2 * policy.log_std)
    return Policy(
        gains=2 * (of_actions @ policy.gains + reached @ transition) @ moments,
        log_std=2 * action_var * jnp.einsum("tjj->j", of_actions),
    )
