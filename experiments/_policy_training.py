"""Training on CartPole by every estimator, and the variance of their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from ._policy_cart_pole import ARMS, Agent, Learner, Settings
from ._seeds import over_seeds, place

# The arm whose policy the variances are measured at, and the one that says how large
# the gradient is there.
PROBED = "Enumerate"
REFERENCE = "leave-one-out over episodes"


class Training:
    """The calls that train: first the variances are measured, then arm after arm.

    Args:
      mesh: the devices.
      seeds: integers; the devices' number divides theirs.
      settings: of every learner.
      steps: environment steps of each seed and arm.
      eval_every: environment steps between two looks at the learning curve.
      eval_episodes: episodes for each of them.
      probe_steps: environment steps after which the variances are measured.
      probes: gradient estimates for that.

    Attributes:
      arms: the learners, by name.
      count: how many calls there are.
      start: the first state, an agent for each seed.
    """

    def __init__(
        self,
        mesh: Mesh,
        seeds: np.ndarray,
        settings: Settings,
        *,
        steps: int,
        eval_every: int,
        eval_episodes: int,
        probe_steps: int,
        probes: int,
    ):
        self._mesh = mesh
        self._seeds = seeds
        self._on_mesh = place(mesh, seeds)
        self._eval_every = eval_every
        self._eval_episodes = eval_episodes
        self._probe_steps = probe_steps
        self._probes = probes
        self.arms = {name: Learner(arm, settings) for name, arm in ARMS.items()}
        self._programs = {}
        self._points = steps // eval_every
        self.count = 1 + len(self.arms) * self._points
        self.start = self._program(PROBED, "init")(self._on_mesh)

    def _program(self, name, kind):
        """Compiles a program when it is first needed."""
        learner = self.arms[name]

        def keys_of(seed):
            return jax.random.split(jax.random.key(seed), 4)

        def init(seed):
            return learner.init(keys_of(seed)[0])

        def train(agent, seed, until):
            _, train_key, eval_key, _ = keys_of(seed)
            agent = learner.train(agent, train_key, until=until)
            # The last update went beyond `until`: the policy there is the one before.
            played = learner.player.collect(
                agent.policy_before,
                jax.random.fold_in(eval_key, until),
                num_episodes=self._eval_episodes,
            )
            return agent, jnp.mean(jnp.sum(played.is_on, 0))

        def probe(agent, seed):
            return _probe(self.arms, agent, keys_of(seed)[3], self._probes)

        functions = {"init": (init, 1), "train": (train, 2, 1), "probe": (probe, 2)}
        if (name, kind) not in self._programs:
            function, *counts = functions[kind]
            self._programs[name, kind] = over_seeds(function, self._mesh, *counts)
        return self._programs[name, kind]

    def advance(self, index: int, agents: Agent) -> tuple[Agent, list[dict]]:
        """Trains the arm whose turn it is up to the next look at its curve.

        Args:
          index: of the call.
          agents: after the call before, one for each seed.

        Returns:
          The agents, and the lines to log: the mean return of each seed; from the first
          call ``probe_var`` alone, of each arm and seed.
        """
        if index == 0:
            return agents, [{"probe_var": self._probe_variances()}]
        turn, point = divmod(index - 1, self._points)
        name = list(self.arms)[turn]
        if point == 0:
            agents = self.start
        until = np.int32((point + 1) * self._eval_every)
        agents, returns = self._program(name, "train")(agents, self._on_mesh, until)
        return agents, [
            {
                "trained_by": name,
                "step": int(until),
                "seed": int(seed),
                "return": float(value),
            }
            for seed, value in zip(self._seeds, np.asarray(returns), strict=True)
        ]

    def _probe_variances(self):
        """By arm, for each seed: of a policy that the arm ``PROBED`` has trained."""
        until = np.int32(self._probe_steps)
        agents, _ = self._program(PROBED, "train")(self.start, self._on_mesh, until)
        probed = self._program(PROBED, "probe")(agents, self._on_mesh)
        probed = {name: list(map(np.asarray, of)) for name, of in probed.items()}
        # The gradient is the mean of the unbiased arms; the steadiest of the cheap ones
        # says its size.
        signal = probed[REFERENCE][1]
        return {
            name: [
                float(value) if norm > 0 else None
                for value, norm in zip(var * steps / signal, signal, strict=True)
            ]
            for name, (var, _, steps) in probed.items()
        }


def _probe(arms, agent, key, count):
    """The trace of the variance, the squared norm of the mean and the steps, of each.

    The norm is estimated without bias, by the product of the means of two halves.
    """

    def estimate(_, index):
        keys = jax.random.split(jax.random.fold_in(key, index), 1 + len(arms))
        play_key, *arm_keys = keys
        first = arms[PROBED]
        episodes = first.player.collect(
            agent.policy, play_key, num_episodes=first.settings.num_episodes
        )
        found = {}
        for (name, learner), arm_key in zip(arms.items(), arm_keys, strict=True):
            grads, steps = learner.gradient(agent, episodes, arm_key)
            flat = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(grads)])
            found[name] = flat, steps
        return None, found

    _, found = jax.lax.scan(estimate, None, jnp.arange(count))

    def statistics(grads, steps):
        one, other = grads[::2].mean(0), grads[1::2].mean(0)
        var = jnp.sum(jnp.var(grads, 0, ddof=1))
        return var, jnp.vdot(one, other), jnp.mean(1.0 * steps)

    return {name: statistics(*of) for name, of in found.items()}
