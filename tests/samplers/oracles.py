"""Laws and implicit gradients in float64, from NumPy and SciPy alone."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.special
import scipy.stats


class Oracle(NamedTuple):
    """What is known of a law without this library.

    Args:
      uniforms: ``(draws, parameters)`` to what is uniform if the draws have the law.
      tangent: ``(draws, noise, parameters, name, direction)`` to the change of the
        draws, at their place in the law, when one parameter moves in a direction.
      event_shape: of one draw.
      noise_shape: of the base noise of one draw.
      moved: ``(draws, parameters, others)`` to draws at the same place in the law of
        other parameters, for samplers that map no noise of one kind.
    """

    uniforms: Callable[..., np.ndarray]
    tangent: Callable[..., np.ndarray]
    event_shape: tuple[int, ...] = ()
    noise_shape: tuple[int, ...] = ()
    moved: Callable[..., np.ndarray] | None = None


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


class Log:
    """The law of the logarithm of a positive variable."""

    def __init__(self, law):
        self.law = law

    def cdf(self, x):
        return self.law.cdf(np.exp(x))

    def sf(self, x):
        return self.law.sf(np.exp(x))

    def pdf(self, x):
        return np.exp(x) * self.law.pdf(np.exp(x))

    def ppf(self, u):
        return np.log(self.law.ppf(u))

    def isf(self, u):
        return np.log(self.law.isf(u))


class LogOfComplement(Log):
    """The law of ``log(1 - x)``."""

    def cdf(self, x):
        return self.law.sf(-np.expm1(x))

    def sf(self, x):
        return self.law.cdf(-np.expm1(x))

    def pdf(self, x):
        return np.exp(x) * self.law.pdf(-np.expm1(x))

    def ppf(self, u):
        return np.log1p(-self.law.isf(u))

    def isf(self, u):
        return np.log1p(-self.law.ppf(u))


class TanhNormal:
    """The law of tanh of a normal variable."""

    def __init__(self, mean, std):
        self.law = scipy.stats.norm(mean, std)

    def cdf(self, x):
        return self.law.cdf(np.arctanh(x))

    def sf(self, x):
        return self.law.sf(np.arctanh(x))

    def pdf(self, x):
        return self.law.pdf(np.arctanh(x)) / (1 - x**2)

    def ppf(self, u):
        return np.tanh(self.law.ppf(u))


class Mixture:
    """The law of one of two normals, by the logit of the first."""

    def __init__(self, logits, mean):
        weight = scipy.special.expit(logits)
        self.parts = (
            (weight, scipy.stats.norm(mean, 1)),
            (1 - weight, scipy.stats.norm(mean + 3, 0.5)),
        )

    def cdf(self, x):
        return sum(weight * law.cdf(x) for weight, law in self.parts)

    def sf(self, x):
        return sum(weight * law.sf(x) for weight, law in self.parts)

    def pdf(self, x):
        return sum(weight * law.pdf(x) for weight, law in self.parts)

    def ppf(self, u):
        return self.inverse(lambda x: self.cdf(x) < u, u)

    def isf(self, u):
        return self.inverse(lambda x: self.sf(x) > u, u)

    def inverse(self, is_below, u):
        low, high = (law.mean() + 0 * u for _, law in self.parts)
        low, high = low - 12, high + 12
        for _ in range(60):
            middle = (low + high) / 2
            below = is_below(middle)
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2


class VonMises:
    """The law on the circle; SciPy's CDF has too few digits to differentiate."""

    def __init__(self, loc, concentration):
        self.loc, self.concentration = loc, concentration

    def angle(self, x):
        return np.mod(x - self.loc + np.pi, 2 * np.pi) - np.pi

    def density(self, angle):
        scaled_bessel = scipy.special.i0e(self.concentration)
        exponent = self.concentration * (np.cos(angle) - 1)
        return np.exp(exponent) / (2 * np.pi * scaled_bessel)

    def pdf(self, x):
        return self.density(self.angle(x))

    def below(self, angle):
        """By quadrature over the shorter piece, on which the density varies less."""
        nodes, weights = np.polynomial.legendre.leggauss(80)
        end = -np.abs(angle)
        total = 0
        for node, weight in zip(nodes, weights, strict=True):
            total += weight * self.density(-np.pi + (end + np.pi) * (1 + node) / 2)
        tail = total * (end + np.pi) / 2
        return np.where(angle < 0, tail, 1 - tail)

    def cdf(self, x):
        return self.below(self.angle(x))

    def sf(self, x):
        return self.below(-self.angle(x))

    def ppf(self, u):
        angle = scipy.stats.vonmises(self.concentration).ppf(u)
        for _ in range(2):
            angle = angle - (self.below(angle) - u) / self.density(angle)
        return np.mod(self.loc + angle + np.pi, 2 * np.pi) - np.pi

    def isf(self, u):
        return self.ppf(1 - u)


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

    def moved(draws, parameters, others):
        here, there = law(**parameters), law(**others)
        lower_tail, upper_tail = here.cdf(draws), here.sf(draws)
        upper = lower_tail > 0.5
        draws = np.where(upper, there.isf(upper_tail), there.ppf(lower_tail))
        # One step of Newton's method: SciPy's CDFs keep more digits than its inverses.
        excess = np.where(
            upper, upper_tail - there.sf(draws), there.cdf(draws) - lower_tail
        )
        return draws - excess / there.pdf(draws)

    return Oracle(uniforms, tangent, moved=moved)


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


