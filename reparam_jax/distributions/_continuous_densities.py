"""Log-densities of continuous laws, with exact scores at every parameter and value."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from reparam_jax.special._digamma_difference import digamma_lag
from reparam_jax.special._log_beta import log1mexp
from reparam_jax.special._log_terms import (
    gammaln,
    log1p_excess,
    log_gamma_excess,
    log_ratio_excess,
    log_rising,
    xlog1py,
    xlogy,
)
from reparam_jax.special._von_mises import log_density as von_mises_log_density

from ._elementwise import elementwise


# c log(rate x) - rate x = c (log(rate x / c) - (rate x / c - 1)) + c log c - c: for
# large c, all terms of the density are of order 1. On the boundary, by its definition.
@elementwise
def _gamma(value, concentration, rate):
    inside = value > 0
    x = jnp.where(inside, value, 1)
    core = concentration * log_ratio_excess(rate * x, concentration)
    core = core - log_gamma_excess(concentration) - jnp.log(x)
    power = xlogy(concentration - 1, jnp.where(inside, 1, value))
    edge = power + concentration * jnp.log(rate) - gammaln(concentration)
    return jnp.where(inside, core, edge)


def _gamma_of(law, value):
    return _gamma(value, law.concentration, law.rate)


# The same for a log x + b log(1 - x), with means a / n and b / n.
@elementwise
def _beta(value, a, b):
    inside = (value > 0) & (value < 1)
    x, n = jnp.where(inside, value, 0.5), a + b
    core = a * log_ratio_excess(x, a / n) + b * log_ratio_excess(1 - x, b / n)
    core = core + log_gamma_excess(n) - log_gamma_excess(a) - log_gamma_excess(b)
    core = core - jnp.log(x) - jnp.log1p(-x)
    edge = jnp.where(inside, 0.5, value)
    edge = xlogy(a - 1, edge) + xlog1py(b - 1, -edge) + log_rising(a, b) - gammaln(b)
    return jnp.where(inside, core, edge)


def _beta_of(law, value):
    return _beta(value, law.concentration1, law.concentration0)


@elementwise
def _dirichlet_terms(value, concentration, total):
    inside = value > 0
    x = jnp.where(inside, value, 0.5)
    core = concentration * log_ratio_excess(x, concentration / total)
    core = core - log_gamma_excess(concentration) - jnp.log(x) + total * x
    # At 0 the part of x is (concentration - 1) log x.
    edge = xlogy(concentration - 1, jnp.where(inside, 1, value))
    edge = edge - gammaln(concentration) + concentration * jnp.log(total)
    return jnp.where(inside, core, edge)


def _dirichlet(law, value):
    concentration = jnp.asarray(law.concentration)
    total = jnp.sum(concentration, -1, keepdims=True)
    terms = jnp.sum(_dirichlet_terms(value, concentration, total), -1)
    total = total[..., 0]
    return terms + elementwise(log_gamma_excess)(total) - total


@elementwise
def _kumaraswamy(value, concentration1, concentration0):
    log_power = concentration1 * jnp.log(value)
    rest = jnp.where(value > 0, log1mexp(jnp.where(value > 0, log_power, -1)), 0)
    powers = xlogy(concentration1 - 1, value) + (concentration0 - 1) * rest
    return powers + jnp.log(concentration1) + jnp.log(concentration0)


def _kumaraswamy_of(law, value):
    return _kumaraswamy(value, law.concentration1, law.concentration0)


@elementwise
def _weibull(value, scale, concentration):
    ratio = value / scale
    powers = xlogy(concentration - 1, ratio) - jnp.power(ratio, concentration)
    return powers + jnp.log(concentration) - jnp.log(scale)


def _weibull_of(law, value):
    return _weibull(value, law.scale, law.concentration)


@elementwise
def _cauchy(value, loc, scale):
    size = jnp.abs(value - loc) / scale
    far = size > 1
    # log(1 + s^2), without overflow of the square.
    near = jnp.log1p(jnp.square(jnp.where(far, 0, size)))
    size = jnp.where(far, size, 2)
    log = jnp.where(far, 2 * jnp.log(size) + jnp.log1p(jnp.square(1 / size)), near)
    return -log - jnp.log(scale) - np.log(np.pi)


def _cauchy_of(law, value):
    return _cauchy(value, law.loc, law.scale)


def _half_cauchy_of(law, value):
    return _cauchy(value, jnp.zeros_like(jnp.asarray(law.scale)), law.scale) + np.log(2)


# The score in df is of order 1 / df^2 and would be the rest of terms of order 1 / df:
# with w = square / df, h = size / 2 and a = df / 2,
#   2 d/ddf = (psi(a + h) - psi(a) - size / df) - (log(1 + w) - w / (1 + w))
#             + (size / df) w / (1 + w),
# where psi(a + h) - psi(a) = lag + log(1 + h / a) + h / (a (a + h)), and each bracket
# is of that order.
@jax.custom_jvp
def _student_core(df, square, size):
    """The density's part of df and of the squared distance, in ``size`` dimensions."""
    half = df / 2
    norm = log_rising(half, size / 2) - size / 2 * jnp.log(df * np.pi)
    return norm - (df + size) / 2 * jnp.log1p(square / df)


