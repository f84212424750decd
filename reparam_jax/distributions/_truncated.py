"""Laws of numbers between bounds."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import lax

from reparam_jax import _checks, special
from reparam_jax import noise as noise_room
from reparam_jax._domains import (
    FINITE,
    NOT_NAN,
    POSITIVE,
    POSITIVE_OR_INFINITE,
    Parameter,
)
from reparam_jax.samplers import _family, _truncated_normal
from reparam_jax.samplers._implicit import implicit
from reparam_jax.special._log_beta import log1mexp

from ._log_prob import log_prob
from ._path import Find, Maker, Path, path_of_family
from ._quantiles import quantile


class Tail(NamedTuple):
    """A symmetric law by its tail, in logarithms, which do not underflow.

    Args:
      log: of t, the log of the probability above it.
      inverse: of such a logarithm, at most log(1/2), the t.
    """

    log: Callable[[jax.Array], jax.Array]
    inverse: Callable[[jax.Array], jax.Array]


def _laplace_log(t):
    outside = -jnp.maximum(t, 0) - np.log(2)
    return jnp.where(t > 0, outside, jnp.log1p(-jnp.exp(jnp.minimum(t, 0)) / 2))


def _cauchy_log(t):
    return jnp.log(jnp.arctan2(jnp.ones_like(t), t) / np.pi)


# Below it arctan(x) and tan(x) are x, also to derivatives, whose squares of it are no
# longer floats where it is much smaller.
_FLAT = 1e-9


# The probability above t is 2 / π arctan(e^-t).
def _soft_laplace_log(t):
    small = jnp.maximum(jnp.exp(-jnp.abs(t)), _FLAT)
    angle = jnp.arctan(small)
    above = jnp.log(angle / small * (2 / np.pi)) - jnp.abs(t)
    return jnp.where(t > 0, above, jnp.log1p(-2 / np.pi * angle))


def _soft_laplace_inverse(log):
    angle = jnp.maximum(np.pi / 2 * jnp.exp(log), _FLAT)
    return -(log + np.log(np.pi / 2) + jnp.log(jnp.tan(angle) / angle))


_TAILS: dict[type, Tail] = {
    dist.Laplace: Tail(_laplace_log, lambda log: -(log + np.log(2))),
    dist.Logistic: Tail(lambda t: -jax.nn.softplus(t), lambda log: log1mexp(log) - log),
    dist.Cauchy: Tail(_cauchy_log, lambda log: 1 / jnp.tan(np.pi * jnp.exp(log))),
    dist.SoftLaplace: Tail(_soft_laplace_log, _soft_laplace_inverse),
}


# Of a draw at u = 1 / (1 + e^-y) between bounds, for logistic noise y, the probability
# below is (1 - u) F(low) + u F(high), and that above likewise from the tails: none is a
# difference, and the smaller one says where the draw is.
def _log_parts(log_tail, noise, low, high):
    log_below, log_above = -jax.nn.softplus(noise), -jax.nn.softplus(-noise)

    def between(sign):
        parts = [
            weight + _log_tail_or_end(log_tail, bound, sign)
            for weight, bound in ((log_below, low), (log_above, high))
        ]
        return jnp.logaddexp(*parts)

    return between(-1), between(1)


def _log_tail_or_end(log_tail, bound, sign):
    finite = jnp.isfinite(bound)
    log = log_tail(sign * jnp.where(finite, bound, 0))
    return jnp.where(finite, log, jnp.where(sign * bound < 0, 0.0, -jnp.inf))


def _between(tail):
    def transform(noise, loc, scale, low, high):
        ends = [_standardised(bound, loc, scale) for bound in (low, high)]
        log_below, log_above = _log_parts(tail.log, noise, *ends)
        upper = log_above < log_below
        distance = tail.inverse(jnp.minimum(log_below, log_above))
        draw = loc + scale * jnp.where(upper, distance, -distance)
        return jnp.clip(draw, low, high)

    return transform


def _standardised(bound, loc, scale):
    """An infinite bound is a constant."""
    finite = jnp.isfinite(bound)
    return jnp.where(finite, (jnp.where(finite, bound, loc) - loc) / scale, bound)


def _constraints(loc, scale, low, high):
    dtype = _checks.noise_dtype(
        _checks.result_dtype("sample", None, loc=loc, scale=scale, low=low, high=high)
    )
    bounds = jnp.asarray(high, dtype), jnp.asarray(low, dtype)
    width = lax.sub(*jnp.broadcast_arrays(*bounds))
    return {
        "loc": Parameter(loc, FINITE),
        "scale": Parameter(scale, POSITIVE, _family.MAKE_POSITIVE),
        "low": Parameter(low, NOT_NAN),
        "high": Parameter(high, NOT_NAN),
        "high - low": Parameter(width, POSITIVE_OR_INFINITE, "Were they swapped?"),
    }


_FAMILIES = {dist.Normal: _truncated_normal.FAMILY} | {
    kind: _family.Family("sample", noise_room.logistic, _between(tail), _constraints)
    for kind, tail in _TAILS.items()
}


def _bounds(law):
    return getattr(law, "low", -np.inf), getattr(law, "high", np.inf)


def _make_symmetric(law: Any, find: Find) -> Path | None:
    del find
    base, (low, high) = law.base_dist, _bounds(law)
    if type(base) is dist.StudentT:
        return _student_t_path(base, low, high)
    family = _FAMILIES.get(type(base))
    if family is None:
        return None
    bounds = {"loc": base.loc, "scale": base.scale, "low": low, "high": high}
    return path_of_family(family, **bounds)


# The quantile has no closed form, so the draw is found by bisection, and its derivative
# is implicit, in the half of the law where the draw is.
def _student_t_path(base, low, high):
    parameters = {"df": base.df, "loc": base.loc, "scale": base.scale}
    dtype = _checks.result_dtype("sample", None, low=low, high=high, **parameters)
    dtype = _checks.noise_dtype(dtype)

    def draw(key, shape):
        return noise_room.logistic(_checks.check_key("sample", key), shape, dtype)

    def at(noise):
        shape = noise.shape
        df, loc, scale, *bounds = (
            jnp.broadcast_to(jnp.asarray(x, dtype), shape)
            for x in (*parameters.values(), low, high)
        )

        def log_tail(t):
            return jnp.log(special.student_t_cdf(df, -t))

        ends = [_standardised(bound, loc, scale) for bound in bounds]
        log_below, log_above = _log_parts(log_tail, noise, *ends)
        upper = log_above < log_below
        nearer = lax.stop_gradient(jnp.minimum(log_below, log_above))
        largest = jnp.finfo(dtype).max
        distance = quantile(
            lambda t: special.student_t_cdf(df, t), jnp.exp(nearer), -largest, 0.0
        )
        side = jnp.where(upper, -1, 1).astype(dtype)

        # The half below 0 of the mirrored law: its distance to what the noise says.
        def law(t):
            log = jnp.where(upper, log_above, log_below)
            log_density = log_prob(dist.StudentT(df), t)
            return special.student_t_cdf(df, t) - jnp.exp(log), log_density

        value = loc + scale * side * implicit(distance, law)
        return jnp.clip(value, *bounds)

    return Path(draw, at, noise_room.logistic, dtype)


# NumPyro's quantile, and the derivative of the truncated law at it. Bounds above the
# mean are counted from the upper tail, which keeps its digits there.
def _make_gamma(law: Any, find: Find) -> Path | None:
    del find
    concentration, rate = law.base_dist.concentration, law.base_dist.rate
    low, high = getattr(law, "low", None), getattr(law, "high", None)

    def draw(key, shape):
        key = _checks.check_key("sample", key)
        with jax.numpy_rank_promotion("allow"):
            return lax.stop_gradient(law.expand(shape).sample(key))

    def truncated(values):
        upper = False if low is None else low * rate > concentration

        def count(bound):
            below = special.gammainc(concentration, rate * bound)
            above = special.gammaincc(concentration, rate * bound)
            return jnp.where(upper, -above, below)

        bottom = jnp.where(upper, -1, 0) if low is None else count(low)
        top = jnp.where(upper, 0, 1) if high is None else count(high)
        log_mass = jnp.log(top - bottom)
        below = (count(values) - bottom) / (top - bottom)
        return below, log_prob(law.base_dist, values) - log_mass

    def at(drawn):
        with jax.numpy_rank_promotion("allow"):
            return implicit(drawn, truncated)

    return Path(draw, at)


MAKERS: dict[type, Maker] = {
    dist.LeftTruncatedDistribution: _make_symmetric,
    dist.RightTruncatedDistribution: _make_symmetric,
    dist.TwoSidedTruncatedDistribution: _make_symmetric,
    dist.LeftTruncatedGamma: _make_gamma,
    dist.RightTruncatedGamma: _make_gamma,
    dist.TwoSidedTruncatedGamma: _make_gamma,
}
