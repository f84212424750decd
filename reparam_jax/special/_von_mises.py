"""The von Mises distribution: its CDF, and the pathwise derivative of its draws."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._elementwise import elementwise, evaluate
from ._quadrature import integrate


def von_mises_pathwise_grad(
    concentration: jax.typing.ArrayLike, x: jax.typing.ArrayLike
) -> jax.Array:
    r"""Returns the derivative of a von Mises draw in its concentration.

    .. math:: \frac{dx}{d\kappa} = -\frac{\partial F(x; \kappa) / \partial \kappa}{
       f(x; \kappa)}, \qquad f(x; \kappa) = \frac{e^{\kappa \cos x}}{2 \pi I_0(\kappa)},

    for a draw :math:`x` around 0, with :math:`F` the CDF: how the draw moves if it
    keeps its quantile.

    Args:
      concentration: :math:`\kappa \ge 0`, finite, of any shape.
      x: the draw in radians, :math:`-\pi \le x \le \pi`; broadcasts with
        ``concentration``. It counts as exact, so that draws next to :math:`\pm \pi`,
        whose derivative is nearly 0, keep all digits of it.

    Returns:
      The derivative, in the arguments' promoted float dtype: negative for ``x > 0``,
      odd in ``x``, and 0 at 0 and at the ends. Elements outside the domain are NaN, as
      are their gradients.

    Raises:
      TypeError: an argument is not real.
      ValueError: the shapes do not broadcast.

    Gradient:
      Exact, in both arguments, to every order, in forward, reverse and mixed mode.
      Values and second derivatives along the path are right to 2e-6 and 1e-5 in
      float32 and to 2e-15 and 1e-14 in float64 (measured, concentrations to 1e6).

    References:
      Figurnov, Mohamed and Mnih. Implicit reparameterization gradients. NeurIPS 2018,
      section 4, for the implicit derivative; here it is one integral without
      cancellation.

    Example:
      >>> import jax.numpy as jnp, reparam_jax as rj
      >>> slope = rj.special.von_mises_pathwise_grad(0.0, jnp.pi / 2)  # -sin(x)
      >>> round(float(slope), 6)
      -1.0
    """
    return evaluate(
        "special.von_mises_pathwise_grad",
        von_mises_slope,
        _holds,
        concentration=concentration,
        x=x,
    )


def von_mises_cdf(
    concentration: jax.typing.ArrayLike, x: jax.typing.ArrayLike
) -> jax.Array:
    r"""Returns the CDF of a von Mises distribution around 0.

    .. math:: F(x; \kappa) = \int_{-\pi}^x \frac{e^{\kappa \cos t}}{2 \pi I_0(\kappa)}
       \, dt.

    Args:
      concentration: :math:`\kappa \ge 0`, finite, of any shape.
      x: an angle in radians, :math:`-\pi \le x \le \pi`; broadcasts with
        ``concentration``.

    Returns:
      The probability of an angle below ``x``, in the arguments' promoted float dtype;
      the lower tail to full relative precision. Elements outside the domain are NaN, as
      are their gradients.

    Raises:
      TypeError: an argument is not real.
      ValueError: the shapes do not broadcast.

    Gradient:
      Exact, in both arguments, to every order, in forward, reverse and mixed mode.

    Example:
      >>> import jax.numpy as jnp, reparam_jax as rj
      >>> round(float(rj.special.von_mises_cdf(0.0, -jnp.pi / 2)), 6)
      0.25
    """
    return evaluate(
        "special.von_mises_cdf", _cdf, _holds, concentration=concentration, x=x
    )


def _holds(kappa, x):
    end = np.asarray(np.pi, x.dtype)
    return (kappa >= 0) & jnp.isfinite(kappa) & (-end <= x) & (x <= end)


# With A = I1(kappa) / I0(kappa), the mean of cos t, the score cos t - A has mean 0, so
#   dx/dkappa = -∫_0^x (cos t - A) e^(kappa (cos t - cos x)) dt
#             =  ∫_x^π (cos t - A) e^(kappa (cos t - cos x)) dt.
# Its sign changes once, where cos t = A: the integral from x to that end which lies on
# the same side never cancels. The exponent is at most 0.61 on the one side, and at most
# 0 on the other.
@elementwise
def von_mises_slope(kappa, x):
    """Returns the derivative of a draw around 0 in the concentration."""
    sign = jnp.where(x < 0, -1, 1).astype(x.dtype)
    start, rest = _quarters(sign * x)
    _, deficit = _mass_and_deficit(kappa)
    inner = 2 * _sine_squared(start) <= deficit
    width = jnp.where(inner, -start, _tail_width(kappa, start, rest))
    return sign * _integral(kappa, start, width, deficit)


# All integrals run over q = tan(t / 4), from 0 at t = 0 to 1 at t = π. Then
# sin(t / 2) = 2 q / (1 + q^2) and dt = 4 dq / (1 + q^2) are smooth to both ends, take
# no trigonometry at the nodes, and cos t = 1 - 2 sin(t / 2)^2 comes without rounding 1.
def _quarters(x):
    """Returns ``tan(x / 4)``, and what it lacks to 1 as accurately."""
    head = np.asarray(np.pi, x.dtype)
    # π less its rounded value, which is beyond double precision for float64.
    tail = np.asarray(np.sin(np.float64(head)), x.dtype)
    # The barrier keeps XLA from adding the constants up first.
    distance = lax.optimization_barrier(head - x) + tail
    distance = jnp.where(distance > 0, distance, 0)
    quarter = jnp.tan(distance / 4)
    return jnp.tan(x / 4), 2 * quarter / (1 + quarter)


def _sine_squared(quarter):
    """Returns ``sin(t / 2)^2``."""
    return jnp.square(2 * quarter / (1 + quarter * quarter))


# In the exponent, sin(t / 2)^2 - sin(x / 2)^2 is the sum of the sines times their
# difference, 2 (q - p) (1 - p q) / ((1 + p^2) (1 + q^2)) for p = tan(x / 4).
def _integral(kappa, start, width, level=None):
    """Integrates the density, or its product with the score, over its start's."""
    count = 16 if kappa.dtype == jnp.float32 else 40
    level_or_zero = jnp.zeros_like(kappa) if level is None else level

    def integrand(point, kappa, start, width, level_or_zero):
        step = width * point
        quarter = start + step
        slope = 1 / (1 + quarter * quarter)
        start_slope = 1 / (1 + start * start)
        sine = 2 * quarter * slope
        rise = 2 * step * (1 - start * quarter) * slope * start_slope
        decay = 2 * kappa * rise * (sine + 2 * start * start_slope)
        weight = slope * jnp.exp(-decay)
        return weight if level is None else weight * (level_or_zero - 2 * sine * sine)

    total = integrate(integrand, count, kappa, start, width, level_or_zero)
    return 4 * width * total


