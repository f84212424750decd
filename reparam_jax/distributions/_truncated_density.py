"""Log-densities of laws between bounds, also far in their tails.

NumPyro subtracts probabilities: in a tail both are 0, or 1, or rounded to few digits.
"""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.nn import log_sigmoid

from reparam_jax.special._gaussian_moments import gaussian_moment
from reparam_jax.special._log_beta import log1mexp
from reparam_jax.special._student_t import student_t_cdf
from reparam_jax.special._truncated_normal import half_mass

from ._elementwise import elementwise

# Stands for infinity, in standard deviations: its density is 0 in every dtype.
_FAR = 1e3


# On an axis that starts at the bound next to loc, or at loc between the bounds, and
# goes away from it: the mass over the density there neither underflows nor cancels.
@elementwise
def _normal(value, loc, scale, low, high):
    low, high = _finite(loc, scale, low, high, _FAR)
    flipped = high < loc
    straddles = (low <= loc) & (loc <= high)
    nearest = jnp.where(straddles, loc, jnp.where(flipped, high, low))
    rise = (value - nearest) / scale
    base = jnp.where(straddles, 0, (nearest - loc) / scale)
    width = jnp.where(straddles, 1, (high - low) / scale)
    tail = gaussian_moment(0, 0, jnp.abs(base), width)
    below = jnp.where(straddles, (loc - low) / scale, 1)
    above = jnp.where(straddles, (high - loc) / scale, 1)
    mass = jnp.where(straddles, half_mass(below) + half_mass(above), tail)
    return -rise * (base + rise / 2) - jnp.log(mass) - jnp.log(scale)


def _finite(loc, scale, low, high, far):
    """The bounds, with infinite ones far away, where they are constants."""
    has_low, has_high = low > -jnp.inf, high < jnp.inf
    safe_low, safe_high = jnp.where(has_low, low, loc), jnp.where(has_high, high, loc)
    low = jnp.where(has_low, low, jnp.minimum(loc, safe_high) - far * scale)
    high = jnp.where(has_high, high, jnp.maximum(loc, safe_low) + far * scale)
    return low, high


# The logs of the masses between two bounds of the standard laws. Symmetric ones may be
# taken on the side where both bounds are negative, or the smaller one is far.
def _to_left(low, high):
    flipped = low + high > 0
    return jnp.where(flipped, -high, low), jnp.where(flipped, -low, high)


# sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b))
def _logistic_mass(low, high):
    return log_sigmoid(high) + log_sigmoid(-low) + log1mexp(low - high)


def _laplace_mass(low, high):
    low, high = _to_left(low, high)
    left = high <= 0
    tail = jnp.where(left, high, 0) + log1mexp(jnp.where(left, low - high, -1))
    below, above = jnp.where(left, -1, low), jnp.where(left, 1, high)
    around = jnp.log(-jnp.expm1(below) - jnp.expm1(-above))
    return jnp.where(left, tail, around) - np.log(2)


# atan exp(b) - atan exp(a) = atan(exp(b) (1 - exp(a - b)) / (1 + exp(a + b)))
def _soft_laplace_mass(low, high):
    low, high = _to_left(low, high)
    log = (
        jnp.minimum(high, 80.0) + log1mexp(low - high) - jnp.log1p(jnp.exp(low + high))
    )
    small = log < -10
    tangent = jnp.exp(jnp.where(small, 0, log))
    # log(atan(y) / y) = -y^2 / 3 to all digits
    tail = log - jnp.exp(2 * jnp.where(small, log, -10)) / 3
    return jnp.where(small, tail, jnp.log(jnp.arctan(tangent))) + np.log(2 / np.pi)


def _mass_of(kernel):
    @elementwise
    def mass(loc, scale, low, high):
        low, high = _finite(loc, scale, low, high, _FAR)
        return kernel((low - loc) / scale, (high - loc) / scale)

    return mass


# The angle between the directions (1, a) and (1, b), which are (0, -1) and (0, 1) for
# infinite bounds: atan b - atan a = atan2(b - a, 1 + a b), without cancellation.
@elementwise
def _cauchy(loc, scale, low, high):
    has_low, has_high = low > -jnp.inf, high < jnp.inf
    a = jnp.where(has_low, (jnp.where(has_low, low, loc) - loc) / scale, -1)
    b = jnp.where(has_high, (jnp.where(has_high, high, loc) - loc) / scale, 1)
    left, right = jnp.where(has_low, 1.0, 0.0), jnp.where(has_high, 1.0, 0.0)
    angle = jnp.arctan2(left * b - right * a, left * right + a * b)
    return jnp.log(angle) - np.log(np.pi)


_MASSES = {
    dist.Logistic: _mass_of(_logistic_mass),
    dist.Laplace: _mass_of(_laplace_mass),
    dist.SoftLaplace: _mass_of(_soft_laplace_mass),
    dist.Cauchy: _cauchy,
}


@elementwise
def _student_mass(df, loc, scale, low, high):
    has_low, has_high = low > -jnp.inf, high < jnp.inf
    low = jnp.where(has_low, (jnp.where(has_low, low, loc) - loc) / scale, -1)
    high = jnp.where(has_high, (jnp.where(has_high, high, loc) - loc) / scale, 1)
    # The side where the tails are: that of the bound next to loc.
    right = has_low & ((low > 0) | (has_high & (low + high > 0)))
    upper = student_t_cdf(df, jnp.where(right, -low, high))
    lower = student_t_cdf(df, jnp.where(right, -high, low))
    upper = jnp.where(jnp.where(right, has_low, has_high), upper, 1)
    return jnp.log(upper - jnp.where(jnp.where(right, has_high, has_low), lower, 0))


def log_density_between(base, value, log_density, low=-jnp.inf, high=jnp.inf):
    """The log-density of a law between bounds; ``None`` for other laws.

    Args:
      base: the law without bounds.
      value: of the law between them.
      log_density: of ``base`` at ``value``.
      low: the lower bound.
      high: the upper bound.
    """
    kind = type(base)
    if kind is dist.Normal:
        return _normal(value, base.loc, base.scale, low, high)
    if kind is dist.StudentT:
        mass = _student_mass(base.df, base.loc, base.scale, low, high)
        return log_density - mass
    if kind in _MASSES:
        return log_density - _MASSES[kind](base.loc, base.scale, low, high)
    return None
