"""What estimators share: a draw and an estimate for every leaf of an expectation."""

import abc
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from reparam_jax import _checks
from reparam_jax.distributions._paths import find_path
from reparam_jax.distributions._structure import Distribution, flatten

from ._costs import Costs, make_costs


class Estimator(abc.ABC):
    """An estimator of the gradient of an expectation: a frozen dataclass.

    Subclasses give ``draw_leaf`` and ``estimates``. An estimator of a user's own needs
    no more than the two methods here.
    """

    def draw(self, key: jax.Array, dist: Any, num_samples: int) -> Any:
        """Draws all the randomness of an estimate.

        Args:
          key: one key from ``jax.random.key``. Used once.
          dist: a NumPyro distribution, or a tree of independent ones.
          num_samples: how many independent estimates, the leading axis.

        Returns:
          For each distribution what the class says, in the tree of ``dist``.
        """
        name = type(self).__name__
        key = _checks.check_key(f"{name}.draw", key)
        check_count(name, num_samples=num_samples)
        leaves, structure = flatten(name, dist)
        return structure.unflatten(self.draw_leaves(key, leaves, num_samples))

    def estimate(self, cost_fn: Callable, dist: Any, draws: Any, *args: Any):
        """Estimates the expectation from given draws; deterministic.

        Args:
          cost_fn: ``(draw, *args) -> cost``, of shape () or the batch's shape.
          dist: as given to ``draw``.
          draws: as returned by ``draw``.
          *args: further arguments of ``cost_fn``.

        Returns:
          The mean cost, whose derivative is the estimate.
        """
        leaves, structure = flatten(type(self).__name__, dist)
        costs = make_costs(cost_fn, structure, leaves, args)
        draws = structure.flatten_up_to(draws)
        return jnp.mean(self.estimates(costs, leaves, draws), 0)

    def draw_leaves(
        self, key: jax.Array, leaves: list[Distribution], num_samples: int
    ) -> list[Any]:
        """Draws for several leaves; a single one gets the key itself."""
        keys = [key] if len(leaves) == 1 else jax.random.split(key, len(leaves))
        return [
            self.draw_leaf(key, leaf, num_samples)
            for key, leaf in zip(keys, leaves, strict=True)
        ]

    @abc.abstractmethod
    def draw_leaf(self, key: jax.Array, leaf: Distribution, num_samples: int) -> Any:
        """Draws for one distribution, with a leading axis of ``num_samples``.

        Raises for a distribution that the estimator does not know.
        """

    @abc.abstractmethod
    def estimates(
        self, costs: Costs, leaves: list[Distribution], draws: list[Any]
    ) -> jax.Array:
        """Gives each draw its cost, with the derivative of its estimate.

        Args:
          costs: of lists of values, one for each leaf, of shape (n, *leaf.shape()).
          leaves: the distributions.
          draws: what ``draw_leaf`` gave for each.

        Returns:
          An array of shape (n, *shape), for costs of ``shape``.
        """


def check_count(function: str, **named: int) -> None:
    """Refuses anything but a positive integer, given by its name."""
    ((name, count),) = named.items()
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"`{function}` needs `{name}` to be an integer, got {count!r}.")
    if count < 1:
        raise ValueError(f"`{function}` needs `{name}` of at least 1, got {count}.")


def instead_for(leaf: Distribution) -> str:
    """Names the estimator to take for a distribution that another does not know."""
    return "`ScoreFunction`" if find_path(leaf) is None else "`Pathwise`"