def _tail_width(kappa, start, rest):
    """Returns how far to integrate from ``start``: to π, or to half an ulp."""
    decay = 17.0 if kappa.dtype == jnp.float32 else 38.0
    # Below kappa = 1 the density never decays that far.
    squared = _sine_squared(start) + decay / 2 / jnp.maximum(kappa, 1)
    squared = jnp.minimum(squared, 1)
    end = jnp.sqrt(squared) / (1 + jnp.sqrt(1 - squared))
    # What is cut off is as good as 0 wherever the cut lies: it counts as a constant.
    return jnp.where(squared < 1, lax.stop_gradient(end - start), rest)


def _mass_and_deficit(kappa):
    """Returns ``π I0(kappa) exp(-kappa)``, and ``1 - A``."""
    zero, one = jnp.zeros_like(kappa), jnp.ones_like(kappa)
    width = _tail_width(kappa, zero, one)
    mass = _integral(kappa, zero, width)
    return mass, -_integral(kappa, zero, width, zero) / mass


# dF = f (dx - slope dkappa), and d log f = (cos x - A) dkappa - kappa sin x dx.
@jax.custom_jvp
def _cdf(kappa, x):
    mass, _ = _mass_and_deficit(kappa)
    start, rest = _quarters(jnp.abs(x))
    tail = _integral(kappa, start, _tail_width(kappa, start, rest))
    tail = tail / (2 * mass) * jnp.exp(-2 * kappa * _sine_squared(start))
    return jnp.where(x < 0, tail, 1 - tail)


@_cdf.defjvp
def _cdf_jvp(primals, tangents):
    kappa_dot, x_dot = tangents
    moved = x_dot - von_mises_slope(*primals) * kappa_dot
    return _cdf(*primals), _density(*primals) * moved


@jax.custom_jvp
def _density(kappa, x):
    mass, _ = _mass_and_deficit(kappa)
    return jnp.exp(-2 * kappa * jnp.square(jnp.sin(x / 2))) / (2 * mass)


@_density.defjvp
def _density_jvp(primals, tangents):
    (kappa, x), (kappa_dot, x_dot) = primals, tangents
    density = _density(kappa, x)
    score = deficit(kappa) - 2 * jnp.square(jnp.sin(x / 2))
    return density, density * (score * kappa_dot - kappa * jnp.sin(x) * x_dot)


@elementwise
def deficit(kappa: jax.Array) -> jax.Array:
    """Returns ``1 - A``, the lack of the mean resultant length to 1."""
    return _mass_and_deficit(kappa)[1]


# By the same masses; in the tails too, where the density underflows.
@jax.custom_jvp
def log_density(kappa: jax.Array, x: jax.Array) -> jax.Array:
    """Returns the log-density at an angle from the mode, with precise derivatives."""
    mass, _ = _mass_and_deficit(kappa)
    return -2 * kappa * jnp.square(jnp.sin(x / 2)) - jnp.log(2 * mass)


@log_density.defjvp
def _log_density_jvp(primals, tangents):
    (kappa, x), (kappa_dot, x_dot) = primals, tangents
    score = deficit(kappa) - 2 * jnp.square(jnp.sin(x / 2))
    return log_density(kappa, x), score * kappa_dot - kappa * jnp.sin(x) * x_dot
