"""Soft actor-critic on the pendulum: one agent, and its training as one scan."""

import dataclasses
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
from flax import nnx

import reparam_jax as rj

from . import _pendulum

LOG_VAR_RANGE = (-10.0, 4.0)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What an agent and its training are made of.

    Attributes:
      width: of the two hidden layers of policy and critics.
      batch_size: transitions in a minibatch.
      learning_rate: of Adam, for policy, critics and temperature.
      discount: of future rewards.
      target_rate: how far the target critics go to the critics in an update.
      random_steps: environment steps with uniform actions before the policy acts.
      steps_per_update: environment steps for each update.
      capacity: transitions that the replay buffer holds.
    """

    width: int
    batch_size: int
    learning_rate: float
    discount: float
    target_rate: float
    random_steps: int
    steps_per_update: int
    capacity: int


class Network(nnx.Module):
    """Two hidden layers of rectified linear units.

    Args:
      num_inputs: length of the input.
      num_outputs: length of the output.
      width: of the hidden layers.
      rngs: an ``nnx.Rngs`` for the initial parameters.
    """

    def __init__(
        self, num_inputs: int, num_outputs: int, *, width: int, rngs: nnx.Rngs
    ):
        self.hidden_1 = nnx.Linear(num_inputs, width, rngs=rngs)
        self.hidden_2 = nnx.Linear(width, width, rngs=rngs)
        self.readout = nnx.Linear(width, num_outputs, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Maps inputs (..., num_inputs) to outputs (..., num_outputs)."""
        return self.readout(nnx.relu(self.hidden_2(nnx.relu(self.hidden_1(inputs)))))


class Parameters(NamedTuple):
    """What an update changes: of the policy, both critics and the temperature."""

    policy: nnx.State
    critics: nnx.State
    log_temperature: jax.Array


class Transition(NamedTuple):
    """One environment step, or a batch of them."""

    observation: jax.Array
    action: jax.Array
    reward: jax.Array
    next_observation: jax.Array


class Agent(NamedTuple):
    """All that training carries on: an array tree."""

    parameters: Parameters
    target_critics: nnx.State
    opt_state: Any
    buffer: Transition
    environment: _pendulum.State


