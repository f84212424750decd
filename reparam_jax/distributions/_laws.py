"""Distribution functions whose derivatives are right, for implicit gradients."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from reparam_jax import special

from ._structure import Distribution, unwrap


def has_cdf(distribution: Distribution) -> bool:
    """Whether a law of numbers has a distribution function."""
    law = unwrap(distribution)
    if law.event_shape or is_discrete(law):
        return False
    where = jax.ShapeDtypeStruct(law.batch_shape, jnp.result_type(float))
    try:
        jax.eval_shape(lambda values: cdf(law, values), where)
    except (NotImplementedError, AttributeError):
        return False
    return True


def is_discrete(distribution: Distribution) -> bool:
    """Whether draws are known to be discrete."""
    support = distribution.support
    return support is not None and bool(support.is_discrete)


def cdf(distribution: Distribution, values: jax.Array) -> jax.Array:
    """Returns the probability below values, elementwise, as far as it is known.

    Args:
      distribution: a law of numbers, or independent ones.
      values: in its support, of a shape to which the distribution's broadcasts.

    Returns:
      Probabilities, of the values' shape, whose derivatives in the parameters and
      in the values are exact for the families with one here, and NumPyro's else.

    Raises:
      NotImplementedError: NumPyro does not know it either.
    """
    law: Any = unwrap(distribution)
    with jax.numpy_rank_promotion("allow"):
        for kind in type(law).__mro__:
            # A subclass with a distribution function of its own is another law.
            if kind in _CDFS and type(law).cdf is kind.cdf:
                return jnp.asarray(_CDFS[kind](law, values))
        return jnp.asarray(law.cdf(values))


def _gamma(law, values):
    return special.gammainc(law.concentration, law.rate * values)


def _inverse_gamma(law, values):
    return special.gammaincc(law.concentration, law.rate / values)


def _beta(law, values):
    return special.betainc(law.concentration1, law.concentration0, values)


def _student_t(law, values):
    return special.student_t_cdf(law.df, (values - law.loc) / law.scale)


# The circle is cut at -π, wherever loc is.
def _von_mises(law, values):
    def unrolled(angle):
        turns = jnp.round(angle / (2 * np.pi))
        rest = jnp.clip(angle - 2 * np.pi * turns, -np.pi, np.pi)
        return turns + special.von_mises_cdf(law.concentration, rest)

    return unrolled(values - law.loc) - unrolled(-np.pi - law.loc)


def _transformed(law, values):
    sign = 1
    for transform in reversed(law.transforms):
        sign = sign * transform.sign
        values = transform.inv(values)
    below = cdf(law.base_dist, values)
    return jnp.where(sign < 0, 1 - below, below)


def _truncated(law, values):
    low, high = getattr(law, "low", None), getattr(law, "high", None)
    at_low = 0.0 if low is None else cdf(law.base_dist, low)
    at_high = 1.0 if high is None else cdf(law.base_dist, high)
    return (cdf(law.base_dist, values) - at_low) / (at_high - at_low)


_CDFS: dict[type, Callable] = {
    dist.Gamma: _gamma,
    dist.InverseGamma: _inverse_gamma,
    dist.Beta: _beta,
    dist.StudentT: _student_t,
    dist.VonMises: _von_mises,
    dist.TransformedDistribution: _transformed,
    dist.LeftTruncatedDistribution: _truncated,
    dist.RightTruncatedDistribution: _truncated,
    dist.TwoSidedTruncatedDistribution: _truncated,
}
