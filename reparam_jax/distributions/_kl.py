"""Closed forms of the Kullback-Leibler divergence that NumPyro lacks, or loses.

Importing this library registers those of laws for which NumPyro has none with
``numpyro.distributions.kl_divergence``. They are exact, with their derivatives, at
logits of 0 and at extreme ones, and for laws that are equal or nearly so. Where NumPyro
has one that cancels, ours is for the bounds of this library alone.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax import lax
from jax.nn import log_sigmoid
from numpyro.distributions.kl import kl_divergence

from reparam_jax.special._log_terms import (
    digamma_minus_log,
    log_gamma_excess,
    log_ratio_excess,
)
from reparam_jax.special._von_mises import deficit, log_density

from . import _kl_terms as terms
from ._elementwise import elementwise


def divergence(p: Any, q: Any) -> jax.Array:
    """Returns the divergence of two laws without wrappers that has a closed form."""
    for law, function in _PRECISE.items():
        if isinstance(p, law) and isinstance(q, law):
            return function(p, q)
    return kl_divergence(p, q)


def _register(first: type, second: type, function: Callable) -> None:
    def divergence(p: Any, q: Any) -> jax.Array:
        with jax.numpy_rank_promotion("allow"):
            return function(p, q)

    if (first, second) not in kl_divergence.funcs:  # pyright: ignore
        kl_divergence.register(first, second)(divergence)  # pyright: ignore


# Two outcomes, on a last axis.
def _pair_of_logits(law):
    logits = jnp.asarray(law.logits)
    return jnp.stack([log_sigmoid(logits), log_sigmoid(-logits)], -1)


def _pair_of_probs(law):
    probs = jnp.asarray(law.probs)
    return jnp.stack([probs, 1 - probs], -1)


def _logs(law):
    return jax.nn.log_softmax(jnp.asarray(law.logits))


def _shares(law):
    probs = jnp.asarray(law.probs)
    return probs / jnp.sum(probs, -1, keepdims=True)


def _sum_of(term, first, second):
    def divergence(p, q):
        return jnp.sum(term(first(p), second(q)), -1)

    return divergence


# Of the numbers of failures before the first success: that of one trial, for each of
# the 1 / p that are expected.
def _geometric_of(divergence):
    return lambda p, q: divergence(p, q) / p.probs


# From logits a and b where p = exp(a) underflows, with (1 - p) / p = exp(-a):
#   log p - log q + exp(b - a) r(b) - r(a),     r(x) = exp(-x) log(1 + exp(x)).
@elementwise
def _geometric_logits(a, b):
    tiny = a < -30
    usual_a, usual_b = jnp.where(tiny, 0, a), jnp.where(tiny, 0, b)
    trial = terms.term_of_logs(log_sigmoid(usual_a), log_sigmoid(usual_b))
    trial = trial + terms.term_of_logs(log_sigmoid(-usual_a), log_sigmoid(-usual_b))
    a, b = jnp.where(tiny, a, -30), jnp.where(tiny, b, -30)
    limit = log_sigmoid(a) - log_sigmoid(b) + jnp.exp(b - a) * _ratio(b) - _ratio(a)
    return jnp.where(tiny, limit, trial / jax.nn.sigmoid(usual_a))


def _ratio(x):
    low = x < -20
    middle = jnp.where(low, 0, x)
    exact = jnp.exp(-middle) * jax.nn.softplus(middle)
    return jnp.where(low, 1 - jnp.exp(jnp.where(low, x, 0)) / 2, exact)


def _register_two_outcomes():
    logits, probs = _pair_of_logits, _pair_of_probs
    for first, second, term, views in (
        ("Logits", "Logits", terms.term_of_logs, (logits, logits)),
        ("Logits", "Probs", terms.term_of_log_prob, (logits, probs)),
        ("Probs", "Logits", terms.term_of_prob_log, (probs, logits)),
        ("Probs", "Probs", terms.term_of_probs, (probs, probs)),
    ):
        divergence = _sum_of(term, *views)

        def law(name, kind):
            return getattr(dist, name + kind)

        _register(law("Bernoulli", first), law("Bernoulli", second), divergence)
        pair = law("Geometric", first), law("Geometric", second)
        if first == second == "Logits":
            _register(*pair, lambda p, q: _geometric_logits(p.logits, q.logits))
        else:
            _register(*pair, _geometric_of(divergence))


# With log Gamma(x) = x log x - x + E(x), the divergence of log Gamma,
#   log Gamma(b) - log Gamma(a) - (b - a) digamma(a),
# is b log(b / a) - b + a and that of E. The first parts of all log Gamma's and the
# powers are one term (of probabilities, or of rates) in which nothing cancels: of large
# concentrations they are large, and the divergence need not be.
@elementwise
def _gamma(p_concentration, p_rate, q_concentration, q_rate):
    mean = p_concentration * (q_rate / p_rate)
    powers = terms.term_of_probs(q_concentration, mean)
    return powers + _excess(p_concentration, q_concentration)


@elementwise
def _excess(a, b):
    """The divergence of E."""
    slope = digamma_minus_log(a)
    return log_gamma_excess(b) - log_gamma_excess(a) - (b - a) * slope


def _gamma_of(p, q):
    return _gamma(p.concentration, p.rate, q.concentration, q.rate)


def _dirichlet(p, q):
    p, q = jnp.asarray(p), jnp.asarray(q)
    p_total, q_total = (jnp.sum(x, -1, keepdims=True) for x in (p, q))
    powers = terms.term_of_probs(q, p * (q_total / p_total))
    excess = jnp.sum(powers + _excess(p, q), -1)
    return excess - _excess(p_total, q_total)[..., 0]


def _dirichlet_of(p, q):
    return _dirichlet(p.concentration, q.concentration)


def _beta_of(p, q):
    pairs = [
        jnp.stack(jnp.broadcast_arrays(law.concentration1, law.concentration0), -1)
        for law in (p, q)
    ]
    return _dirichlet(*pairs)


_PRECISE = {dist.Gamma: _gamma_of, dist.Beta: _beta_of, dist.Dirichlet: _dirichlet_of}


def _poisson(p, q):
    return terms.term_of_probs(p.rate, q.rate)


# With t = s_p / s_q, t - 1 - log t + (|d| + s_p (exp(-|d| / s_p) - 1)) / s_q for the
# distance d of the locations.
@elementwise
def _laplace(p_loc, p_scale, q_loc, q_scale):
    apart = _distance(p_loc - q_loc, p_scale)
    return apart / q_scale - log_ratio_excess(p_scale, q_scale)


@jax.custom_jvp
def _distance(x, scale):
    """``abs(x) + scale (exp(-abs(x) / scale) - 1)``, smooth at 0."""
    size = jnp.abs(x) / scale
    return scale * (size + jnp.expm1(-size))


@_distance.defjvp
def _distance_jvp(primals, tangents):
    x, scale = primals
    size = jnp.abs(x) / scale
    in_scale = jnp.exp(-size) * (1 + size) - 1
    return _distance(x, scale), _rise(x, scale) * tangents[0] + in_scale * tangents[1]


@jax.custom_jvp
def _rise(x, scale):
    return -jnp.sign(x) * jnp.expm1(-jnp.abs(x) / scale)


@_rise.defjvp
def _rise_jvp(primals, tangents):
    x, scale = primals
    slope = jnp.exp(-jnp.abs(x) / scale) / scale
    return _rise(x, scale), slope * (tangents[0] - x / scale * tangents[1])


def _laplace_of(p, q):
    return _laplace(p.loc, p.scale, q.loc, q.scale)


# With A the mean resultant length of p and D = 1 - A,
#   log I0(k_q) - log I0(k_p) + k_p A - k_q A cos d
#   = log i0e(k_q) - log i0e(k_p) + (k_q - k_p) D + 2 k_q A sin^2(d / 2).
@elementwise
def _von_mises(p_loc, p_concentration, q_loc, q_concentration):
    zero = jnp.zeros_like(p_loc)
    norms = log_density(p_concentration, zero) - log_density(q_concentration, zero)
    lack = deficit(p_concentration)
    apart = 2 * jnp.square(jnp.sin((p_loc - q_loc) / 2))
    change = (q_concentration - p_concentration) * lack
    return norms + change + q_concentration * (1 - lack) * apart


def _von_mises_of(p, q):
    return _von_mises(p.loc, p.concentration, q.loc, q.concentration)


class _Normal:
    """What the divergence takes from a normal law of vectors.

    Args:
      law: of either class.
    """

    def __init__(self, law: Any):
        self.loc = law.loc
        self._is_low_rank = isinstance(law, dist.LowRankMultivariateNormal)
        if self._is_low_rank:
            self._factor, self._diagonal = law.cov_factor, law.cov_diag
            self._tril = law._capacitance_tril
        else:
            self._tril = law.scale_tril

    def factors(self):
        """Matrices whose products with their transposes add up to the covariance."""
        if not self._is_low_rank:
            return [self._tril]
        size = self._diagonal.shape[-1]
        return [self._factor, jnp.sqrt(self._diagonal)[..., None] * jnp.eye(size)]

    def log_det(self):
        diagonal = jnp.diagonal(self._tril, axis1=-2, axis2=-1)
        log_det = 2 * jnp.sum(jnp.log(diagonal), -1)
        if self._is_low_rank:
            log_det = log_det + jnp.sum(jnp.log(self._diagonal), -1)
        return log_det

    def square(self, columns):
        """The sum over the columns of the squared distances in this covariance."""
        if not self._is_low_rank:
            return _norm(_solve(self._tril, columns))
        # (D + W W')^-1 = D^-1 - D^-1 W C^-1 W' D^-1, with C = I + W' D^-1 W.
        scaled = columns / self._diagonal[..., None]
        inner = jnp.swapaxes(self._factor, -1, -2) @ scaled
        return jnp.sum(columns * scaled, (-2, -1)) - _norm(_solve(self._tril, inner))


def _solve(tril, columns):
    batch = jnp.broadcast_shapes(tril.shape[:-2], columns.shape[:-2])
    tril = jnp.broadcast_to(tril, (*batch, *tril.shape[-2:]))
    columns = jnp.broadcast_to(columns, (*batch, *columns.shape[-2:]))
    return lax.linalg.triangular_solve(tril, columns, left_side=True, lower=True)


def _norm(matrix):
    return jnp.sum(jnp.square(matrix), (-2, -1))


def _normal(p, q):
    if p.event_shape != q.event_shape:
        raise ValueError(
            "`kl_divergence` takes distributions of one event shape, got "
            f"{p.event_shape} and {q.event_shape}."
        )
    p, q = _Normal(p), _Normal(q)
    trace = sum(q.square(factor) for factor in p.factors())
    apart = q.square((p.loc - q.loc)[..., None])
    return (trace + apart - p.loc.shape[-1] + q.log_det() - p.log_det()) / 2


_register_two_outcomes()
_register(
    dist.CategoricalLogits,
    dist.CategoricalLogits,
    _sum_of(terms.term_of_logs, _logs, _logs),
)
_register(
    dist.CategoricalLogits,
    dist.CategoricalProbs,
    _sum_of(terms.term_of_log_prob, _logs, _shares),
)
_register(
    dist.CategoricalProbs,
    dist.CategoricalLogits,
    _sum_of(terms.term_of_prob_log, _shares, _logs),
)
_register(dist.Poisson, dist.Poisson, _poisson)
_register(dist.Laplace, dist.Laplace, _laplace_of)
_register(dist.VonMises, dist.VonMises, _von_mises_of)
for _first, _second in (
    (dist.LowRankMultivariateNormal, dist.LowRankMultivariateNormal),
    (dist.LowRankMultivariateNormal, dist.MultivariateNormal),
    (dist.MultivariateNormal, dist.LowRankMultivariateNormal),
):
    _register(_first, _second, _normal)