class SoftActorCritic:
    r"""Soft actor-critic with twin critics and a tuned temperature.

    The policy :math:`\pi` maximises reward and :math:`\alpha` times its entropy: with
    actions :math:`a = \tanh(\mu(s) + \sigma(s) \epsilon)`,

    .. math:: \nabla_\pi \, \mathrm{E}_\epsilon [\min_i Q_i(s, a) - \alpha \log \pi(a
       \mid s)]

    is taken through the draw.

    Args:
      settings: sizes and rates.

    References:
      Haarnoja et al. Soft actor-critic algorithms and applications. 2018.
      https://arxiv.org/abs/1812.05905
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        sizes = _pendulum.OBSERVATION_SIZE, _pendulum.ACTION_SIZE
        self._policy_sizes = sizes[0], 2 * sizes[1]
        self._critic_sizes = sum(sizes), 1
        self._optimizer = optax.adam(settings.learning_rate)
        self._policy_def, _ = self._network(self._policy_sizes, jax.random.key(0))
        self._critic_def, _ = self._network(self._critic_sizes, jax.random.key(0))

    def _network(self, sizes, key):
        network = Network(*sizes, width=self.settings.width, rngs=nnx.Rngs(key))
        return nnx.split(network)

    def init(self, key: jax.Array) -> Agent:
        """Makes a new agent, with an empty buffer, at the start of an episode.

        Args:
          key: one key.

        Returns:
          The agent.
        """
        policy_key, critic_key, reset_key = jax.random.split(key, 3)
        _, policy = self._network(self._policy_sizes, policy_key)
        critics = jax.vmap(lambda key: self._network(self._critic_sizes, key)[1])(
            jax.random.split(critic_key)
        )
        parameters = Parameters(policy, critics, jnp.zeros(()))
        observations = jnp.zeros((self.settings.capacity, _pendulum.OBSERVATION_SIZE))
        return Agent(
            parameters=parameters,
            target_critics=critics,
            opt_state=self._optimizer.init(parameters),
            buffer=Transition(
                observation=observations,
                action=jnp.zeros((self.settings.capacity, _pendulum.ACTION_SIZE)),
                reward=jnp.zeros(self.settings.capacity),
                next_observation=observations,
            ),
            environment=_pendulum.reset(reset_key),
        )

    def act(
        self, policy: nnx.State, observation: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Draws actions, with their log-probabilities and the gradients of both.

        Args:
          policy: its parameters.
          observation: of shape (..., 3).
          key: one key.

        Returns:
          Actions of shape (..., 1) in [-1, 1], and log-probabilities of shape (...).
        """
        mean, log_var = self._moments(policy, observation)
        action, log_prob = rj.tanh_normal(key, mean, log_var=log_var)
        return action, jnp.sum(log_prob, -1)

    def best_action(self, policy: nnx.State, observation: jax.Array) -> jax.Array:
        """The action at the mean of the normal.

        Args:
          policy: its parameters.
          observation: of shape (..., 3).

        Returns:
          Actions of shape (..., 1).
        """
        return jnp.tanh(self._moments(policy, observation)[0])

    def _moments(self, policy, observation):
        outputs = nnx.merge(self._policy_def, policy)(observation)
        mean, log_var = jnp.split(outputs, 2, -1)
        return mean, jnp.clip(log_var, *LOG_VAR_RANGE)

    def _values(self, critics, observation, action):
        """Of both critics, (2, ...)."""
        inputs = jnp.concatenate([observation, action], -1)

        def value(critic):
            return nnx.merge(self._critic_def, critic)(inputs)[..., 0]

        return jax.vmap(value)(critics)

    def loss(
        self,
        parameters: Parameters,
        target_critics: nnx.State,
        batch: Transition,
        key: jax.Array,
    ) -> jax.Array:
        """The losses of critics, policy and temperature, added up.

        Each differentiates only its own parameters. An episode ends by its length
        alone, so that every next observation has a value.

        Args:
          parameters: of the agent.
          target_critics: the slow copy of the critics.
          batch: transitions.
          key: one key.

        Returns:
          A number.
        """
        stop = jax.lax.stop_gradient
        target_key, policy_key = jax.random.split(key)
        policy, critics, log_temperature = parameters
        temperature = stop(jnp.exp(log_temperature))
        next_action, next_log_prob = self.act(
            stop(policy), batch.next_observation, target_key
        )
        next_values = self._values(target_critics, batch.next_observation, next_action)
        soft_value = jnp.min(next_values, 0) - temperature * next_log_prob
        target = stop(batch.reward + self.settings.discount * soft_value)
        values = self._values(critics, batch.observation, batch.action)
        chex.assert_shape(values, (2, *target.shape))
        critic_loss = jnp.sum(jnp.mean((values - target[None]) ** 2, 1))
        action, log_prob = self.act(policy, batch.observation, policy_key)
        value = jnp.min(self._values(stop(critics), batch.observation, action), 0)
        policy_loss = jnp.mean(temperature * log_prob - value)
        # The entropy that is aimed at: -1 nat for each coordinate of the action.
        excess = stop(jnp.mean(log_prob)) - _pendulum.ACTION_SIZE
        return critic_loss + policy_loss - log_temperature * excess

    def interact(self, agent: Agent, index: jax.Array, key: jax.Array) -> Agent:
        """Takes one environment step, and puts it into the buffer.

        Args:
          agent: the agent.
          index: of the step, from 0.
          key: one key.

        Returns:
          The agent, in the next state or a new episode.
        """
        act_key, random_key, reset_key = jax.random.split(key, 3)
        observation = _pendulum.observe(agent.environment)
        action, _ = self.act(agent.parameters.policy, observation, act_key)
        uniform = jax.random.uniform(random_key, action.shape, minval=-1.0)
        action = jnp.where(index < self.settings.random_steps, uniform, action)
        environment, reward = _pendulum.step(agent.environment, action)
        transition = Transition(
            observation, action, reward, _pendulum.observe(environment)
        )
        place = index % self.settings.capacity
        buffer = jax.tree.map(
            lambda rows, row: rows.at[place].set(row), agent.buffer, transition
        )
        is_over = (index + 1) % _pendulum.EPISODE_STEPS == 0
        environment = jax.tree.map(
            lambda new, old: jnp.where(is_over, new, old),
            _pendulum.reset(reset_key),
            environment,
        )
        return agent._replace(buffer=buffer, environment=environment)

    def update(self, agent: Agent, count: jax.Array, key: jax.Array) -> Agent:
        """Takes one gradient step on a minibatch from the buffer.

        Args:
          agent: the agent.
          count: of the steps so far.
          key: one key.

        Returns:
          The agent with new parameters.
        """
        rows_key, loss_key = jax.random.split(key)
        filled = jnp.minimum(count, self.settings.capacity)
        rows = jax.random.randint(rows_key, (self.settings.batch_size,), 0, filled)
        batch = jax.tree.map(lambda column: column[rows], agent.buffer)
        grads = jax.grad(self.loss)(
            agent.parameters, agent.target_critics, batch, loss_key
        )
        chex.assert_trees_all_equal_shapes_and_dtypes(grads, agent.parameters)
        updates, opt_state = self._optimizer.update(grads, agent.opt_state)
        parameters: Any = optax.apply_updates(agent.parameters, updates)
        target_critics = optax.incremental_update(
            parameters.critics, agent.target_critics, self.settings.target_rate
        )
        return agent._replace(
            parameters=parameters, target_critics=target_critics, opt_state=opt_state
        )

    def train(
        self, agent: Agent, first: jax.Array, key: jax.Array, *, num_steps: int
    ) -> Agent:
        """Interacts and learns in turn, in one scan.

        Args:
          agent: the agent.
          first: index of the first environment step.
          key: one key; step ``index`` uses ``fold_in(key, index)``.
          num_steps: environment steps, a multiple of ``steps_per_update``.

        Returns:
          The agent.
        """
        every = self.settings.steps_per_update

        def advance(agent, start):
            keys = jax.random.split(jax.random.fold_in(key, start), every + 1)
            for place in range(every):
                agent = self.interact(agent, start + place, keys[place])
            return self.update(agent, start + every, keys[-1]), None

        starts = first + jnp.arange(0, num_steps, every)
        return jax.lax.scan(advance, agent, starts)[0]

    def rollouts(
        self, policy: nnx.State, key: jax.Array, *, num_episodes: int
    ) -> tuple[jax.Array, jax.Array]:
        """Plays whole episodes from fresh starts, with the best action.

        Args:
          policy: its parameters.
          key: one key.
          num_episodes: how many.

        Returns:
          The returns, of shape (num_episodes,), and the angles, of shape (num_episodes,
          200).
        """

        def episode(key):
            def advance(state, _):
                action = self.best_action(policy, _pendulum.observe(state))
                state, reward = _pendulum.step(state, action)
                return state, (reward, state.angle)

            _, (rewards, angles) = jax.lax.scan(
                advance, _pendulum.reset(key), length=_pendulum.EPISODE_STEPS
            )
            return jnp.sum(rewards), angles

        return jax.vmap(episode)(jax.random.split(key, num_episodes))
