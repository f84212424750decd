"""How a distribution is drawn with gradients: base draws, and a map that carries them.

The base draw is all the randomness and has no gradient. The map is deterministic, and
its derivatives are those of the draw for every parameter of the distribution.
"""

import numpyro.distributions as dist

from . import (
    _closed_forms,
    _families,
    _generic,
    _mixtures,
    _others,
    _transformed,
    _truncated,
    _vectors,
)
from ._laws import is_discrete
from ._path import Maker, Path
from ._structure import Distribution, unwrap

MAKERS: dict[type, Maker] = {
    **_families.MAKERS,
    **_closed_forms.MAKERS,
    **_truncated.MAKERS,
    **_vectors.MAKERS,
    **_others.MAKERS,
    **_transformed.MAKERS,
    **_mixtures.MAKERS,
}

# Densities without a normalising constant, and without a value.
_NO_LAW = (dist.ImproperUniform, dist.Unit)


def find_path(distribution: Distribution) -> Path | None:
    """Returns how the distribution is drawn with gradients, if it is known here."""
    law = unwrap(distribution)
    if isinstance(law, _NO_LAW):
        return None
    for kind in type(law).__mro__:
        # A subclass that draws in a way of its own is another law.
        if kind in MAKERS and type(law).sample is kind.sample:
            return MAKERS[kind](law, find_path)
    return _generic.make(law)


def path_of(function: str, distribution: Distribution) -> Path:
    """Returns how the distribution is drawn with gradients; raises where it is not."""
    path = find_path(distribution)
    if path is None:
        raise TypeError(
            f"`{function}` needs a distribution whose draws have gradients here, got "
            f"{_name(distribution)}: {_reason(distribution)}. Those have: the "
            "continuous families of NumPyro, their transforms and mixtures, and any "
            "distribution of numbers with a `cdf`. For others take an estimator: "
            "`rj.ScoreFunction()`; `rj.DisARM()` or `rj.Enumerate()` for Bernoulli and "
            "Categorical; `rj.MeasureValued()` for Poisson."
        )
    return path


def _name(distribution):
    """The law's name, and what it is made of."""
    law = unwrap(distribution)
    parts = getattr(law, "component_distributions", None)
    part = getattr(law, "base_dist", getattr(law, "component_distribution", None))
    parts = parts or [part] * (part is not None)
    names = ", ".join(dict.fromkeys(_name(part) for part in parts))
    return type(law).__name__ + (f" of {names}" if names else "")


def _reason(distribution):
    law = unwrap(distribution)
    if _generic.is_mixed(law):
        return "some of its draws are one value with a positive probability"
    if isinstance(law, _NO_LAW):
        return "it has no draws"
    if is_discrete(law):
        return "its draws are discrete"
    if law.event_shape:
        return "no map from noise to its vectors is known"
    return "it has no `cdf`"
