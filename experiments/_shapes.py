"""Laws with a shape parameter: how peers draw them, and what gradients must be."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import scipy.special
from jax import random

import reparam_jax as rj

OURS = "reparam_jax"
DIRICHLET_LENGTH = 4


@dataclasses.dataclass(frozen=True)
class ShapeLaw:
    """A law at many concentrations.

    Attributes:
      ours: key and parameters to a draw, with this library's sampler.
      jax_random: a method of ``jax.random.gamma``, key and parameters to a draw with
        the lines on ``jax.random``; ``None`` where it has no such law.
      distribution: the class, where other libraries have it.
      build: from that class and the parameters to an object.
      pathwise: the exact derivative of a draw (of its first element) with the first
        parameter (its first element), at float64 parameters and draws, where that is
        one function of the draw; by this library's special functions in float64.
      implicit: the peers whose derivative is that function. Others go through two
        gammas, or a normal and a gamma, or an approximation of the quantile: different
        draw by draw, whether or not they are right in the mean.
      statistic: the test function, from ``jnp`` or ``torch`` and draws.
      words: for the statistic.
      slope: the derivative of its expectation with the first parameter, in closed form,
        from a concentration.
      parameters: from an array of concentrations.
      pick: what of draws and of the first parameter's gradients is compared.
      after: of the distributions' draws, to make them draws from the law.
    """

    ours: Callable[..., jax.Array]
    jax_random: Callable[..., jax.Array] | None
    distribution: str
    build: Callable[..., Any]
    pathwise: Callable[..., jax.Array]
    implicit: tuple[str, ...]
    statistic: Callable
    words: str
    slope: Callable[[float], float]
    parameters: Callable[[np.ndarray], tuple[np.ndarray, ...]] = lambda c: (c,)
    pick: Callable = lambda values: values
    after: Callable = lambda xp, draws: draws


def _gamma_options(method):
    # jax 0.10 has one method, which takes no name.
    return {} if method == "exact" else {"method": method}


def _jax_dirichlet(method, key, concentration):
    if method == "exact":
        return random.dirichlet(key, concentration)
    logs = random.loggamma(key, concentration, **_gamma_options(method))
    return jax.nn.softmax(logs, axis=-1)


def _jax_student_t(method, key, df):
    if method == "exact":
        return random.t(key, df)
    normal_key, gamma_key = random.split(key)
    gamma = random.gamma(gamma_key, df / 2, **_gamma_options(method))
    return random.normal(normal_key, df.shape) * jax.numpy.sqrt(df / 2 / gamma)


def _mean_cosine_slope(kappa):
    # A' = 1 - A / k - A^2 = (1 + I_2 / I_0) / 2 - A^2.
    zero, one, two = (scipy.special.ive(order, kappa) for order in range(3))
    return (1 + two / zero) / 2 - (one / zero) ** 2


def _truncated_mean_slope(low):
    # On [l, 2 l], with y = z - l: d E[z] / d l at a fixed upper end is E[y] p(l).
    nodes, weights = np.polynomial.legendre.leggauss(200)
    y = min(low, 40 / low) * (nodes + 1) / 2
    weights = weights * np.exp(-low * y - y * y / 2) * min(low, 40 / low) / 2
    return np.sum(weights * y) / np.sum(weights) ** 2


IMPLICIT = (OURS, "jax.random", "numpyro", "tfp", "torch")

SHAPES: Mapping[str, ShapeLaw] = {
    "gamma": ShapeLaw(
        lambda key, concentration: rj.gamma(key, concentration),
        lambda method, key, concentration: random.gamma(
            key, concentration, **_gamma_options(method)
        ),
        "Gamma",
        lambda gamma, concentration: gamma(concentration, 1.0),
        lambda concentration, z: rj.special.gamma_pathwise_grad(concentration, z),
        IMPLICIT,
        lambda xp, z: xp.log(z),
        "log z",
        lambda concentration: scipy.special.polygamma(1, concentration),
    ),
    "log_gamma": ShapeLaw(
        lambda key, concentration: rj.log_gamma(key, concentration),
        lambda method, key, concentration: random.loggamma(
            key, concentration, **_gamma_options(method)
        ),
        "Gamma",
        lambda gamma, concentration: gamma(concentration, 1.0),
        lambda concentration, log_z: rj.special.log_gamma_pathwise_grad(
            concentration, log_z
        ),
        IMPLICIT,
        lambda xp, log_z: log_z,
        "log z",
        lambda concentration: scipy.special.polygamma(1, concentration),
        after=lambda xp, z: xp.log(z),
    ),
    "beta": ShapeLaw(
        lambda key, one, zero: rj.beta(key, one, zero),
        lambda method, key, one, zero: random.beta(
            key, one, zero, **_gamma_options(method)
        ),
        "Beta",
        lambda beta, one, zero: beta(one, zero),
        lambda one, zero, x: rj.special.beta_pathwise_grad(one, zero, x)[0],
        (OURS, "torch"),
        lambda xp, x: x,
        "x",
        lambda concentration: 1 / (4 * concentration),
        parameters=lambda c: (c, np.ascontiguousarray(c[::-1])),
    ),
    "dirichlet": ShapeLaw(
        lambda key, concentration: rj.dirichlet(key, concentration),
        _jax_dirichlet,
        "Dirichlet",
        lambda dirichlet, concentration: dirichlet(concentration),
        lambda concentration, x: rj.special.beta_pathwise_grad(
            concentration[..., 0], concentration[..., 1:].sum(-1), x[..., 0]
        )[0],
        (OURS, "torch"),
        lambda xp, x: x[..., 0],
        "x_1 of 4",
        lambda concentration: 3 / (16 * concentration),
        parameters=lambda c: (c.reshape(-1, DIRICHLET_LENGTH),),
        pick=lambda values: values[..., 0],
    ),
    "student_t": ShapeLaw(
        lambda key, df: rj.student_t(key, df),
        _jax_student_t,
        "StudentT",
        lambda student_t, df: student_t(df, 0.0, 1.0),
        lambda df, t: rj.special.student_t_pathwise_grad(df, t),
        (OURS,),
        lambda xp, t: xp.log(xp.abs(t)),
        "log abs(t)",
        lambda df: (1 / df - scipy.special.polygamma(1, df / 2) / 2) / 2,
    ),
    "von_mises": ShapeLaw(
        lambda key, concentration: rj.von_mises(key, 0.0, concentration),
        None,
        "VonMises",
        lambda von_mises, concentration: von_mises(0.0, concentration),
        lambda concentration, x: rj.special.von_mises_pathwise_grad(concentration, x),
        (OURS, "tfp"),
        lambda xp, x: xp.cos(x),
        "cos x",
        _mean_cosine_slope,
    ),
    "truncated_normal": ShapeLaw(
        lambda key, low, high: rj.truncated_normal(key, 0.0, 1.0, low, high),
        lambda method, key, low, high: random.truncated_normal(key, low, high),
        "TruncatedNormal",
        lambda truncated, low, high: truncated(0.0, 1.0, low=low, high=high),
        lambda low, high, z: rj.special.truncated_normal_pathwise_grad(low, high, z)[0],
        IMPLICIT,
        lambda xp, z: z,
        "z",
        _truncated_mean_slope,
        parameters=lambda low: (low, 2 * low),
    ),
}


def concentrations(case: float | None, size: int) -> np.ndarray:
    """Returns the concentrations of a case.

    Args:
      case: one concentration, or ``None`` for log-uniform ones from 1e-3 to 1e6.
      size: elements.

    Returns:
      An array of float32.
    """
    if case is not None:
        return np.full(size, case, np.float32)
    return (10 ** np.random.default_rng(0).uniform(-3, 6, size)).astype(np.float32)
