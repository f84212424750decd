"""The divergence of a guide from a prior, where that has a closed form."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from reparam_jax.distributions._kl import divergence as closed_form
from reparam_jax.distributions._structure import Distribution, unwrap


def has_divergence(guide: Distribution, prior: Distribution) -> bool:
    """Whether the divergence of two laws, as they are wrapped, has a closed form.

    A point has none, and NumPyro's of Kumaraswamy from Beta is a series cut short. If
    only one of the two laws is masked, what is asked for is no divergence.
    """
    pair = unwrap(guide), unwrap(prior)
    find = dist.kl_divergence.dispatch  # pyright: ignore
    return (
        find(*map(type, pair)) is not None
        and not isinstance(pair[0], dist.Delta | dist.Kumaraswamy)
        and (unmasked(guide) is None) == (unmasked(prior) is None)
    )


def divergence(guide: Distribution, prior: Distribution) -> jax.Array:
    """The divergence of the guide from the prior, of the guide's batch shape, in nats.

    What is wrapped around the two laws says which axes are added up, and which elements
    are left out: those that either masks.
    """
    law: Any = unwrap(guide)
    shape = guide.batch_shape + guide.event_shape
    parts = shape[: len(shape) - law.event_dim]
    with jax.numpy_rank_promotion("allow"):
        terms = jnp.broadcast_to(closed_form(law, unwrap(prior)), parts)
        for kept in (unmasked(guide), unmasked(prior)):
            terms = terms if kept is None else jnp.where(kept, terms, 0)
    return jnp.sum(terms, tuple(range(len(guide.batch_shape), len(parts))))


def unmasked(distribution: Distribution) -> jax.Array | None:
    """Which elements the masks around a law leave, or ``None`` if there are none.

    Of a shape that broadcasts to the batch of the law inside.
    """
    law: Any = distribution
    core, kept = unwrap(law), None
    while law is not core:
        if isinstance(law, dist.MaskedDistribution):
            mask = jnp.asarray(law._mask)
            axes = law.event_dim - core.event_dim
            mask = jnp.reshape(mask, (*mask.shape, *(1,) * axes))
            kept = mask if kept is None else kept & mask
        law = law.base_dist
    return kept
