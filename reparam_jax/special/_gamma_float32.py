"""The derivative of gamma draws in float32: polynomials, and a rule for the tail."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from ._digamma import digamma_above_log
from ._polynomial import horner, polynomial

# With h(a, l) = d l / da along the path of l = log z, and x = log(z / a), the equation
# dh/dl = psi(a) - l - (a - z) h, which follows from h = -dP/da / (dP/dl), has for large
# a the solution h = (F_0(x) + F_1(x) / a + F_2(x) / a^2 + ...) / a with
#   F_0 = x / (e^x - 1), F_k = (F_{k-1}' + d_k) / (e^x - 1),
# where log a - psi(a) = d_1 / a + d_2 / a^2 + ...: d_1 = 1/2, d_k = B_k / k. (This is
# Temme's uniform expansion of P, SIAM J. Math. Anal. 10 (1979) 757-766, differentiated
# and divided by the density: his variable eta drops out.) Each F_k is analytic for
# abs(x) < 2 pi. Below, one row for each k: the polynomial in x on [-2.5, 1.5] that is
# nearest to F_k relative to F_0, in least squares over Chebyshev nodes, from the
# recursion in 240 digits. Degrees and the number of rows leave an error of 7e-8 of h
# from a = 6 on.
_EXPANSION = (
    (
        *(1.0, -0.500000008, 0.0833332956, 5.40351924e-8, -0.00138879289),
        *(-8.39863273e-8, 3.29732515e-5, 4.62195271e-8, -7.82172961e-7),
        *(-8.37674253e-9, 1.18094217e-8),
    ),
    (
        *(0.166666674, -0.0833334167, 0.00833324358, 0.00277818826, -0.000495789188),
        *(-9.97465967e-5, 2.28530942e-5, 3.56645129e-6, -7.7569093e-7, -1.39493424e-7),
    ),
    (
        *(0.0166669077, 3.35985414e-7, -0.00476478803, 0.00118950523, 0.000203670467),
        *(-9.77930281e-5, -7.38490768e-6, 4.6812725e-6, 5.71215644e-7),
    ),
    (
        *(-0.00952726824, 0.00833269256, -0.00175984773, -0.000602451528),
        *(0.000273733812, 1.37184624e-5, -1.38101799e-5),
    ),
    (
        *(-0.00356526845, -5.10943538e-5, 0.00180586289, -0.000627632911),
        *(-7.67180964e-5, 4.90612998e-5),
    ),
    (0.00366400585, -0.00387851431, 0.000870767325, 0.000377769064, -0.000131481609),
    (0.0019639009, 0.00115046331, -0.00132840173),
)
_LOWEST, _HIGHEST = -2.5, 1.5
_FROM = 6

# A Gauss rule for the integrals of `_integral`, in units of its scale: its nodes and
# weights minimise the largest relative error of int s^k exp(-E(s)) ds, k = 0, 1, 2,
# over 450 random points of its domain (Levenberg-Marquardt, from Gauss-Legendre). It is
# below 5e-8, and 5e-7 for k = 2, which the derivatives need.
_NODES = (
    (0.018712296, 0.047761089),
    (0.096270513, 0.105857985),
    (0.226127383, 0.151159780),
    (0.392670756, 0.178961153),
    (0.578897881, 0.191547917),
    (0.773897416, 0.198888391),
    (0.982655090, 0.225890411),
    (1.260408940, 0.365783579),
)
_EXPONENT = 12.0
# The draws of the largest ones at which nothing underflows in `_integral`.
HIGHEST = 1e36


def log_slope(concentration, z, log_ratio):
    """Returns ``d log z / d concentration`` of Gamma(concentration, 1) at a draw.

    Args:
      concentration: a, of float32.
      z: the draw; where it lies beyond ``HIGHEST``, or underflows, that or 0.
      log_ratio: ``b -> log(z / b)``, accurate to the last place of its terms.
    """
    a = concentration
    # e^psi(a + 1) lies between a + 0.5 and a + 0.5615: below it, all terms of `_series`
    # are positive, above it, all of `_integral`.
    between = a + 0.56
    small = a < _FROM
    lifted = small | (z < 0.1 * a)
    series = lifted & (z < between)
    tail = (small & ~series) | (z > np.exp(_HIGHEST) * a)
    # XLA fuses all of this into one loop as long as no result of a selection is used
    # twice: so a product here, and bounds, not selections, to keep each method finite
    # where it does not serve.
    lift = lifted.astype(a.dtype)
    b = a + _FROM * lift
    x = log_ratio(b)
    reciprocals = [1 / (a + k) for k in range(_FROM + 1)]
    # psi(b + 1) - log z and log z - psi(a + 1)
    to_draw = digamma_above_log(b) - x
    from_draw = lift * sum(reciprocals[1:]) - to_draw
    expanded = _expansion(jnp.maximum(b, _FROM), x)
    by_series = _series(reciprocals, jnp.minimum(z, between), to_draw, expanded)
    by_integral = _integral(a, jnp.maximum(z, between), from_draw)
    return jnp.where(series, by_series, jnp.where(tail, by_integral, expanded))


def _expansion(a, x):
    x = jnp.clip(x, _LOWEST, _HIGHEST)
    return horner([polynomial(row, x) for row in _EXPANSION], 1 / a) / a


# a h(a) = psi(a + 1) - log z + z h(a + 1), from P(a, z) = P(a + 1, z) + z^a exp(-z) /
# Gamma(a + 1). It multiplies the error of h(a + 6) by z^6 / (a + 1)...(a + 6), which
# is below exp(-15) where x is clipped from below.
def _series(reciprocals, z, to_draw, slope):
    for k in reversed(range(_FROM)):
        to_draw = to_draw - reciprocals[k + 1]  # psi(a + k + 1) - log z
        slope = (to_draw + z * slope) * reciprocals[k]
    return slope


# a h = int_0^inf (1 + a (log z - psi(a + 1) + s)) exp(-E(s)) ds, where
# E(s) = z (e^s - 1) - a s, from h = -dP/da / (dP/dl) with t = z e^s for the variable of
# the integral of dP/da. The scale of s is about where E = 12: with m = e^s - 1 and
# log1p(m) = m / (1 + m / 2), that is a quadratic equation.
def _integral(a, z, from_draw):
    excess = z - a - _EXPONENT / 2
    root = jnp.sqrt(z) * jnp.sqrt(excess * (excess / z) + 2 * _EXPONENT)
    # The integral does not depend on it, and neither do its derivatives.
    scale = lax.stop_gradient(jnp.log1p(2 * _EXPONENT / (excess + root)))
    constant = 1 + a * from_draw
    total = jnp.zeros_like(a)
    for node, weight in _NODES:
        s = scale * node
        decay = jnp.exp(a * s - z * jnp.expm1(s))
        total = total + weight * (constant + a * s) * decay
    return scale * total / a
