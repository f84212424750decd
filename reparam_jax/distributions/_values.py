"""Draws without gradient, of any distribution."""

import jax
import jax.numpy as jnp
from jax import lax

from ._paths import find_path
from ._structure import Distribution


def draw_values(
    key: jax.Array, distribution: Distribution, sample_shape: tuple[int, ...] = ()
) -> jax.Array:
    """Draws by this library's sampler where there is one, else by NumPyro's.

    Returns:
      Draws of the samples' shape and the distribution's, as integers where it is
      discrete. They carry no gradient.
    """
    path = find_path(distribution)
    if path is None:
        with jax.numpy_rank_promotion("allow"):
            draws = jnp.asarray(distribution.sample(key, sample_shape))
    else:
        draws = path.at(path.draw(key, (*sample_shape, *distribution.shape())))
    return lax.stop_gradient(jnp.asarray(draws))
