"""Log-densities whose derivatives are right at every point.

NumPyro's, but for the laws where those are wrong, not finite or lost to rounding: there
this library's take their place, however deep the law is nested in others.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import logsumexp
from numpyro.distributions.util import sum_rightmost

from reparam_jax.special._log_beta import log1mexp

from ._continuous_densities import CONTINUOUS
from ._discrete_densities import DISCRETE
from ._structure import Distribution
from ._truncated_density import log_density_between

_DENSITIES = {**DISCRETE, **CONTINUOUS}


def log_prob(
    distribution: Distribution, values: jax.Array, *, masked: bool = False
) -> jax.Array:
    """Returns the log-density of values, of the samples' and the batch's shape.

    Args:
      distribution: any of NumPyro.
      values: of the samples' shape and the distribution's.
      masked: whether masked elements count as 0, as in NumPyro. By default, masks are
        left out: they do not change the law of the draws.
    """
    with jax.numpy_rank_promotion("allow"):
        return _log_prob(distribution, values, masked)


def _log_prob(law, value, masked):
    for kind in type(law).__mro__:
        replaced = _inherited(law, kind)
        if replaced and kind in _DENSITIES:
            return _DENSITIES[kind](law, value)
        if replaced and kind in _NESTED:
            return _NESTED[kind](law, value, masked)
    return _unchecked(law, value)


def _unchecked(law, value):
    """NumPyro's density, without its check of the support.

    A draw may round to the end of the support, or off a simplex: with validation on,
    as it is by default, its density would be 0 there, and so would its gradient.
    """
    method = type(law).log_prob
    return getattr(method, "__wrapped__", method)(law, value)


def _inherited(law, kind):
    """Whether a law has the density of that class, not one of its own."""
    own = getattr(kind, "log_prob", None)
    return getattr(type(law), "log_prob", None) is own


def _independent(law, value, masked):
    terms = _log_prob(law.base_dist, value, masked)
    return sum_rightmost(terms, law.reinterpreted_batch_ndims)


def _expanded(law, value, masked):
    terms = _log_prob(law.base_dist, value, masked)
    return jnp.broadcast_to(terms, _density_shape(law, value))


def _masked(law, value, masked):
    if not masked or law._mask is True:
        return _log_prob(law.base_dist, value, masked)
    if law._mask is False:
        return jnp.zeros(_density_shape(law, value), jnp.result_type(value, float))
    # What is left out must not have a derivative either, which is NaN outside of the
    # support.
    keep = jnp.reshape(law._mask, (*law._mask.shape, *(1,) * law.event_dim))
    value = jnp.where(keep, value, inside(law.base_dist, value))
    return jnp.where(law._mask, _log_prob(law.base_dist, value, masked), 0.0)


def _density_shape(law, value):
    shape = jnp.shape(value)
    return jnp.broadcast_shapes(law.batch_shape, shape[: len(shape) - law.event_dim])


def inside(law: Distribution, value: jax.Array) -> jax.Array:
    """Returns values of the support, like the given ones."""
    try:
        return law.support.feasible_like(value)  # pyright: ignore
    except (NotImplementedError, AttributeError):
        return value


def _transformed(law, value, masked):
    event_dim, total = law.event_dim, 0.0
    for transform in reversed(law.transforms):
        before = transform.inv(value)
        terms = transform.log_abs_det_jacobian(before, value)
        extra = event_dim - transform.codomain.event_dim
        total = total - sum_rightmost(terms, extra)
        event_dim = transform.domain.event_dim + extra
        value = before
    terms = _log_prob(law.base_dist, value, masked)
    return total + sum_rightmost(terms, event_dim - law.base_dist.event_dim)


def _folded(law, value, masked):
    sides = [_log_prob(law.base_dist, side, masked) for side in (value, -value)]
    return jnp.logaddexp(*sides)


def _same_family(law, value, masked):
    value = jnp.expand_dims(value, law.mixture_dim)
    return _mix(law, _within(law.component_distribution, value, masked))


def _general(law, value, masked):
    terms = [_within(part, value, masked) for part in law.component_distributions]
    return _mix(law, jnp.stack(jnp.broadcast_arrays(*terms), -1))


def _within(law, value, masked):
    """The log-density, -inf outside of the support, where it has no derivative."""
    support = law.support
    held = support(value)
    keep = jnp.reshape(held, (*held.shape, *(1,) * support.event_dim))
    terms = _log_prob(law, jnp.where(keep, value, inside(law, value)), masked)
    return jnp.where(held, terms, -jnp.inf)


def _mix(law, terms):
    return logsumexp(_log_weights(law.mixing_distribution) + terms, -1)


def _log_weights(mixing):
    if isinstance(mixing, dist.CategoricalProbs):
        return jnp.log(mixing.probs / jnp.sum(mixing.probs, -1, keepdims=True))
    return jax.nn.log_softmax(mixing.logits)


def _gates(law: Any) -> tuple[jax.Array, jax.Array]:
    """The logs of the chances of an extra zero, and of none."""
    logits = getattr(law, "gate_logits", None)
    if logits is not None:
        return jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    return jnp.log(law.gate), jnp.log1p(-law.gate)


def _inflated_logits(law, value, masked):
    log_gate, log_rest = _gates(law)
    log_base = log_rest + _log_prob(law.base_dist, value, masked)
    return jnp.where(value == 0, jnp.logaddexp(log_gate, log_base), log_base)


# log(g + (1 - g) p) = log p + log(1 + g (1 / p - 1)): each has derivatives where the
# other one has none, at g = 1 and at g = 0.
def _inflated_probs(law, value, masked):
    log_base, zero = _log_prob(law.base_dist, value, masked), value == 0
    gate = jnp.asarray(law.gate)
    direct = gate > jnp.exp(log_base)
    safe_gate, safe_log = jnp.where(direct, gate, 1), jnp.where(zero, log_base, 0)
    total = jnp.log(safe_gate + (1 - safe_gate) * jnp.exp(safe_log))
    most = -np.log(jnp.finfo(safe_log.dtype).max) / 2
    small = jnp.where(direct, 0, gate)
    share = jnp.log1p(small * jnp.expm1(-jnp.maximum(safe_log, most)))
    at_zero = jnp.where(direct, total, safe_log + share)
    return jnp.where(zero, at_zero, jnp.log1p(-jnp.where(zero, 0, gate)) + log_base)


def _hurdle(law, value, masked):
    log_gate, log_rest = _gates(law)
    zero = value == 0
    log_base = _log_prob(law.base_dist, jnp.where(zero, 1, value), masked)
    if law._is_discrete:
        log_zero = _log_prob(law.base_dist, jnp.zeros_like(value), masked)
        log_base = log_base - log1mexp(log_zero)
    return jnp.where(zero, log_gate, log_rest + log_base)


def _truncated(law, value, masked):
    bounds = {name: getattr(law, name) for name in ("low", "high") if name in vars(law)}
    log_density = _log_prob(law.base_dist, value, masked)
    ours = log_density_between(law.base_dist, value, log_density, **bounds)
    return _unchecked(law, value) if ours is None else ours


_NESTED = {
    dist.Independent: _independent,
    dist.ExpandedDistribution: _expanded,
    dist.MaskedDistribution: _masked,
    dist.FoldedDistribution: _folded,
    dist.TransformedDistribution: _transformed,
    dist.MixtureSameFamily: _same_family,
    dist.MixtureGeneral: _general,
    dist.ZeroInflatedProbs: _inflated_probs,
    dist.ZeroInflatedLogits: _inflated_logits,
    dist.HurdleProbs: _hurdle,
    dist.LeftTruncatedDistribution: _truncated,
    dist.RightTruncatedDistribution: _truncated,
    dist.TwoSidedTruncatedDistribution: _truncated,
}
