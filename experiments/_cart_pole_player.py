"""Who plays CartPole: a policy, a critic, and the episodes of the policy."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from flax import nnx

from . import _cart_pole
from ._cart_pole import EPISODE_STEPS, OBSERVATION_SIZE, State
from ._sac import Network

# Brings the four numbers of an observation to about 1.
OBSERVATION_SCALE = (2.4, 2.0, 0.2, 2.0)


class Episodes(NamedTuple):
    """What happened in episodes that run at the same time.

    Attributes:
      states: before each step, arrays of shape (steps, episodes).
      actions: 0 or 1, of shape (steps, episodes).
      is_on: whether the episode goes on before each step, (steps, episodes).
      last: the states after all steps, (episodes,).
      is_cut: whether the time was up before the pole fell, (episodes,).
    """

    states: State
    actions: jax.Array
    is_on: jax.Array
    last: State
    is_cut: jax.Array


class Player:
    """The networks of policy and critic, alike in shape.

    Args:
      width: of the two hidden layers.
      discount: of future rewards, in the critic.
    """

    def __init__(self, *, width: int, discount: float):
        self._width = width
        self._discount = discount
        self._definition, _ = self._make(jax.random.key(0))

    def init(self, key: jax.Array) -> nnx.State:
        """Makes the parameters of a policy or a critic.

        Args:
          key: one key.

        Returns:
          The parameters.
        """
        return self._make(key)[1]

    def _make(self, key):
        rngs = nnx.Rngs(key)
        return nnx.split(Network(OBSERVATION_SIZE, 1, width=self._width, rngs=rngs))

    def _apply(self, parameters, state):
        scale = jnp.broadcast_to(1 / jnp.array(OBSERVATION_SCALE), (OBSERVATION_SIZE,))
        observation = jnp.einsum("...i,i->...i", _cart_pole.observe(state), scale)
        return nnx.merge(self._definition, parameters)(observation)[..., 0]

    def actions_at(self, policy: nnx.State, state: State) -> dist.Distribution:
        """The law of the actions: 1 pushes to the right.

        Args:
          policy: its parameters.
          state: of one cart, or arrays of many.

        Returns:
          A Bernoulli distribution of the states' shape.
        """
        return dist.Bernoulli(logits=self._apply(policy, state))

    def value(self, critic: nnx.State, state: State) -> jax.Array:
        """The discounted reward that the critic expects from a state on.

        Args:
          critic: its parameters.
          state: of one cart, or arrays of many.

        Returns:
          An array of the states' shape.
        """
        return self._apply(critic, state) / (1 - self._discount)

    def act(self, policy: nnx.State, state: State, noise: jax.Array) -> jax.Array:
        """Draws actions, without gradient.

        Args:
          policy: its parameters.
          state: of one cart, or arrays of many.
          noise: uniform on [0, 1), of the states' shape.

        Returns:
          0 or 1, of the states' shape.
        """
        logits = jax.lax.stop_gradient(self._apply(policy, state))
        return (noise < jax.nn.sigmoid(logits)).astype(jnp.int32)

    def collect(
        self, policy: nnx.State, key: jax.Array, *, num_episodes: int
    ) -> Episodes:
        """Plays episodes from fresh starts.

        Args:
          policy: its parameters.
          key: one key.
          num_episodes: how many.

        Returns:
          The episodes.
        """
        start_key, noise_key = jax.random.split(key)
        first = jax.vmap(_cart_pole.reset)(jax.random.split(start_key, num_episodes))
        noise = jax.random.uniform(noise_key, (EPISODE_STEPS, num_episodes))

        def advance(carry, noise):
            state, is_on = carry
            action = self.act(policy, state, noise)
            moved = _cart_pole.step(state, action)
            return (moved, is_on & ~_cart_pole.is_over(moved)), (state, action, is_on)

        start = first, jnp.ones(num_episodes, bool)
        (last, is_cut), visited = jax.lax.scan(advance, start, noise)
        return Episodes(*visited, last, is_cut)
