"""Closed forms of gradients of E f(z), z ~ N(mean, std^2), and of their variances.

The second moments of the pathwise and the score-function gradient follow from moments
of normal variables; each is a formula of mean, std and the parameter k of the cost.
"""

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Cost:
    """A cost with its gradients and second moments, as functions of (mean, std, k).

    Args:
      of: ``(z, k) -> cost``.
      expected: the mean cost.
      slopes: gradients for mean and std.
      path: second moments of the pathwise gradients for mean and std.
      score: second moments of the score-function gradients.
    """

    of: Callable
    expected: Callable
    slopes: Callable
    path: Callable
    score: Callable


def _quadratic():
    def expected(mean, std, k):
        return std**2 + (mean - k) ** 2

    def slopes(mean, std, k):
        return 2 * (mean - k), 2 * std

    def path(mean, std, k):
        m = mean - k
        first, second = slopes(mean, std, k)
        return 4 * std**2 + first**2, 4 * m**2 + 8 * std**2 + second**2

    def score(mean, std, k):
        m, v = mean - k, std**2
        first, second = slopes(mean, std, k)
        of_mean = m**4 / v + 14 * m**2 + 15 * v
        of_std = 2 * m**4 / v + 60 * m**2 + 74 * v
        return of_mean + first**2, of_std + second**2

    return Cost(lambda z, k: (z - k) ** 2, expected, slopes, path, score)


def _cosine():
    def expected(mean, std, k):
        return np.cos(k * mean) * np.exp(-((k * std) ** 2) / 2)

    def slopes(mean, std, k):
        damping = np.exp(-((k * std) ** 2) / 2)
        return -k * np.sin(k * mean) * damping, -(k**2) * std * expected(mean, std, k)

    def parts(mean, std, k):
        t = 2 * k * std
        return t, np.cos(2 * k * mean) * np.exp(-(t**2) / 2)

    def path(mean, std, k):
        t, c = parts(mean, std, k)
        return k**2 / 2 * (1 - c), k**2 / 2 * (1 - c * (1 - t**2))

    def score(mean, std, k):
        t, c = parts(mean, std, k)
        of_mean = (1 + c * (1 - t**2)) / (2 * std**2)
        of_std = (2 + c * (t**4 - 4 * t**2 + 2)) / (2 * std**2)
        return of_mean, of_std

    return Cost(lambda z, k: _numpy_of(z).cos(k * z), expected, slopes, path, score)


def _bell():
    def expected(mean, std, k):
        s1 = 1 + 2 * k * std**2
        return s1**-0.5 * np.exp(-k * mean**2 / s1)

    def slopes(mean, std, k):
        s1, e = 1 + 2 * k * std**2, expected(mean, std, k)
        of_std = e * (-2 * k * std / s1 + 4 * k**2 * std * mean**2 / s1**2)
        return -2 * k * mean * e / s1, of_std

    def parts(mean, std, k):
        s2 = 1 + 4 * k * std**2
        b = s2**-0.5 * np.exp(-2 * k * mean**2 / s2)
        middle, v = mean / s2, std**2 / s2
        return b, middle, v, middle - mean

    def path(mean, std, k):
        b, middle, v, d = parts(mean, std, k)
        c2, c4 = v + d**2, d**4 + 6 * d**2 * v + 3 * v**2
        of_std = c4 + 2 * mean * (d**3 + 3 * d * v) + mean**2 * c2
        return 4 * k**2 * b * (v + middle**2), 4 * k**2 * b * of_std / std**2

    def score(mean, std, k):
        b, _, v, d = parts(mean, std, k)
        c2, c4 = v + d**2, d**4 + 6 * d**2 * v + 3 * v**2
        return b * c2 / std**4, b * (c4 / std**4 - 2 * c2 / std**2 + 1) / std**2

    return Cost(lambda z, k: _numpy_of(z).exp(-k * z**2), expected, slopes, path, score)


def _exponential():
    def expected(mean, std, k):
        return np.exp(k * mean + (k * std) ** 2 / 2)

    def slopes(mean, std, k):
        e = expected(mean, std, k)
        return k * e, k**2 * std * e

    # With e^(2 k z) the noise is shifted to t = 2 k std: E eps^2 = 1 + t^2,
    # E (eps^2 - 1)^2 = 2 + 4 t^2 + t^4.
    def path(mean, std, k):
        t = 2 * k * std
        square = np.exp(2 * k * mean + t**2 / 2)
        return k**2 * square, k**2 * square * (1 + t**2)

    def score(mean, std, k):
        t = 2 * k * std
        square = np.exp(2 * k * mean + t**2 / 2) / std**2
        return square * (1 + t**2), square * (2 + 4 * t**2 + t**4)

    return Cost(lambda z, k: _numpy_of(z).exp(k * z), expected, slopes, path, score)


def _numpy_of(z):
    return z.__array_namespace__() if hasattr(z, "__array_namespace__") else np


COSTS = {
    "quadratic": _quadratic(),
    "cosine": _cosine(),
    "bell": _bell(),
    "exponential": _exponential(),
}
