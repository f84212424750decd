"""Different estimators for different distributions of one expectation."""

import dataclasses
from typing import Any

import jax

from reparam_jax.distributions._structure import flatten

from ._costs import make_costs
from ._estimator import Estimator


def nest(groups, costs, leaves, draws):
    """Estimates with several estimators, each inside the cost of the one before.

    At given draws of all others, each estimator is unbiased for the expectation over
    its own leaves; its estimate is a cost of the others' draws like any other.

    Args:
      groups: the estimators, each with the places of its leaves.
      costs: of all leaves.
      leaves: the distributions.
      draws: what their estimators drew.

    Returns:
      What :meth:`Estimator.estimates` does.
    """

    def level(groups, values):
        if not groups:
            return costs([values[place] for place in range(len(leaves))])
        (estimator, places), *rest = groups

        def inner(own):
            return level(rest, values | dict(zip(places, own, strict=True)))

        return estimator.estimates(
            costs.with_function(inner),
            [leaves[place] for place in places],
            [draws[place] for place in places],
        )

    return level(groups, {})


@dataclasses.dataclass(frozen=True)
class PerLeaf:
    """A tree of estimators, of the structure of the distributions or a prefix of it."""

    estimators: Any

    def draw(self, key, dist, num_samples):
        """Draws for each distribution by its own estimator."""
        leaves, structure = flatten("expectation", dist)
        groups = self.groups(dist)
        draws = [None] * len(leaves)
        keys = jax.random.split(key, len(groups))
        for key, (estimator, places) in zip(keys, groups, strict=True):
            own = estimator.draw_leaves(key, [leaves[i] for i in places], num_samples)
            for place, draw in zip(places, own, strict=True):
                draws[place] = draw
        return structure.unflatten(draws)

    def estimate(self, cost_fn, dist, draws, *args):
        """Estimates with all of them."""
        leaves, structure = flatten("expectation", dist)
        costs = make_costs(cost_fn, structure, leaves, args)
        draws = structure.flatten_up_to(draws)
        return nest(self.groups(dist), costs, leaves, draws).mean(0)

    def groups(self, tree: Any) -> list[tuple[Estimator, list[int]]]:
        """The estimators, each with the places of its leaves."""
        estimators, structure = jax.tree.flatten(
            self.estimators, is_leaf=lambda node: isinstance(node, Estimator)
        )
        for estimator in estimators:
            if not isinstance(estimator, Estimator):
                raise TypeError(
                    f"`expectation` takes an estimator, such as `rj.Pathwise()`, or a "
                    f"tree of this library's for the tree of distributions, got "
                    f"{type(estimator).__name__}."
                )
        groups, place = [], 0
        for estimator, part in zip(
            estimators, structure.flatten_up_to(tree), strict=True
        ):
            count = len(flatten("expectation", part)[0])
            places = list(range(place, place + count))
            place += count
            for known, its_places in groups:
                if known is estimator:
                    its_places.extend(places)
                    break
            else:
                groups.append((estimator, places))
        return groups
