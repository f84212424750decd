"""Gymnasium's Pendulum-v1: swing a rod up and hold it there."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

GRAVITY = 10.0
LENGTH = 1.0
MASS = 1.0
TIME_STEP = 0.05
MAX_SPEED = 8.0
MAX_TORQUE = 2.0
EPISODE_STEPS = 200
OBSERVATION_SIZE = 3
ACTION_SIZE = 1


class State(NamedTuple):
    """Angle from upright in radians, and its velocity in radians a second."""

    angle: jax.Array
    velocity: jax.Array


def reset(key: jax.Array) -> State:
    """Starts an episode: any angle, velocity in (-1, 1).

    Args:
      key: one key.

    Returns:
      The first state.
    """
    angle_key, velocity_key = jax.random.split(key)
    return State(
        jax.random.uniform(angle_key, minval=-jnp.pi, maxval=jnp.pi),
        jax.random.uniform(velocity_key, minval=-1.0, maxval=1.0),
    )


def observe(state: State) -> jax.Array:
    """What the agent sees: cosine and sine of the angle, and the velocity.

    Args:
      state: angle and velocity.

    Returns:
      An array of shape (3,).
    """
    return jnp.stack([jnp.cos(state.angle), jnp.sin(state.angle), state.velocity])


def step(state: State, action: jax.Array) -> tuple[State, jax.Array]:
    r"""Advances by one time step of semi-implicit Euler integration.

    .. math:: \ddot\theta = \frac{3 g}{2 l} \sin\theta + \frac{3}{m l^2} u, \qquad
       r = -(\theta^2 + 0.1 \dot\theta^2 + 0.001 u^2)

    for :math:`\theta` in :math:`[-\pi, \pi)`, before the step.

    Args:
      state: angle and velocity.
      action: the torque, of shape (1,), over its greatest value: in [-1, 1].

    Returns:
      The next state, and the reward.
    """
    torque = MAX_TORQUE * jnp.clip(action[0], -1.0, 1.0)
    centred = (state.angle + jnp.pi) % (2 * jnp.pi) - jnp.pi
    reward = -(centred**2 + 0.1 * state.velocity**2 + 0.001 * torque**2)
    gravity = 3 * GRAVITY / (2 * LENGTH) * jnp.sin(state.angle)
    acceleration = gravity + 3 / (MASS * LENGTH**2) * torque
    velocity = state.velocity + TIME_STEP * acceleration
    velocity = jnp.clip(velocity, -MAX_SPEED, MAX_SPEED)
    return State(state.angle + TIME_STEP * velocity, velocity), reward
