"""Gymnasium's CartPole-v1: keep a pole upright by pushing its cart left or right."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

GRAVITY = 9.8
CART_MASS = 1.0
POLE_MASS = 0.1
HALF_LENGTH = 0.5
FORCE = 10.0
TIME_STEP = 0.02
MAX_POSITION = 2.4
MAX_ANGLE = 12 * 2 * jnp.pi / 360
EPISODE_STEPS = 500
OBSERVATION_SIZE = 4


class State(NamedTuple):
    """Position in metres, angle from upright in radians, and their velocities."""

    position: jax.Array
    velocity: jax.Array
    angle: jax.Array
    angular_velocity: jax.Array


def reset(key: jax.Array) -> State:
    """Starts an episode: all four numbers in (-0.05, 0.05).

    Args:
      key: one key.

    Returns:
      The first state.
    """
    return State(*jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05))


def observe(state: State) -> jax.Array:
    """What the agent sees: the four numbers.

    Args:
      state: of one cart, or arrays of many.

    Returns:
      An array of shape (..., 4).
    """
    return jnp.stack(state, -1)


def step(state: State, action: jax.Array) -> State:
    r"""Advances by one time step of explicit Euler integration.

    With the force :math:`F`, the masses :math:`m_p` of the pole and :math:`m` of both,
    and :math:`l` half the pole's length,

    .. math:: q = \frac{F + m_p l \dot\theta^2 \sin\theta}{m}, \qquad
       \ddot\theta = \frac{g \sin\theta - q \cos\theta}
       {l (4/3 - m_p \cos^2\theta / m)}, \qquad
       \ddot x = q - \frac{m_p l \ddot\theta \cos\theta}{m}.

    Every step of an episode has reward 1, also that in which the pole falls.

    Args:
      state: of one cart, or arrays of many.
      action: 1 pushes to the right, 0 to the left.

    Returns:
      The next state.

    References:
      Barto, Sutton, Anderson. Neuronlike adaptive elements that can solve difficult
      learning control problems. IEEE Transactions on Systems, Man, and Cybernetics,
      1983. Florian. Correct equations for the dynamics of the cart-pole system. 2007,
      without friction.
    """
    mass = CART_MASS + POLE_MASS
    force = jnp.where(action == 1, FORCE, -FORCE)
    sine, cosine = jnp.sin(state.angle), jnp.cos(state.angle)
    swing = POLE_MASS * HALF_LENGTH * state.angular_velocity**2 * sine
    push = (force + swing) / mass
    inertia = HALF_LENGTH * (4 / 3 - POLE_MASS * cosine**2 / mass)
    angular_acceleration = (GRAVITY * sine - cosine * push) / inertia
    reaction = POLE_MASS * HALF_LENGTH * angular_acceleration * cosine / mass
    return State(
        position=state.position + TIME_STEP * state.velocity,
        velocity=state.velocity + TIME_STEP * (push - reaction),
        angle=state.angle + TIME_STEP * state.angular_velocity,
        angular_velocity=state.angular_velocity + TIME_STEP * angular_acceleration,
    )


def is_over(state: State) -> jax.Array:
    """Whether the pole has fallen, or the cart has left the track.

    Args:
      state: of one cart, or arrays of many.

    Returns:
      A boolean. An episode also ends after 500 steps.
    """
    is_outside = jnp.abs(state.position) > MAX_POSITION
    return is_outside | (jnp.abs(state.angle) > MAX_ANGLE)
