r"""Derivatives of laws as weighted differences of laws, each with coupled draws.

For every parameter :math:`\theta` of a family, coefficients and points with

.. math:: \frac{\partial}{\partial \theta} \mathrm{E} f(z)
   = \mathrm{E} \sum_t c_t \, (f(z_t) - f(z))

for the ordinary draw z. It stands for f(z) in all: the c of a pair of laws add up to 0.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax import lax
from jax.scipy import special as jsp

from reparam_jax import _checks, samplers
from reparam_jax import noise as noise_room
from reparam_jax.distributions._discrete import categorical_logits
from reparam_jax.distributions._outcomes import outcomes, part_shape, probabilities
from reparam_jax.distributions._structure import Distribution, unwrap

from ._estimator import instead_for

Noise = dict[str, jax.Array]


class Terms(NamedTuple):
    """The sum over t of the module's formula.

    Args:
      parameters: what c is the coefficient of, of shape (T, 1, *shape of the parts).
      coefficients: c, of shape (T, n, *shape of the parts), or with length 1 for n.
      points: of shape (T, n, *leaf.shape()).
    """

    parameters: jax.Array
    coefficients: jax.Array
    points: jax.Array


class Family(NamedTuple):
    """How the derivatives of one family are drawn.

    Args:
      draw: ``(key, leaf, shape) -> noise`` beside the ordinary draw, which has the
        leading axis of the samples in ``shape``.
      terms: ``(leaf, value, noise) -> Terms`` at an ordinary draw.
    """

    draw: Callable[[jax.Array, Distribution, tuple[int, ...]], Noise]
    terms: Callable[[Distribution, jax.Array, Noise], Terms]


def family_of(leaf: Distribution) -> Family:
    """Returns how the derivatives are drawn; raises where it is not known."""
    if categorical_logits(leaf) is not None:
        return Family(_draw_nothing, _categorical_terms)
    base = unwrap(leaf)
    if type(base) not in _FAMILIES:
        raise TypeError(
            "`MeasureValued` knows Normal, Gamma, Exponential, Poisson, Bernoulli, "
            f"Categorical and Multinomial of one trial, got {type(base).__name__}: "
            f"{instead_for(leaf)} works for it."
        )
    return _FAMILIES[type(base)]


def _parameter(leaf, name):
    """As a float, of shape (1, *shape of the parts)."""
    parameter = jnp.asarray(getattr(unwrap(leaf), name))
    parameter = parameter.astype(jnp.result_type(parameter, float))
    shape = (1, *part_shape(leaf))
    return jnp.broadcast_to(parameter, shape)


def _dtype(*parameters):
    return _checks.noise_dtype(jnp.result_type(*parameters))


def _terms(value, *terms):
    parameters, coefficients, points = zip(*terms, strict=True)
    points = [point.astype(value.dtype) for point in points]
    return Terms(*map(jnp.stack, (parameters, coefficients, points)))


# For x = (z - mu) / s with density phi,
#
#     d phi / d mu = x phi / s = (R(x) - R(-x)) / (s sqrt(2 pi)),   R(x) = x exp(-x^2/2)
#     d phi / d s = (x^2 phi - phi) / s
#
# with R the Rayleigh density, and x^2 phi that of Maxwell's law with a sign. A Maxwell
# draw times a uniform is normal, which couples the second pair.
def _draw_normal(key, leaf, shape):
    keys = jax.random.split(key, 4)
    dtype = _dtype(_parameter(leaf, "scale"), _parameter(leaf, "loc"))
    rayleigh, other = (
        jnp.sqrt(2 * noise_room.exponential(key, shape, dtype)) for key in keys[:2]
    )
    normal = noise_room.normal(keys[2], shape, dtype)
    return {
        "rayleigh": rayleigh,
        "maxwell": jnp.copysign(jnp.hypot(normal, other), normal),
        "uniform": noise_room.uniform(keys[3], shape, dtype),
    }


def _normal_terms(leaf, value, noise):
    loc, scale = _parameter(leaf, "loc"), _parameter(leaf, "scale")

    def term(parameter, coefficient, noise):
        return parameter, coefficient / scale, loc + scale * noise

    half = 1 / math.sqrt(2 * math.pi)
    return _terms(
        value,
        term(loc, half, noise["rayleigh"]),
        term(loc, -half, -noise["rayleigh"]),
        term(scale, 1.0, noise["maxwell"]),
        term(scale, -1.0, noise["maxwell"] * noise["uniform"]),
    )


# For the rate b, the law with one more in the concentration a, coupled by adding an
# exponential draw:
#
#     d/db Gamma(a, b) = a/b (Gamma(a, b) - Gamma(a + 1, b)).
#
# For the concentration, the score is log(b z) - digamma(a), and by Frullani's and
# Dirichlet's integrals of the two, with v = 1 / (1 + t),
#
#     log x - digamma(a) = int_0^inf ((1 + t)^-a - exp(-x t)) / t dt,
#     d/da Gamma(a, b) = int_0^1 v^(a - 1) / (1 - v) (Gamma(a, b) - Gamma(a, b / v)) dv.
#
# A draw of Gamma(a, b / v) is v times one of Gamma(a, b). Here v is drawn from
# Beta(a, 1/2): the coefficient B(a, 1/2) (1 - v)^(-1/2) that is left keeps the variance
# finite for costs with jumps too, which lie between v z and z with probability
# O(1 - v). By its logarithm, since v and 1 - v both may be small.
def _draw_gamma(key, leaf, shape):
    keys = jax.random.split(key)
    concentration = _parameter(leaf, "concentration")
    log_factor, _ = samplers.log_beta(keys[0], concentration, 0.5, shape=shape)
    noise = {"log_factor": lax.stop_gradient(log_factor)}
    return _draw_rate(keys[1], leaf, shape) | noise


def _gamma_terms(leaf, value, noise):
    concentration = _parameter(leaf, "concentration")
    log_factor = noise["log_factor"]
    rest = jnp.maximum(-jnp.expm1(log_factor), jnp.finfo(log_factor.dtype).tiny)
    coefficient = -jnp.exp(jsp.betaln(concentration, 0.5)) / jnp.sqrt(rest)
    return _terms(
        value,
        _rate_term(leaf, value, noise, concentration),
        (concentration, coefficient, value * jnp.exp(log_factor)),
    )


def _draw_rate(key, leaf, shape):
    dtype = _dtype(_parameter(leaf, "rate"))
    return {"exponential": noise_room.exponential(key, shape, dtype)}


def _rate_term(leaf, value, noise, concentration):
    rate = _parameter(leaf, "rate")
    coefficient = jnp.broadcast_to(-concentration / rate, value.shape)
    return rate, coefficient, value + noise["exponential"] / rate


def _exponential_terms(leaf, value, noise):
    return _terms(value, _rate_term(leaf, value, noise, 1.0))


# d/dr Poisson(r) = (1 + Poisson(r)) - Poisson(r), by (k/r - 1) p_k = p_{k-1} - p_k.
def _poisson_terms(leaf, value, noise):
    del noise
    rate = _parameter(leaf, "rate")
    return _terms(value, (rate, jnp.ones_like(rate), value + 1))


# d/dp E f(b) = f(1) - f(0), one of which is the ordinary draw.
def _bernoulli_terms(leaf, value, noise):
    del noise
    probs = probabilities(leaf)[1:]
    return _terms(value, (probs, (1 - 2 * value).astype(probs.dtype), 1 - value))


# d E f(z) = sum_k f(k) dp_k = sum_k (f(k) - f(z)) dp_k, since the dp_k add up to 0.
def _categorical_terms(leaf, value, noise):
    del noise
    probs, points = probabilities(leaf), outcomes(leaf)
    ones = (1,) * probs[0].ndim
    points = points.reshape(len(points), 1, *ones, *points.shape[1:])
    points = jnp.broadcast_to(points, (len(points), *value.shape))
    return Terms(
        parameters=probs[:, None],
        coefficients=jnp.ones_like(probs)[:, None],
        points=points.astype(value.dtype),
    )


def _draw_nothing(key, leaf, shape):
    del key, leaf, shape
    return {}


_BERNOULLI = Family(_draw_nothing, _bernoulli_terms)
_FAMILIES = {
    dist.Normal: Family(_draw_normal, _normal_terms),
    dist.Gamma: Family(_draw_gamma, _gamma_terms),
    dist.Exponential: Family(_draw_rate, _exponential_terms),
    dist.Poisson: Family(_draw_nothing, _poisson_terms),
    dist.BernoulliProbs: _BERNOULLI,
    dist.BernoulliLogits: _BERNOULLI,
}