def dirichlet(dim: int, is_log: bool) -> Oracle:
    """Of Dirichlet variables: each component is a beta variable.

    When one concentration moves, its component moves as that beta variable does, and
    the others shrink in proportion (Jankowiak and Obermeyer 2018, section 5.3).
    """
    beta = scipy.stats.beta

    def components(draws):
        return np.exp(draws) if is_log else draws

    def uniforms(draws, parameters):
        a = np.asarray(parameters["concentration"])
        return beta.cdf(components(draws), a, a.sum(-1, keepdims=True) - a)

    def tangent(draws, noise, parameters, name, direction):
        x, a = components(draws), parameters[name]
        b = a.sum(-1, keepdims=True) - a

        def place(step):
            return beta.cdf(x, a * (1 + step), b)

        slope = -central_difference(place, 1e-4) / a / beta.pdf(x, a, b)
        moved = slope * direction / (1 - x)
        log_dot = moved / x - moved.sum(-1, keepdims=True)
        return log_dot if is_log else x * log_dot

    return Oracle(uniforms, tangent, (dim,))


def sphere(law_of_gap: Callable[..., Any]) -> Oracle:
    """Of unit vectors in space around a mean, by the law of ``(1 - cos) / 2``.

    A draw keeps its place while the mean turns: the one reflection takes it to a pole,
    the other to the new mean.
    """

    def reflection(mean):
        pole = np.where(mean[..., :1] < 0, 1.0, -1.0) * np.eye(3)[0]
        normal = (mean - pole)[..., None]
        square = np.sum(normal * normal, -2, keepdims=True)
        return np.eye(3) - 2 * normal * np.swapaxes(normal, -1, -2) / square

    def split(draws, parameters):
        mean = parameters["mean_direction"]
        mean = mean / np.linalg.norm(mean, axis=-1, keepdims=True)
        cosine = np.sum(draws * mean, -1, keepdims=True)
        across = draws - cosine * mean
        sine = np.linalg.norm(across, axis=-1, keepdims=True)
        gap = np.sum((draws - mean) ** 2, -1) / 4
        return mean, cosine, sine, across / sine, gap

    def uniforms(draws, parameters):
        mean, _, _, across, gap = split(draws, parameters)
        place = law_of_gap(parameters["concentration"]).cdf(gap)
        flat = (reflection(mean) @ across[..., None])[..., 0]
        turn = np.arctan2(flat[..., 1], flat[..., 2]) / (2 * np.pi) + 0.5
        return np.stack([place, turn, (place + turn) % 1], -1)

    def tangent(draws, noise, parameters, name, direction):
        mean, cosine, sine, across, gap = split(draws, parameters)
        if name == "mean_direction":
            at_pole = reflection(mean) @ draws[..., None]

            def turned(step):
                moved = parameters[name] + step * direction
                moved = moved / np.linalg.norm(moved, axis=-1, keepdims=True)
                return (reflection(moved) @ at_pole)[..., 0]

            return central_difference(turned, 1e-4)
        concentration = parameters[name]

        def place(step):
            return law_of_gap(concentration * (1 + step)).cdf(gap)

        density = law_of_gap(concentration).pdf(gap) * concentration
        # Of the gap; that of the cosine is -2 of it, of the angle 2 / sin.
        slope = -direction * central_difference(place, 1e-4) / density
        angle_dot = 2 * slope[..., None] / sine
        return angle_dot * (cosine * across - sine * mean)

    return Oracle(uniforms, tangent, (3,))


class TruncatedExponential:
    """The law of ``(1 - cos) / 2`` of a von Mises-Fisher variable in space."""

    def __init__(self, concentration):
        self.rate = 2 * np.asarray(concentration)

    def cdf(self, x):
        return np.expm1(-self.rate * x) / np.expm1(-self.rate)

    def pdf(self, x):
        return -self.rate * np.exp(-self.rate * x) / np.expm1(-self.rate)
