"""Laws that are drawn by their own sampler: with a distribution function, or a path."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax import lax

from reparam_jax import _checks
from reparam_jax.samplers._implicit import implicit

from ._laws import cdf, has_cdf
from ._log_prob import log_prob
from ._path import Path, batch_shape_of

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
    """Makes the path of a law from its own draws.

    Their derivatives are those that its method ``pathwise`` gives them, where a
    caller's law has one; for laws of numbers, implicit.
    """
    if hasattr(law, "pathwise"):

        def at(drawn):
            with jax.numpy_rank_promotion("allow"):
                return jnp.asarray(law.pathwise(drawn))

    elif is_mixed(law) or not has_cdf(law):
        return None
    else:

        def at(drawn):
            return implicit(drawn, lambda z: (cdf(law, z), log_prob(law, z)))

    def draw(key, shape):
        key = _checks.check_key("sample", key)
        with jax.numpy_rank_promotion("allow"):
            expanded = law.expand(batch_shape_of(law, shape))
            drawn = jnp.asarray(expanded.sample(key))
        return lax.stop_gradient(drawn)

    return Path(draw, at)
