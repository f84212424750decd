"""Laws and implicit gradients in float64, from NumPy and SciPy alone."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.special


class Oracle(NamedTuple):
    """What is known of a law without this library.

    Args:
      uniforms: ``(draws, parameters)`` to what is uniform if the draws have the law.
      tangent: ``(draws, noise, parameters, name, direction)`` to the change of the
        draws, at their place in the law, when one parameter moves in a direction.
      event_shape: of one draw.
      noise_shape: of the base noise of one draw.
    """

    uniforms: Callable[..., np.ndarray]
    tangent: Callable[..., np.ndarray]
    event_shape: tuple[int, ...] = ()
    noise_shape: tuple[int, ...] = ()


class Uniform:
    """The law on an interval, its CDF continued beyond the ends."""

    def __init__(self, low, high):
        self.low, self.width = low, high - low

    def cdf(self, x):
        return (x - self.low) / self.width

    def sf(self, x):
        return 1 - self.cdf(x)

    def pdf(self, x):
        return 1 / self.width

    def ppf(self, u):
        return self.low + self.width * u


class Kumaraswamy:
    """The law that SciPy lacks."""

    def __init__(self, concentration1, concentration0):
        self.a, self.b = concentration1, concentration0

    def cdf(self, x):
        return 1 - self.sf(x)

    def sf(self, x):
        return (1 - x**self.a) ** self.b

    def ppf(self, u):
        return (-np.expm1(np.log1p(-u) / self.b)) ** (1 / self.a)

    def pdf(self, x):
        return self.a * self.b * x ** (self.a - 1) * (1 - x**self.a) ** (self.b - 1)


def central_difference(function, step):
    """The derivative of ``function`` at 0, to fourth order in ``step``."""
    near = function(step) - function(-step)
    far = function(2 * step) - function(-2 * step)
    return (8 * near - far) / (12 * step)


LOCATIONS = ("loc", "mean", "low", "high")


def one_dimensional(law: Callable[..., Any]) -> Oracle:
    """Of a SciPy law: the gradient of a draw z is -(dF/dparameter) / pdf at z."""

    def uniforms(draws, parameters):
        return law(**parameters).cdf(draws)

    def tangent(draws, noise, parameters, name, direction):
        here = law(**parameters)
        # The survival function keeps its digits where the CDF is near 1.
        upper = here.cdf(draws) > 0.5
        value = parameters[name]
        size = np.where(value == 0, 1, abs(value))
        if name in LOCATIONS:
            size = np.minimum(size, here.ppf(0.75) - here.ppf(0.25))

        def moved(step):
            at = law(**(parameters | {name: value + step * size}))
            return np.where(upper, -at.sf(draws), at.cdf(draws))

        slope = central_difference(moved, 1e-4) / size
        return -direction * slope / here.pdf(draws)

    return Oracle(uniforms, tangent)


def linear(form: str, factor_of: Callable, dim: int) -> Oracle:
    """Of ``mean + A noise`` for a factor A of one matrix parameter."""

    def whitened(draws, parameters):
        centred = (draws - parameters["mean"])[..., None]
        return np.linalg.solve(factor_of(parameters[form]), centred)

    def uniforms(draws, parameters):
        return scipy.special.ndtr(whitened(draws, parameters)[..., 0])

    def tangent(draws, noise, parameters, name, direction):
        if name == "mean":
            return np.broadcast_to(direction, draws.shape)
        noise = whitened(draws, parameters)

        def moved(step):
            return factor_of(parameters[form] + step * direction) @ noise

        return central_difference(moved, 1e-5)[..., 0]

    return Oracle(uniforms, tangent, (dim,), (dim,))


def low_rank(dim: int, rank: int) -> Oracle:
    """Of ``mean + factor noise[:rank] + sqrt(diagonal) noise[rank:]``."""

    def uniforms(draws, parameters):
        factor, diagonal = parameters["factor"], parameters["diagonal"]
        covariance = factor @ np.swapaxes(factor, -1, -2) + (
            diagonal[..., None] * np.eye(dim)
        )
        centred = (draws - parameters["mean"])[..., None]
        whitened = np.linalg.solve(np.linalg.cholesky(covariance), centred)
        return scipy.special.ndtr(whitened[..., 0])

    def tangent(draws, noise, parameters, name, direction):
        if name == "mean":
            return np.broadcast_to(direction, draws.shape)
        if name == "factor":
            return (direction @ noise[..., :rank, None])[..., 0]
        return direction * noise[..., rank:] / (2 * np.sqrt(parameters["diagonal"]))

    return Oracle(uniforms, tangent, (dim,), (rank + dim,))
