"""Policy gradients on CartPole: one learner, and the estimators it can learn by."""

import dataclasses
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
from flax import nnx

import reparam_jax as rj

from . import _cart_pole
from ._cart_pole import EPISODE_STEPS
from ._cart_pole_player import Episodes, Player
from ._policy_score import costs_to_go, mean_of_others, score_estimate


class Arm(NamedTuple):
    """One estimator of the policy gradient.

    Attributes:
      credit: what an action is credited with. Of the actions taken: ``"whole"``, the
        cost of the episode; ``"others"``, what it cost from there on, less the mean of
        the other episodes; ``"baseline"``, that less the critic's value. Of both
        actions: ``"step"``, one step of the simulator and the critic's value there;
        ``"restart"``, the rest of the episode in a simulator that restarts.
      estimator: of the library, for the credits of both actions.
      num_samples: of that estimator.
    """

    credit: str
    estimator: Any = None
    num_samples: int = 1

    @property
    def needs_critic(self) -> bool:
        """Whether the critic is to be trained."""
        return self.credit in ("baseline", "step")

    @property
    def is_biased(self) -> bool:
        """Whether the mean is not the gradient: what a critic says comes in."""
        return self.needs_critic


ARMS = {
    "REINFORCE": Arm("whole"),
    "leave-one-out over episodes": Arm("others"),
    "learned value as baseline": Arm("baseline"),
    "leave-one-out of 2 actions": Arm(
        "step", rj.ScoreFunction(baseline="leave_one_out"), num_samples=2
    ),
    "ARM": Arm("step", rj.ARM()),
    "DisARM": Arm("step", rj.DisARM()),
    "Enumerate": Arm("step", rj.Enumerate()),
    "Enumerate, restarts": Arm("restart", rj.Enumerate()),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What an agent and its training are made of.

    Attributes:
      width: of the two hidden layers of policy and critic.
      num_episodes: for each update of the policy.
      learning_rate: of Adam, for the policy.
      critic_learning_rate: of Adam, for the critic.
      critic_updates: for each update of the policy.
      batch_size: visited states in a minibatch of the critic.
      discount: of future rewards, in the critic.
      num_restarts: visited states at which the simulator restarts.
    """

    width: int
    num_episodes: int
    learning_rate: float
    critic_learning_rate: float
    critic_updates: int
    batch_size: int
    discount: float
    num_restarts: int


class Agent(NamedTuple):
    """All that training carries on: an array tree.

    ``policy_before`` is the policy before its last update, which played the episodes.
    """

    policy: nnx.State
    policy_before: nnx.State
    critic: nnx.State
    policy_opt_state: Any
    critic_opt_state: Any
    environment_steps: jax.Array
    updates: jax.Array


class Learner:
    """Trains a policy by the gradient estimates of one arm.

    Args:
      arm: the estimator.
      settings: sizes and rates.
    """

    def __init__(self, arm: Arm, settings: Settings):
        self.arm = arm
        self.settings = settings
        self._policy_optimizer = optax.adam(settings.learning_rate)
        self._critic_optimizer = optax.adam(settings.critic_learning_rate)
        self.player = Player(width=settings.width, discount=settings.discount)

    def init(self, key: jax.Array) -> Agent:
        """Makes a new agent.

        Args:
          key: one key.

        Returns:
          The agent.
        """
        policy, critic = map(self.player.init, jax.random.split(key))
        return Agent(
            policy=policy,
            policy_before=policy,
            critic=critic,
            policy_opt_state=self._policy_optimizer.init(policy),
            critic_opt_state=self._critic_optimizer.init(critic),
            environment_steps=jnp.zeros((), jnp.int32),
            updates=jnp.zeros((), jnp.int32),
        )

    def gradient(
        self, agent: Agent, episodes: Episodes, key: jax.Array
    ) -> tuple[nnx.State, jax.Array]:
        """Estimates the gradient of the mean cost of an episode.

        Args:
          agent: policy and critic.
          episodes: played by that policy.
          key: one key.

        Returns:
          The gradient for the policy, and the environment steps it took, with those of
          the episodes.
        """
        grads, further = jax.grad(self._policy_loss, has_aux=True)(
            agent.policy, agent.critic, episodes, key
        )
        chex.assert_trees_all_equal_shapes_and_dtypes(grads, agent.policy)
        return grads, jnp.sum(episodes.is_on) + further

    def _policy_loss(self, policy, critic, episodes, key):
        match self.arm.credit:
            case "step":
                return self._stepping_loss(policy, critic, episodes, key)
            case "restart":
                return self._restarting_loss(policy, episodes, key)
        is_on = episodes.is_on
        to_go = costs_to_go(-1.0 * is_on)
        match self.arm.credit:
            case "whole":
                credit, baseline = jnp.broadcast_to(to_go[:1], to_go.shape), None
            case "others":
                credit, baseline = to_go, is_on * mean_of_others(to_go.T).T
            case "baseline":
                credit = -self._returns(critic, episodes)
                baseline = -1.0 * is_on * self.player.value(critic, episodes.states)
            case other:
                raise ValueError(f"`Arm` has no credit {other!r}.")
        law = self.player.actions_at(policy, episodes.states)
        loss = score_estimate(law, episodes.actions, is_on * credit, baseline=baseline)
        return jnp.sum(loss) / self.settings.num_episodes, 0

    def _stepping_loss(self, policy, critic, episodes, key):
        is_on = episodes.is_on

        def cost(action):
            moved = _cart_pole.step(episodes.states, action)
            later = jnp.where(
                _cart_pole.is_over(moved), 0.0, self.player.value(critic, moved)
            )
            return -1.0 * is_on * (1 + self.settings.discount * later)

        loss = self._choose(policy, episodes.states, cost(0), cost(1), key)
        # The step of one of the two actions is among those of the episode.
        return jnp.sum(loss) / self.settings.num_episodes, jnp.sum(is_on)

    def _restarting_loss(self, policy, episodes, key):
        rows_key, noise_key, action_key = jax.random.split(key, 3)
        count = self.settings.num_restarts
        rows = _visited_rows(rows_key, episodes.is_on, count)
        states = jax.tree.map(lambda leaf: leaf.ravel()[rows], episodes.states)
        remaining = EPISODE_STEPS - rows // episodes.is_on.shape[1]
        # The same noise for both actions, whose difference is then theirs alone.
        noise = jax.random.uniform(noise_key, (EPISODE_STEPS - 1, count))

        def cost(action):
            moved = _cart_pole.step(states, action)

            def advance(carry, noise):
                state, is_on, length = carry
                length += is_on
                state = _cart_pole.step(state, self.player.act(policy, state, noise))
                is_on &= ~_cart_pole.is_over(state) & (length < remaining)
                return (state, is_on, length), None

            is_on = ~_cart_pole.is_over(moved) & (remaining > 1)
            start = moved, is_on, jnp.ones(count, jnp.int32)
            (_, _, length), _ = jax.lax.scan(advance, start, noise)
            return length

        left, right = cost(0), cost(1)
        loss = self._choose(policy, states, -1.0 * left, -1.0 * right, action_key)
        # Of all visited states, these stand for as many each.
        weight = jnp.sum(episodes.is_on) / (count * self.settings.num_episodes)
        # The first step of one of the two is among those of the episode.
        return weight * jnp.sum(loss), jnp.sum(left + right) - count

    def _choose(self, policy, states, cost_left, cost_right, key):
        """The expected cost of an action at each state, by the arm's estimator."""
        return rj.expectation(
            key,
            lambda action: jnp.where(action == 1, cost_right, cost_left),
            self.player.actions_at(policy, states),
            num_samples=self.arm.num_samples,
            estimator=self.arm.estimator,
        )

    def _returns(self, critic, episodes):
        """Discounted rewards to go; the critic stands for what the clock cut off."""
        beyond = episodes.is_cut * self.player.value(critic, episodes.last)
        rewards = jnp.concatenate([1.0 * episodes.is_on, beyond[None]])
        returns = costs_to_go(rewards, discount=self.settings.discount)[:-1]
        return jax.lax.stop_gradient(returns)

    def _train_critic(self, agent, episodes, key):
        targets = self._returns(agent.critic, episodes).ravel()
        # A value at most, so that the loss is about 1.
        scale = 1 - self.settings.discount

        def loss(critic, rows):
            states = jax.tree.map(lambda leaf: leaf.ravel()[rows], episodes.states)
            return jnp.mean(
                (scale * (self.player.value(critic, states) - targets[rows])) ** 2
            )

        def advance(carry, index):
            critic, opt_state = carry
            rows = _visited_rows(
                jax.random.fold_in(key, index),
                episodes.is_on,
                self.settings.batch_size,
            )
            grads = jax.grad(loss)(critic, rows)
            updates, opt_state = self._critic_optimizer.update(grads, opt_state)
            return (optax.apply_updates(critic, updates), opt_state), None

        start = agent.critic, agent.critic_opt_state
        indices = jnp.arange(self.settings.critic_updates)
        (critic, opt_state), _ = jax.lax.scan(advance, start, indices)
        return agent._replace(critic=critic, critic_opt_state=opt_state)

    def update(self, agent: Agent, key: jax.Array) -> Agent:
        """Plays some episodes, and learns from them.

        Args:
          agent: the agent.
          key: one key.

        Returns:
          The agent with new parameters.
        """
        play_key, grad_key, critic_key = jax.random.split(key, 3)
        episodes = self.player.collect(
            agent.policy, play_key, num_episodes=self.settings.num_episodes
        )
        grads, steps = self.gradient(agent, episodes, grad_key)
        updates, opt_state = self._policy_optimizer.update(
            grads, agent.policy_opt_state
        )
        if self.arm.needs_critic:
            agent = self._train_critic(agent, episodes, critic_key)
        return agent._replace(
            policy=optax.apply_updates(agent.policy, updates),
            policy_before=agent.policy,
            policy_opt_state=opt_state,
            environment_steps=agent.environment_steps + steps,
            updates=agent.updates + 1,
        )

    def train(self, agent: Agent, key: jax.Array, *, until: jax.Array) -> Agent:
        """Learns until it has taken so many environment steps, or a few more.

        Args:
          agent: the agent.
          key: one key; each update uses its own ``fold_in``.
          until: environment steps since the start.

        Returns:
          The agent.
        """
        return jax.lax.while_loop(
            lambda agent: agent.environment_steps < until,
            lambda agent: self.update(agent, jax.random.fold_in(key, agent.updates)),
            agent,
        )


def _visited_rows(key, is_on, count):
    """Draws rows of the flattened steps at which an episode was on."""
    ends = jnp.cumsum(is_on.ravel())
    return jnp.searchsorted(
        ends, jax.random.randint(key, (count,), 0, ends[-1]), side="right"
    )
