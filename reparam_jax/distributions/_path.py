"""How one distribution is drawn: its base draws, and the map from them to draws."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from jax.typing import ArrayLike

from reparam_jax import _checks
from reparam_jax.samplers import _family

from ._structure import Distribution

Shape = tuple[int, ...]


class Path(NamedTuple):
    """How one distribution is drawn.

    Args:
      draw: ``(key, shape) -> base``: base draws for a result of ``shape``, which is
        that of the samples, the batch and the event. They are all the randomness, and
        have no gradient.
      at: ``base -> draws``, deterministic, with the gradients of the draws for every
        parameter of the distribution.
      noise: the function of the room ``noise`` that the base draws come from, of the
        same shape as the result, where each element of the draw is a monotone map of
        its own element of the noise; else ``None``.
      dtype: of the base draws, where ``noise`` is given.
    """

    draw: Callable[[jax.Array, Shape], Any]
    at: Callable[[Any], jax.Array]
    noise: Callable[..., jax.Array] | None = None
    dtype: Any = None


# Returns the path of a distribution, or ``None``.
Find = Callable[[Distribution], Path | None]
# Makes the path of a law, given how to find those of the laws it is made of.
Maker = Callable[[Any, Find], Path | None]


def path_of_family(family: _family.Family, **parameters: ArrayLike) -> Path:
    """Returns the path of a family of the room ``samplers``."""
    dtype = _checks.result_dtype(family.name, None, **parameters)

    def draw(key, shape):
        return _family.base(family, key, parameters, shape, None)

    def at(base):
        return _family.at(family, base, parameters, dtype)

    return Path(draw, at, family.noise, _checks.noise_dtype(dtype))


def in_family(
    family: _family.Family, parameters_of: Callable[[Any], Mapping[str, ArrayLike]]
) -> Maker:
    """Makes the paths of laws that are those of a family, by their parameters."""
    return lambda law, find: path_of_family(family, **parameters_of(law))


def batch_shape_of(law: Distribution, shape: Shape) -> Shape:
    """Returns the part of a result's shape that comes before the event's."""
    return shape[: len(shape) - law.event_dim]
