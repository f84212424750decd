"""Where the support of a distribution ends, as far as parameters can move that."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from ._structure import Distribution, unwrap


def moving_ends(distribution: Distribution) -> list[jax.Array]:
    """Returns the ends of the support that are made of floating-point parameters.

    A transformed distribution ends where its base does, mapped; one that is scaled by a
    parameter about an end at 0 does not move there.
    """
    distribution = unwrap(distribution)
    ends = [
        end
        for end in jax.tree.leaves(distribution.support)
        if jnp.issubdtype(jnp.result_type(end), jnp.floating)
    ]
    if ends or not isinstance(distribution, dist.TransformedDistribution):
        return ends
    ends = list(_ends(unwrap(distribution.base_dist).support))
    for transform in distribution.transforms:
        if transform.domain.event_dim:
            return []
        with jax.numpy_rank_promotion("allow"):
            ends = [_map_end(transform, end) for end in ends]
    return [end for end in ends if isinstance(end, jax.Array)]


def _ends(support: Any):
    """The finite ends of an interval, under ``independent``."""
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    for name in ("lower_bound", "upper_bound"):
        end = getattr(support, name, None)
        if end is not None:
            yield end


def _map_end(transform, end):
    at_zero = isinstance(end, int | float) and end == 0
    if isinstance(transform, dist.transforms.AffineTransform) and at_zero:
        return transform.loc
    return transform(end)
