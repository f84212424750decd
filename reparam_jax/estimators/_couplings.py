"""Draws of several samples that depend on each other, to lower the variance."""

import jax

from reparam_jax import noise
from reparam_jax.distributions._path import Path
from reparam_jax.distributions._paths import find_path
from reparam_jax.distributions._structure import Distribution, unwrap

COUPLINGS = {"antithetic": noise.antithetic, "stratified": noise.stratified}


def check_coupling(function: str, coupling: str | None) -> None:
    """Refuses what is no coupling."""
    if coupling is not None and coupling not in COUPLINGS:
        names = " or ".join(f'"{name}"' for name in COUPLINGS)
        raise ValueError(
            f"`{function}` takes `coupling={names}` or None, got {coupling!r}."
        )


def draw_coupled(
    function: str,
    coupling: str,
    leaf: Distribution,
    key: jax.Array,
    num_samples: int,
) -> tuple[Path, jax.Array]:
    """Draws coupled base noise, and returns it with the path that maps it."""
    path = find_path(leaf)
    if path is None or path.noise is None:
        raise TypeError(
            f"`{function}` couples the draws of distributions that are monotone maps "
            f"of base noise (normal, Laplace, exponential, uniform and the like), not "
            f"of {type(unwrap(leaf)).__name__}. Leave `coupling` out."
        )
    shape = (num_samples, *leaf.shape())
    return path, COUPLINGS[coupling](path.noise, key, shape, path.dtype)
