"""Estimators that take the draws they are given: objectives without randomness."""

import dataclasses
import itertools
from typing import Any

import numpy as np

import reparam_jax as rj


@dataclasses.dataclass(frozen=True, eq=False)
class GivenNoise(rj.Pathwise):
    """The pathwise estimator at given base noise, (num_samples, *shape)."""

    noise: Any = None

    def draw_leaf(self, key, leaf, num_samples):
        return self.noise


@dataclasses.dataclass(frozen=True, eq=False)
class GivenValues(rj.ScoreFunction):
    """The score function at given draws, (num_samples, *shape)."""

    values: Any = None

    def draw_leaf(self, key, leaf, num_samples):
        return self.values


def tuples(outcomes, count, weights=None):
    """All tuples of ``count`` outcomes, (n ** count, count, ...), and their weights."""
    outcomes = np.asarray(outcomes)
    index = np.array(list(itertools.product(range(len(outcomes)), repeat=count)))
    every = np.ones(len(outcomes)) if weights is None else np.asarray(weights)
    return outcomes[index], every[index].prod(1)


def normal_nodes(count):
    """Nodes of the standard normal law and their weights, in float64."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return nodes, weights / weights.sum()


def mean(values, weights):
    """The weighted mean over the first axis, in float64."""
    weights = np.asarray(weights, np.float64) / np.sum(weights, dtype=np.float64)
    return np.tensordot(weights, np.asarray(values, np.float64), 1)


def difference(function, at, size=1e-5):
    """The central difference of a function of an array of float64, elementwise."""
    at = np.asarray(at, np.float64)
    steps = size * np.eye(at.size).reshape(at.size, *at.shape)
    slopes = [(function(at + h) - function(at - h)) / (2 * size) for h in steps]
    return np.moveaxis(np.array(slopes), 0, -1)