@_student_core.defjvp
def _student_core_jvp(primals, tangents):
    df, square, size = primals
    half, steps, w = df / 2, size / 2, square / df
    digammas = digamma_lag(half, steps) + log1p_excess(size / df)
    digammas = digammas + steps / (half * (half + steps))
    share = w / (1 + w)
    logs = log1p_excess(w) + w * share
    in_df = (digammas - logs + size / df * share) / 2
    in_square = -(df + size) / (2 * (df + square))
    total = in_df * tangents[0] + in_square * tangents[1]
    return _student_core(*primals), total


@elementwise
def _student_t(value, df, loc, scale):
    square = jnp.square((value - loc) / scale)
    return _student_core(df, square, jnp.ones_like(df)) - jnp.log(scale)


def _student_t_of(law, value):
    return _student_t(value, law.df, law.loc, law.scale)


def _multivariate_student_t(law, value):
    factor = law.scale_tril
    shape = jnp.broadcast_shapes(jnp.shape(value), jnp.shape(law.loc))
    size = shape[-1]
    shape = jnp.broadcast_shapes(shape[:-1], factor.shape[:-2])
    difference = jnp.broadcast_to(value - law.loc, (*shape, size))[..., None]
    factor = jnp.broadcast_to(factor, (*shape, size, size))
    solved = jax.lax.linalg.triangular_solve(
        factor, difference, left_side=True, lower=True
    )
    square = jnp.sum(jnp.square(solved[..., 0]), -1)
    log_det = jnp.sum(jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)), -1)
    return elementwise(_student_core)(law.df, square, float(size)) - log_det


def _von_mises(law, value):
    return elementwise(von_mises_log_density)(law.concentration, value - law.loc)


# The density x^alpha integrates to low^t (exp(t L) - 1) / t with t = 1 + alpha and
# L = log(high / low).
@elementwise
def _power_law(value, alpha, low, high):
    t, width = 1 + alpha, jnp.log(high) - jnp.log(low)
    lead = alpha * jnp.log(value) - t * jnp.log(low)
    return lead - jnp.log(width) - _log_exprel(t * width)


def _power_law_of(law, value):
    return _power_law(value, law.alpha, law.low, law.high)


# log((exp(y) - 1) / y) = y / 2 + log(sinh(y / 2) / (y / 2)), whose slope is
# 1/2 + coth(y / 2) / 2 - 1 / y.
@jax.custom_jvp
def _log_exprel(y):
    size = jnp.abs(y)
    near = size < 1e-3
    safe = jnp.where(near, 1, size)
    # log((1 - exp(-y)) / y) for positive y
    far = jnp.log(-jnp.expm1(-safe)) - jnp.log(safe)
    close = -size / 2 + size * size / 24
    return jnp.where(near, close, far) + jnp.maximum(y, 0)


@_log_exprel.defjvp
def _log_exprel_jvp(primals, tangents):
    return _log_exprel(*primals), _mean_place(*primals) * tangents[0]


@jax.custom_jvp
def _mean_place(y):
    """The mean of the law exp(y x) on [0, 1]: 1 / (1 - exp(-y)) - 1 / y."""
    near = jnp.abs(y) < 0.5
    safe = jnp.where(near, 1, y)
    square = jnp.where(near, y * y, 0)
    terms = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160)
    terms = (*terms, -691 / 1307674368000, 1 / 74724249600)
    series = jnp.zeros_like(y)
    for term in reversed(terms):
        series = series * square + term
    return jnp.where(near, 0.5 + y * series, -1 / jnp.expm1(-safe) - 1 / safe)


@_mean_place.defjvp
def _mean_place_jvp(primals, tangents):
    (y,) = primals
    near = jnp.abs(y) < 0.5
    safe = jnp.where(near, 1, y)
    square = jnp.where(near, y * y, 0)
    terms = (1 / 12, -3 / 720, 5 / 30240, -7 / 1209600, 9 / 47900160)
    terms = (*terms, -11 * 691 / 1307674368000, 13 / 74724249600)
    series = jnp.zeros_like(y)
    for term in reversed(terms):
        series = series * square + term
    far = 1 / jnp.square(safe) - 1 / jnp.square(2 * jnp.sinh(safe / 2))
    return _mean_place(y), jnp.where(near, series, far) * tangents[0]


CONTINUOUS = {
    dist.Gamma: _gamma_of,
    dist.Beta: _beta_of,
    dist.Dirichlet: _dirichlet,
    dist.Kumaraswamy: _kumaraswamy_of,
    dist.Weibull: _weibull_of,
    dist.Cauchy: _cauchy_of,
    dist.HalfCauchy: _half_cauchy_of,
    dist.StudentT: _student_t_of,
    dist.MultivariateStudentT: _multivariate_student_t,
    dist.VonMises: _von_mises,
    dist.DoublyTruncatedPowerLaw: _power_law_of,
}
