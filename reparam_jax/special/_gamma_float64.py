"""The derivative of gamma draws in float64: one quadrature for the whole domain."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._digamma import digamma_above_log, lowest

_FROM = lowest(np.dtype(np.float64))

# The integrals are cut where the integrand is exp(-36) of its start: 2e-16.
_EXPONENT = 36.0


def _rule(nodes):
    """Gauss-Legendre in y on [0, 1], for the variable (y + 2 y^2) / 3.

    Crowded towards 0, 24 nodes leave an error of 1e-12 and 28 one of 6e-15, where as
    many of Gauss-Legendre itself leave 2e-9 and 1e-10.
    """
    y, weights = np.polynomial.legendre.leggauss(nodes)
    y = (y + 1) / 2
    return (y + 2 * y**2) / 3, weights / 2 * (1 + 4 * y) / 3


_NODES, _WEIGHTS = _rule(28)


# h = -dP/da / (dP/dl), with l = log z, P the integral of the density from 0 to z, and
# t = z e^(-s) or z e^s for the variable of integration of dP/da, over the side of the
# draw on which the score log t - psi(a) keeps its sign:
#   a h = L + z int_0^inf (L + s) exp(-E(s)) ds, E = (a + 1) s - z (1 - e^-s), below,
#   a h = int_0^inf (1 - a L + a s) exp(-E(s)) ds, E = z (e^s - 1) - a s, above,
# where L = psi(a + 1) - l: no term is negative. (Below, it is the integral for a + 1,
# and a h(a) = L + z h(a + 1): so a may be small.)
def log_slope(
    concentration: jax.Array,
    z: jax.Array,
    excess: jax.Array,
    log_ratio: jax.Array,
) -> jax.Array:
    """Returns ``d log z / d concentration`` of Gamma(concentration, 1) at a draw.

    Args:
      concentration: a, of float64.
      z: the draw; underflown to 0, or clipped, where its logarithm lies beyond.
      excess: z - a, to the last place.
      log_ratio: log(z / lifted(a)), consistent with ``excess``.
    """
    a = concentration
    b = lifted(a)
    harmonic = sum(1 / (a + k) for k in range(1, _FROM + 1))
    to_draw = digamma_above_log(b) - log_ratio - jnp.where(b > a, harmonic, 0.0)
    # e^psi(a + 1) lies between a + 0.5 and a + 0.5615.
    lower = excess < 0.56
    sign = jnp.where(lower, -1.0, 1.0)
    drift = sign * excess + jnp.where(lower, 1.0, 0.0)
    # The integrals do not depend on the end, and neither do their derivatives.
    end = lax.stop_gradient(_end(a, z, drift, lower, sign))
    constant = jnp.where(lower, z * to_draw, 1 - a * to_draw)
    factor = jnp.where(lower, z, a)

    def over_nodes(x):
        return jnp.expand_dims(x, -1)

    s = over_nodes(end) * jnp.asarray(_NODES).reshape((1,) * a.ndim + (-1,))
    exponent = over_nodes(drift) * s + over_nodes(z) * convex(over_nodes(sign) * s)
    integrand = (over_nodes(constant) + over_nodes(factor) * s) * jnp.exp(-exponent)
    weights = jnp.asarray(_WEIGHTS).reshape((1,) * a.ndim + (-1,))
    integral = end * jnp.sum(integrand * weights, -1)
    return (jnp.where(lower, to_draw, 0.0) + integral) / a


def lifted(concentration: jax.Array) -> jax.Array:
    """Returns a concentration from which the expansion of digamma holds."""
    return concentration + jnp.where(concentration < _FROM, _FROM * 1.0, 0.0)


def _end(a, z, drift, lower, sign):
    """Returns about the s at which the exponent is 36, and not less."""
    # Below: e^-s - 1 + s > s^2 / (2 + s) leaves a quadratic equation.
    slope = 2 * drift - _EXPONENT
    root = jnp.sqrt(slope * slope + 8 * _EXPONENT * (a + 1))
    below = 4 * _EXPONENT / (slope + root)
    # Above: e^s - 1 - s > s^2 / 2, and > m^2 / (2 + 2 m) for m = e^s - 1.
    above_z = jnp.where(lower, 1.0, z)
    by_square = drift + jnp.sqrt(drift) * jnp.sqrt(
        drift + 2 * _EXPONENT * (above_z / drift)
    )
    ratio = _EXPONENT / above_z
    by_growth = jnp.log1p(ratio + jnp.sqrt(ratio * (ratio + 2)))
    above = jnp.minimum(2 * _EXPONENT / by_square, by_growth)
    end = jnp.where(lower, below, above)
    # The exponent is convex, so Newton's method never falls short.
    growth = sign * jnp.expm1(sign * end)
    exponent = drift * end + z * convex(sign * end)
    return end - (exponent - _EXPONENT) / (drift + z * growth)


def convex(s: jax.Array) -> jax.Array:
    """Returns ``e^s - 1 - s``, to the last places also where it cancels."""
    small = jnp.abs(s) < 0.7
    near = jnp.where(small, s, 0.0)
    series = jnp.zeros_like(near)
    for k in range(18, 2, -1):  # 0.7^17 / 19! is 2e-20
        series = (1 + series) * near * (1 / k)
    far = jnp.expm1(s) - s
    return jnp.where(small, near * near * 0.5 * (1 + series), far)
