"""Laws that are transforms of other laws."""

from typing import Any

import jax
import numpyro.distributions as dist
from numpyro.distributions import transforms

from ._path import Find, Maker, Path, batch_shape_of

_MONOTONE = (
    transforms.AffineTransform,
    transforms.ExpTransform,
    transforms.IdentityTransform,
    transforms.PowerTransform,
    transforms.SigmoidTransform,
    transforms.SoftplusTransform,
)


def make(law: Any, find: Find) -> Path | None:
    """Makes the path of a transformed law from that of its base."""
    base = find(law.base_dist)
    if base is None:
        return None

    def draw(key, shape):
        inner = (*batch_shape_of(law, shape), *law.base_dist.event_shape)
        return base.draw(key, inner)

    def at(drawn):
        value = base.at(drawn)
        with jax.numpy_rank_promotion("allow"):
            for transform in law.transforms:
                value = transform(value)
        return value

    if all(is_monotone(transform) for transform in law.transforms):
        return Path(draw, at, base.noise, base.dtype)
    return Path(draw, at)


def is_monotone(transform: transforms.Transform) -> bool:
    """Whether a transform is known to map each number alone, and monotonically."""
    if isinstance(transform, transforms.ComposeTransform):
        return all(is_monotone(part) for part in transform.parts)
    if isinstance(transform, transforms.IndependentTransform):
        return is_monotone(transform.base_transform)
    if isinstance(transform, transforms._InverseTransform):
        return is_monotone(transform._inv)
    return type(transform) in _MONOTONE


# Folding is one, by the absolute value.
MAKERS: dict[type, Maker] = {dist.TransformedDistribution: make}
