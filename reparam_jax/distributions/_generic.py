"""Any law of numbers that has a distribution function."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax import lax

from reparam_jax import _checks
from reparam_jax.samplers._implicit import implicit

from ._laws import cdf, has_cdf
from ._log_prob import log_prob
from ._path import Path

# Where a draw is a number with a positive probability there is no density to divide by.
_MIXED = (
    dist.HurdleProbs,
    dist.HurdleLogits,
    dist.ZeroInflatedProbs,
    dist.ZeroInflatedLogits,
    dist.LeftCensoredDistribution,
    dist.RightCensoredDistribution,
    dist.IntervalCensoredDistribution,
)


def is_mixed(law: dist.Distribution) -> bool:
    """Whether a law is known to have both a density and atoms."""
    return isinstance(law, _MIXED)


def make(law: Any) -> Path | None:
    """Makes the path of a law of numbers: its own draws, with implicit derivatives."""
    if is_mixed(law) or not has_cdf(law):
        return None

    def draw(key, shape):
        key = _checks.check_key("sample", key)
        with jax.numpy_rank_promotion("allow"):
            drawn = jnp.asarray(law.expand(shape).sample(key))
        return lax.stop_gradient(drawn)

    def at(drawn):
        return implicit(drawn, lambda z: (cdf(law, z), log_prob(law, z)))

    return Path(draw, at)
