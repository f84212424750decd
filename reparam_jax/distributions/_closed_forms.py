"""Laws of numbers that are closed-form maps of noise, without a sampler here."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax import lax

from reparam_jax import noise as noise_room
from reparam_jax._domains import FINITE, POSITIVE, Parameter
from reparam_jax.samplers import _family
from reparam_jax.samplers._roots import exp_of_part

from ._path import Maker, in_family


# Below loc lies the probability k^2 / (1 + k^2), the odds k^2 of the logistic noise; on
# each side the distance is exponential, and its log-probability there is that of the
# side less that of the draw.
def _asymmetric_laplace(noise, loc, scale, asymmetry):
    middle = 2 * jnp.log(asymmetry)
    left = jax.nn.softplus(-noise) - jax.nn.softplus(-middle)
    right = jax.nn.softplus(noise) - jax.nn.softplus(middle)
    distance = jnp.where(noise < middle, -asymmetry * left, right / asymmetry)
    return loc + scale * distance


# P(x) = (1 + (x / b)^-a)^-p = 1 / (1 + e^-y) for logistic noise y: with
# s = log(1 + e^-y) / p, (x / b)^-a = e^s - 1.
def _dagum(noise, concentration, sharpness, scale):
    exponent = jax.nn.softplus(-noise) / concentration
    log_power = exponent + jnp.log(-jnp.expm1(-exponent))
    return scale * exp_of_part(-log_power, sharpness)


# P(z > x) = exp(-concentration (exp(rate x) - 1)) = e^-noise.
def _gompertz(noise, concentration, rate):
    return jnp.log1p(noise / concentration) / rate


# The inverse square of a normal variable.
def _levy(noise, loc, scale):
    return loc + scale / (noise * noise)


# The logarithm of a half-Cauchy variable: P(z < x) = 2 / π arctan(e^x).
def _soft_laplace(noise, loc, scale):
    return loc + scale * jnp.log(noise)


# The log t of x / low has a density proportional to e^(k t) on [0, L], k = alpha + 1.
# Its quantile at u = 1 / (1 + e^-y) is L h(k L, u), with
#   h(c, u) = log(1 - u + u e^c) / c = 1 - h(-c, 1 - u),
# and, where c is small, the cumulants of a Bernoulli variable of probability u.
def _power_law(noise, alpha, low, high):
    length = jnp.log(high / low)
    total = (alpha + 1) * length
    small = jnp.abs(total) < (0.1 if noise.dtype == jnp.float32 else 3e-3)
    falls = total < 0
    size = jnp.where(small, 1, jnp.abs(total))
    side = jnp.where(falls, noise, -noise)
    v, rest = jax.nn.sigmoid(side), jax.nn.sigmoid(-side)
    near = jnp.log1p(v * jnp.expm1(-jnp.minimum(size, 1)))
    far = jnp.log(rest + v * jnp.exp(-size))
    part = -jnp.where(size < 1, near, far) / size
    part = jnp.where(falls, part, 1 - part)
    few = jnp.where(small, total, 0)
    u = jax.nn.sigmoid(noise)
    spread, skew = u * (1 - u), 1 - 2 * u
    fourth = spread * (1 - 6 * spread)
    fifth = spread * skew * (1 - 12 * spread)
    series = few * (skew * spread / 6 + few * (fourth / 24 + few * fifth / 120))
    series = u + few * (spread / 2 + series)
    draw = low * jnp.exp(length * jnp.where(small, series, part))
    return jnp.clip(draw, low, high)


def _power_law_constraints(alpha, low, high):
    return {
        "alpha": Parameter(alpha, FINITE),
        "low": Parameter(low, POSITIVE),
        "high": Parameter(high, POSITIVE),
        "high - low": Parameter(
            lax.sub(*jnp.broadcast_arrays(high, low)), POSITIVE, "Were they swapped?"
        ),
    }


def _loc_and(loc, scale, **positive):
    return _family.loc_and_scale(loc, scale) | _family.all_positive(**positive)


def _maker(noise, transform, constraints, *names, of=lambda law: law):
    family = _family.Family("sample", noise, transform, constraints)
    return in_family(
        family, lambda law: {name: getattr(of(law), name) for name in names}
    )


def _asymmetric(of):
    return _maker(
        noise_room.logistic,
        _asymmetric_laplace,
        lambda loc, scale, asymmetry: _loc_and(loc, scale, asymmetry=asymmetry),
        *("loc", "scale", "asymmetry"),
        of=of,
    )


MAKERS: dict[type, Maker] = {
    dist.AsymmetricLaplace: _asymmetric(lambda law: law),
    # Made of one of the scale and asymmetry that its quantile means.
    dist.AsymmetricLaplaceQuantile: _asymmetric(lambda law: law._ald),
    dist.Dagum: _maker(
        noise_room.logistic,
        _dagum,
        lambda concentration, sharpness, scale: _family.all_positive(
            concentration=concentration, sharpness=sharpness, scale=scale
        ),
        *("concentration", "sharpness", "scale"),
    ),
    dist.Gompertz: _maker(
        noise_room.exponential,
        _gompertz,
        _family.concentration_and_rate,
        *("concentration", "rate"),
    ),
    dist.Levy: _maker(
        noise_room.half_normal, _levy, _family.loc_and_scale, "loc", "scale"
    ),
    dist.SoftLaplace: _maker(
        noise_room.half_cauchy, _soft_laplace, _family.loc_and_scale, "loc", "scale"
    ),
    dist.DoublyTruncatedPowerLaw: _maker(
        noise_room.logistic,
        _power_law,
        _power_law_constraints,
        *("alpha", "low", "high"),
    ),
}
