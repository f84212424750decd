"""The Student-t law: its CDF, and the pathwise derivative of its draws."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from reparam_jax._domains import POSITIVE

from ._elementwise import elementwise, evaluate
from ._student_t_terms import terms


def student_t_pathwise_grad(
    df: jax.typing.ArrayLike, t: jax.typing.ArrayLike
) -> jax.Array:
    r"""Returns the derivative of a standard Student-t draw by its degrees of freedom.

    .. math:: \partial t / \partial \nu = -\partial_\nu F(t; \nu) / f(t; \nu),

    for the CDF :math:`F` and the density :math:`f`: how a draw moves with :math:`\nu`
    when its probability is held. It is odd in :math:`t`, and of the other sign.

    Args:
      df: :math:`\nu > 0`, finite, of any shape.
      t: the draw, finite; without unit. Broadcasts with ``df``.

    Returns:
      An array of the arguments' broadcast shape, in their promoted float dtype; NaN
      where ``df`` or ``t`` lies outside its domain. At ``t = 0`` it is 0.

    Raises:
      TypeError: an argument is not real.
      ValueError: the shapes do not broadcast.

    Gradient:
      ``df``, ``t``: exact, to every order, in forward, reverse and mixed mode.
      For ``df`` from 1e-3 to 1e6 and probabilities from 1e-6 to 1 - 1e-6 the value is
      right to 1e-6 in float32 and 1e-13 in float64, and its derivatives, for ``df`` to
      1e4, to 4e-6 and 4e-12.

    References:
      Wallace. Bounds on normal approximations to Student's and the chi-square
      distributions. Annals of Mathematical Statistics 30, 1959.
      Figurnov, Mohamed and Mnih. Implicit reparameterization gradients. NeurIPS 2018,
      section 3.

    Example:
      >>> import reparam_jax as rj
      >>> round(float(rj.special.student_t_pathwise_grad(2.0, 1.0)), 5)
      -0.11696
    """
    return evaluate(  # pyright: ignore[reportReturnType]
        "special.student_t_pathwise_grad", student_t_slope, _is_draw, df=df, t=t
    )


def student_t_cdf(df: jax.typing.ArrayLike, t: jax.typing.ArrayLike) -> jax.Array:
    r"""Returns the CDF of the standard Student-t law.

    .. math:: F(t; \nu) = \int_{-\infty}^t \frac{\Gamma((\nu + 1) / 2)}
       {\sqrt{\pi \nu} \, \Gamma(\nu / 2)} (1 + u^2 / \nu)^{-(\nu + 1) / 2} \, du.

    Args:
      df: :math:`\nu > 0`, finite, of any shape.
      t: where, without unit; it may be infinite. Broadcasts with ``df``.

    Returns:
      An array of the arguments' broadcast shape, in their promoted float dtype; NaN
      where ``df`` lies outside its domain or ``t`` is NaN. The lower tail keeps its
      relative accuracy, 4e-6 in float32 and 1e-12 in float64; for the upper one, ask
      for ``-t``.

    Raises:
      TypeError: an argument is not real.
      ValueError: the shapes do not broadcast.

    Gradient:
      ``t``: the density. ``df``: exact, through :func:`student_t_pathwise_grad`. Both
      to every order, in forward, reverse and mixed mode.

    References:
      Wallace. Bounds on normal approximations to Student's and the chi-square
      distributions. Annals of Mathematical Statistics 30, 1959.

    Example:
      >>> import reparam_jax as rj
      >>> round(float(rj.special.student_t_cdf(2.0, 1.0)), 5)
      0.78868
    """
    return evaluate(  # pyright: ignore[reportReturnType]
        "special.student_t_cdf", _cdf_of_any, _is_place, df=df, t=t
    )


def _is_draw(df, t):
    return POSITIVE.holds(df) & jnp.isfinite(t)


def _is_place(df, t):
    return POSITIVE.holds(df) & ~jnp.isnan(t)


# Write a = df / 2, u = t^2 / df, q = log(1 + u), w = 1 / (1 + u) = exp(-q), z = 1 - w.
# The probability P(|T| > |t|) is the incomplete beta function I_w(a, 1/2), and so (DLMF
# 8.17.20)
#
#     P(a) = c(a) sqrt(z) w^a + P(a + 1),   c(a) = Gamma(a + 1/2) / (sqrt(pi) a!).
#
# The derivative by df at constant q, over that by q, is -dq/ddf along the draw. With
# t^2 = df (e^q - 1) it gives dt/ddf = -t kappa / (2 df), where
#
#     kappa(a) = (q - z) + delta(a) + z / (2 (a + 1))
#                + w (a + 1/2) / (a + 1) kappa(a + 1),
#     delta(a) = digamma(a + 1) - digamma(a + 1/2) - 1 / (2 (a + 1))
#              = delta(a + 1) + (3/4) / ((a + 1/2) (a + 1) (a + 2)).
#
# Every term is positive: nothing cancels at any df, in the centre or in the tails. A
# few steps lead to where the expansions of `_student_t_terms` for large df hold or, for
# large q, where w^steps has made what they give irrelevant. So one formula serves the
# whole domain, without a branch, and the CDF goes by the same steps.
@elementwise
def student_t_slope(df: jax.Array, t: jax.Array) -> jax.Array:
    """Returns ``dt/ddf`` at a draw of the standard Student-t law.

    Args:
      df: positive, float32 or float64.
      t: finite, of the same shape and dtype.

    Returns:
      The slope.
    """
    return -t * (0.5 / df) * _kappa(df, *_coordinates(df, t))


def _coordinates(df, t):
    """Returns ``q, w, z``; beyond the limit, where t^2 may overflow, w is held."""
    limit = _limit(df)
    near = jnp.clip(t, -limit, limit)
    u = near * near / df
    w = 1 / (1 + u)
    beyond = jnp.log(jnp.maximum(jnp.abs(t), limit)) - jnp.log(limit)
    return jnp.log1p(u) + 2 * beyond, w, u * w


def _limit(df):
    return terms(df.dtype).scheme.far * jnp.sqrt(df)


def _kappa(df, q, w, z):
    steps = terms(df.dtype).scheme.steps
    a, growth = 0.5 * df, _growth(q, z)
    delta = _delta(a + steps)
    kappa = _kappa_of_large_df(df + 2 * steps, q, growth)
    for step in reversed(range(steps)):
        inverse = 1 / (a + (step + 1))
        delta = delta + 0.75 * inverse / ((a + (step + 0.5)) * (a + (step + 2)))
        here = z * (growth + 0.5 * inverse) + delta
        kappa = here + w * (1 - 0.5 * inverse) * kappa
    return kappa


def _growth(q, z):
    """Returns ``q / z - 1``, about q / 2 for small q."""
    constants = terms(q.dtype)
    is_near = q < constants.scheme.reach
    near = jnp.where(is_near, q, 0)
    series = near * (0.5 + near * _horner(near * near, constants.growth))
    return jnp.where(is_near, series, q / jnp.where(is_near, 1, z) - 1)


def _delta(a):
    # With M = 4 a + 1, digamma(a + 1) - digamma(a + 1/2) = 2 (1 + e(1 / M)) / M.
    m = 4 * a + 1
    epsilon2 = 1 / (m * m)
    e = epsilon2 * _horner(epsilon2, terms(a.dtype).euler)
    return (1.5 / (a + 1) + 2 * e) / m


def _kappa_of_large_df(df, q, growth):
    # kappa + 1 = (1 + epsilon) (q / z) (1 - R), for epsilon = 1 / (2 df - 1), as
    # (df - 1/2) dq/ddf = -q (1 - R) for the R of `_student_t_terms`.
    constants = terms(q.dtype)
    q = jnp.minimum(q, constants.scheme.reach)
    h, epsilon = q * q, 1 / (2 * df - 1)
    epsilon2 = epsilon * epsilon
    odd = epsilon2 * _horner2(epsilon2, h, constants.slope_odd)
    odd = odd + 2 * _horner(h, constants.growth)
    even = epsilon2 * _horner2(epsilon2, h, constants.slope_even)
    slope = even + q * epsilon * odd
    return (0.5 / df + growth - (1 + growth) * slope) * (1 + epsilon)


def _cdf_of_any(df, t):
    infinite = jnp.isinf(t)
    value = _cdf(df, jnp.where(infinite, 0, t))
    return jnp.where(infinite, jnp.heaviside(t, 0), value)


@jax.custom_jvp
def _cdf(df, t):
    constants = terms(t.dtype)
    steps, reach = constants.scheme.steps, constants.scheme.reach
    q, w, z = _coordinates(df, t)
    a = 0.5 * df
    ratio, total = _gamma_ratio(a + steps), 0
    for step in reversed(range(steps)):
        ratio = ratio * ((a + (step + 1)) / (a + (step + 0.5)))
        total = ratio + w * total
    tail = total * jnp.sqrt(z) * jnp.exp(-a * q)

    near = jnp.minimum(q, reach)
    h, epsilon = near * near, 1 / (2 * (df + 2 * steps) - 1)
    epsilon2 = epsilon * epsilon
    odd = _horner2(epsilon2, h, constants.tail_odd)
    even = _horner2(epsilon2, h, constants.tail_even)
    half_square = q / (4 * epsilon)
    x = jnp.sqrt(half_square)
    density = (2 / np.sqrt(np.pi)) * x * jnp.exp(-half_square)
    correction = epsilon * (near * odd + epsilon * even)
    tail = 0.5 * (tail + lax.erfc(x) + density * correction)
    return jnp.where(t < 0, tail, 1 - tail)


# dF/ddf = -f dt/ddf = f t kappa / (2 df), in factors that do not overflow:
# f t = a c(a) sqrt(z) w^a, with the sign of t.
@_cdf.defjvp
def _cdf_jvp(primals, tangents):
    slope = _density(*primals) * tangents[1] + _cdf_slope(*primals) * tangents[0]
    return _cdf(*primals), slope


@elementwise
def _cdf_slope(df, t):
    root, _ = _root_and_length(df, t)
    return 0.25 * _power(df, t) * root * _kappa(df, *_coordinates(df, t))


# The score, 2 d log f / d df = (z + kappa(a)|_{q=0}) / df - (q - z), has terms of order
# 1 / df^2, where the derivatives of the factors of f are of order 1 / df.
@jax.custom_jvp
def _density(df, t):
    _, inverse_length = _root_and_length(df, t)
    return 0.5 * df * _power(df, t) * inverse_length


@_density.defjvp
def _density_jvp(primals, tangents):
    density, score = _density(*primals), _score(*primals)
    return density, density * (score * tangents[0] - _decay(*primals) * tangents[1])


def _score(df, t):
    q, _, z = _coordinates(df, t)
    centre = jnp.zeros_like(q)
    kappa = _kappa(df, centre, centre + 1, centre)
    return 0.5 * ((z + kappa) / df - z * _growth(q, z))


def _decay(df, t):
    """Returns ``(df + 1) t / (df + t^2)``."""
    root, inverse_length = _root_and_length(df, t)
    return (df + 1) * root * inverse_length


def _root_and_length(df, t):
    """Returns ``t / sqrt(df + t^2)`` and ``1 / sqrt(df + t^2)``."""
    limit = _limit(df)
    near = jnp.clip(t, -limit, limit)
    inverse_length = 1 / jnp.sqrt(df + near * near)
    beyond = limit / jnp.maximum(jnp.abs(t), limit)
    return near * inverse_length, inverse_length * beyond


def _power(df, t):
    """Returns ``c(a) w^a``."""
    a = 0.5 * df
    q, _, _ = _coordinates(df, t)
    steps = terms(df.dtype).scheme.steps
    ratio = _gamma_ratio(a + steps)
    for step in reversed(range(steps)):
        ratio = ratio * ((a + (step + 1)) / (a + (step + 0.5)))
    return ratio * jnp.exp(-a * q)


def _gamma_ratio(a):
    """Returns ``c(a)`` for large a."""
    m = 4 * a + 1
    norm = _horner(1 / (m * m), terms(a.dtype).norm)
    return (2 / np.sqrt(np.pi)) / (norm * jnp.sqrt(m))


def _horner(x, coefficients):
    total = jnp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def _horner2(x, y, rows):
    total = _horner(y, rows[-1])
    for row in reversed(rows[:-1]):
        total = total * x + _horner(y, row)
    return total
