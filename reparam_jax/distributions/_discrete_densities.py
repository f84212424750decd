"""Log-probabilities of discrete laws, with exact scores at every parameter."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.nn import log_sigmoid

from reparam_jax.relaxations._scores import log_softmax, one_hot_argmax
from reparam_jax.special._log_beta import log1mexp
from reparam_jax.special._log_terms import (
    gammaln,
    log_gamma_excess,
    log_ratio_excess,
    log_rising,
    xlog1py,
    xlogy,
)

from ._elementwise import elementwise


def _times(count, log):
    """The product, 0 for a count of 0, also of something impossible."""
    return count * jnp.where((count == 0) & jnp.isinf(log), 0, log)


@elementwise
def _successes(value, rest, logits):
    """Of so many successes and failures, in one order."""
    return _times(value, log_sigmoid(logits)) + _times(rest, log_sigmoid(-logits))


@elementwise
def _successes_of_probs(value, rest, probs):
    return xlogy(value, probs) + xlog1py(rest, -probs)


@elementwise
def _log_choose(count, value):
    few = jnp.minimum(value, count - value)
    return log_rising(count - few + 1, few) - gammaln(few + 1)


def _bernoulli_logits(law, value):
    return _successes(value, 1 - value, law.logits)


def _bernoulli_probs(law, value):
    return _successes_of_probs(value, 1 - value, law.probs)


def _binomial_logits(law, value):
    rest = law.total_count - value
    return _successes(value, rest, law.logits) + _log_choose(law.total_count, value)


def _binomial_probs(law, value):
    rest = law.total_count - value
    ways = _log_choose(law.total_count, value)
    return _successes_of_probs(value, rest, law.probs) + ways


def _geometric_logits(law, value):
    return _successes(jnp.ones_like(value), value, law.logits)


def _geometric_probs(law, value):
    return _successes_of_probs(jnp.ones_like(value), value, law.probs)


def _take(array, value):
    """The element of the last axis that the value points to."""
    shape = jnp.broadcast_shapes(jnp.shape(value), array.shape[:-1])
    array = jnp.broadcast_to(array, (*shape, array.shape[-1]))
    index = jnp.broadcast_to(value, shape).astype(int)[..., None]
    return jnp.take_along_axis(array, index, -1)[..., 0]


def _categorical_logits(law, value):
    logits = _float(law.logits)
    # Once for all draws; of a nearly certain category, the rest of 1 keeps its digits.
    logs = log_softmax(logits, one_hot_argmax(logits), jnp.ones_like(logits))
    return _take(logs, value)


# The logarithm after the choice: that of another category, which may be impossible,
# must not come near the derivative.
def _categorical_probs(law, value):
    probs = _float(law.probs)
    return jnp.log(_take(probs, value)) - jnp.log(jnp.sum(probs, -1))


# sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)); the first and the
# last category have no lower and no upper bound.
def _ordered_logistic(law, value):
    bounds = _float(law.cutpoints) - _float(law.predictor)[..., None]
    size = bounds.shape[-1]
    low = _take(bounds, jnp.maximum(value - 1, 0))
    high = _take(bounds, jnp.minimum(value, size - 1))
    inner = (value > 0) & (value < size)
    gap = log1mexp(jnp.where(inner, low - high, -1))
    return (
        jnp.where(value < size, log_sigmoid(high), 0)
        + jnp.where(value > 0, log_sigmoid(-low), 0)
        + jnp.where(inner, gap, 0)
    )


def _multinomial_logits(law, value):
    terms = _times(_float(value), jax.nn.log_softmax(_float(law.logits)))
    return jnp.sum(terms, -1) + _log_orders(value)


def _multinomial_probs(law, value):
    probs = _float(law.probs)
    terms = elementwise(xlogy)(value, probs)
    total = _float(jnp.sum(value, -1)) * jnp.log(jnp.sum(probs, -1))
    return jnp.sum(terms, -1) - total + _log_orders(value)


def _log_orders(counts):
    counts = _float(counts)
    return gammaln(jnp.sum(counts, -1) + 1) - jnp.sum(gammaln(counts + 1), -1)


# v log r - r - log v! = v (log(r / v) - (r / v - 1)) + v log v - v - log v!
@elementwise
def _poisson(value, rate):
    some = value > 0
    count, mean = jnp.where(some, value, 1), jnp.where(some, rate, 1)
    peak = log_gamma_excess(count) + jnp.log(count)
    return jnp.where(some, count * log_ratio_excess(mean, count) - peak, -rate)


def _poisson_of(law, value):
    return _poisson(value, law.rate)


@elementwise
def _beta_binomial(value, count, concentration1, concentration0):
    rest = count - value
    return (
        _log_choose(count, value)
        + log_rising(concentration1, value)
        + log_rising(concentration0, rest)
        - log_rising(concentration1 + concentration0, count)
    )


def _beta_binomial_of(law, value):
    return _beta_binomial(
        value, law.total_count, law.concentration1, law.concentration0
    )


@elementwise
def _beta_negative_binomial(value, count, concentration1, concentration0):
    return (
        log_rising(count, value)
        - gammaln(value + 1)
        + log_rising(concentration1, value)
        + log_rising(concentration0, count)
        - log_rising(concentration1 + concentration0, count + value)
    )


def _beta_negative_binomial_of(law, value):
    return _beta_negative_binomial(value, law.n, law.concentration1, law.concentration0)


def _dirichlet_multinomial(law, value):
    concentration = _float(law.concentration)
    rising = elementwise(log_rising)
    each = jnp.sum(rising(concentration, value), -1)
    every = rising(jnp.sum(concentration, -1), jnp.sum(value, -1))
    return each - every + _log_orders(value)


@elementwise
def _negative_binomial(value, count, rate):
    ways = log_rising(count, value) - gammaln(value + 1)
    return ways - count * jnp.log1p(1 / rate) - xlog1py(value, rate)


def _gamma_poisson(law, value):
    return _negative_binomial(value, law.concentration, law.rate)


@elementwise
def _negative_binomial_of_logits(value, count, logits):
    ways = log_rising(count, value) - gammaln(value + 1)
    chance = _times(value, log_sigmoid(logits)) + _times(count, log_sigmoid(-logits))
    return ways + chance


def _negative_binomial_logits(law, value):
    return _negative_binomial_of_logits(value, law.total_count, law.logits)


def _float(array):
    array = jnp.asarray(array)
    if array.dtype.kind in "iub":
        return array.astype(jnp.result_type(array, float))
    return array


DISCRETE = {
    dist.BernoulliLogits: _bernoulli_logits,
    dist.BernoulliProbs: _bernoulli_probs,
    dist.BinomialLogits: _binomial_logits,
    dist.BinomialProbs: _binomial_probs,
    dist.GeometricLogits: _geometric_logits,
    dist.GeometricProbs: _geometric_probs,
    dist.CategoricalLogits: _categorical_logits,
    dist.CategoricalProbs: _categorical_probs,
    dist.OrderedLogistic: _ordered_logistic,
    dist.MultinomialLogits: _multinomial_logits,
    dist.MultinomialProbs: _multinomial_probs,
    dist.Poisson: _poisson_of,
    dist.BetaBinomial: _beta_binomial_of,
    dist.BetaNegativeBinomial: _beta_negative_binomial_of,
    dist.DirichletMultinomial: _dirichlet_multinomial,
    dist.GammaPoisson: _gamma_poisson,
    dist.NegativeBinomialLogits: _negative_binomial_logits,
}
