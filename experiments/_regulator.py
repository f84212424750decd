"""A linear-quadratic regulator over few steps, followed by a linear policy."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Regulator(NamedTuple):
    r"""The system, and what it costs.

    .. math:: x_{t+1} = A x_t + B u_t + w_t, \qquad
       J = \mathrm{E} \Big[ \sum_{t<T} x_t' Q x_t + u_t' R u_t + x_T' Q x_T \Big]

    with :math:`x_0` and the disturbances :math:`w_t` normal, of mean 0 and independent
    elements.

    Attributes:
      transition: A, of shape (states, states).
      control: B, of shape (states, actions).
      state_cost: Q, symmetric, positive semi-definite.
      action_cost: R, symmetric, positive definite.
      initial_std: of the elements of the first state.
      disturbance_std: of the elements of a disturbance.
    """

    transition: jax.Array
    control: jax.Array
    state_cost: jax.Array
    action_cost: jax.Array
    initial_std: jax.Array
    disturbance_std: jax.Array


class Policy(NamedTuple):
    r"""Actions :math:`u_t \sim N(K_t x_t, \mathrm{diag}(\sigma^2))`.

    Attributes:
      gains: :math:`K_t`, of shape (steps, actions, states).
      log_std: :math:`\log \sigma`, of shape (actions,), the same in all steps.
    """

    gains: jax.Array
    log_std: jax.Array


class Noise(NamedTuple):
    """All that is random in a trajectory: standard normal draws.

    Attributes:
      initial: of the first state, (states,).
      action: (steps, actions).
      disturbance: (steps, states).
    """

    initial: jax.Array
    action: jax.Array
    disturbance: jax.Array


class Trajectory(NamedTuple):
    """What happened: states of shape (steps + 1, states), actions (steps, actions)."""

    states: jax.Array
    actions: jax.Array


def double_integrator(*, time_step: float = 0.3) -> Regulator:
    """A mass on a line, pushed by a force: the state is position and velocity.

    Args:
      time_step: seconds between two actions.

    Returns:
      The regulator.
    """
    return Regulator(
        transition=jnp.array([[1.0, time_step], [0.0, 1.0]]),
        control=jnp.array([[time_step**2 / 2], [time_step]]),
        state_cost=jnp.diag(jnp.array([1.0, 0.1])),
        action_cost=jnp.array([[0.1]]),
        initial_std=jnp.array([0.5, 0.5]),
        disturbance_std=jnp.array([0.05, 0.1]),
    )


def step(
    regulator: Regulator, state: jax.Array, action: jax.Array, noise: jax.Array
) -> jax.Array:
    """Advances by one step.

    Args:
      regulator: the system.
      state: of shape (states,).
      action: of shape (actions,).
      noise: standard normal, of shape (states,).

    Returns:
      The next state.
    """
    disturbance = regulator.disturbance_std * noise
    return regulator.transition @ state + regulator.control @ action + disturbance


def rollout(regulator: Regulator, policy: Policy, noise: Noise) -> Trajectory:
    """Follows a policy for all its steps; differentiable through the dynamics.

    Args:
      regulator: the system.
      policy: gains and standard deviation.
      noise: of this trajectory.

    Returns:
      The trajectory.
    """
    std = jnp.exp(policy.log_std)

    def advance(state, inputs):
        gain, action_noise, disturbance_noise = inputs
        action = gain @ state + std * action_noise
        return step(regulator, state, action, disturbance_noise), (state, action)

    first = regulator.initial_std * noise.initial
    inputs = (policy.gains, noise.action, noise.disturbance)
    last, (states, actions) = jax.lax.scan(advance, first, inputs)
    return Trajectory(jnp.concatenate([states, last[None]]), actions)


def running_costs(
    regulator: Regulator, states: jax.Array, actions: jax.Array
) -> jax.Array:
    """What states and actions cost before the next state is reached.

    Args:
      regulator: the system.
      states: of shape (..., states).
      actions: of shape (..., actions).

    Returns:
      An array of shape (...).
    """
    of_states = quadratic(regulator.state_cost, states)
    return of_states + quadratic(regulator.action_cost, actions)


def costs(regulator: Regulator, trajectory: Trajectory) -> jax.Array:
    """The cost of every step; the last state's is in that of the last step.

    Args:
      regulator: the system.
      trajectory: states and actions.

    Returns:
      An array of shape (steps,).
    """
    states, actions = trajectory
    running = running_costs(regulator, states[:-1], actions)
    return running.at[-1].add(quadratic(regulator.state_cost, states[-1]))


def quadratic(matrix: jax.Array, vectors: jax.Array) -> jax.Array:
    """The forms ``x' M x``.

    Args:
      matrix: M, or one for each vector.
      vectors: of shape (..., size).

    Returns:
      An array of shape (...).
    """
    return jnp.einsum("...i,...ij,...j->...", vectors, matrix, vectors)


def costs_from_each(
    regulator: Regulator,
    policy: Policy,
    states: jax.Array,
    actions: jax.Array,
    noise: Any,
) -> jax.Array:
    """Restarts the simulator at every visited state, with an action of one's own.

    Args:
      regulator: the system.
      policy: what is followed after that action.
      states: of shape (steps, states).
      actions: of shape (steps, actions).
      noise: of actions and disturbances, of shape (steps, starts, size) each.

    Returns:
      The costs from each start to the end, of shape (starts,).
    """
    starts = jnp.arange(len(states))
    std = jnp.exp(policy.log_std)

    def advance(carry, inputs):
        state, total = carry
        time, gain, action_noise, disturbance_noise = inputs
        follow = state @ gain.T + std[None] * action_noise
        action = jnp.where((starts == time)[:, None], actions, follow)
        moved = jax.vmap(step, (None, 0, 0, 0))(
            regulator, state, action, disturbance_noise
        )
        cost = running_costs(regulator, state, action)
        # A row waits at its own state until its turn.
        has_begun = starts <= time
        state = jnp.where(has_begun[:, None], moved, state)
        return (state, total + jnp.where(has_begun, cost, 0.0)), None

    first = states, jnp.zeros(len(states))
    inputs = starts, policy.gains, *noise
    (last, total), _ = jax.lax.scan(advance, first, inputs)
    return total + quadratic(regulator.state_cost, last)
