"""What laws on the sphere around a mean direction share: checks and directions."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from reparam_jax import _checks, _domains
from reparam_jax import noise as noise_room
from reparam_jax._domains import NON_NEGATIVE, UNIT_VECTOR, Parameter
from reparam_jax._meshes import laid_out

from ._family import MAKE_POSITIVE


class Law(NamedTuple):
    """A law on the sphere, by that of the angle between a draw and its mean.

    Args:
      name: the public name of the sampler.
      angle: ``(dimension, key, concentration) -> (cosine, sine)`` of the angle, at the
        shape of the concentration, with their derivatives. Where that lies outside its
        domain, the angle may be any.
    """

    name: str
    angle: Callable[..., tuple[jax.Array, jax.Array]]


def draw(
    law: Law,
    key: jax.Array,
    mean_direction: ArrayLike,
    concentration: ArrayLike,
    shape: tuple[int, ...] | None,
    dtype: jax.typing.DTypeLike | None,
) -> jax.Array:
    """Draws unit vectors around a mean direction.

    Args:
      law: of the angle to the mean.
      key: one key.
      mean_direction: unit vectors along the last axis.
      concentration: of shape (...).
      shape: of the result, (..., dim); by default, the broadcast one.
      dtype: of the result; by default, the parameters' promoted float dtype.

    Returns:
      Unit vectors along the last axis.
    """
    key = _checks.check_key(law.name, key)
    parameters = _checks.check_real(
        law.name, mean_direction=mean_direction, concentration=concentration
    )
    dtype = _checks.result_dtype(law.name, dtype, **parameters)
    shape = _result_shape(law.name, shape, **parameters)
    values = _domains.check_values(
        law.name, _checks.noise_dtype(dtype), _constraints(**parameters)
    )
    return _draw(law, key, values, shape, dtype)


def _result_shape(function, shape, mean_direction, concentration):
    mean_shape = jnp.shape(mean_direction)
    if not mean_shape or mean_shape[-1] < 2:
        raise ValueError(
            f"`{function}` needs `mean_direction` to be of shape (..., dim), with dim "
            f"of 2 or more, got {mean_shape}."
        )
    row = np.broadcast_to(0.0, (*jnp.shape(concentration), 1))
    columns = {"mean_direction": mean_direction, "concentration[..., None]": row}
    return _checks.result_shape(function, shape, **columns)


def _constraints(mean_direction, concentration):
    return {
        "mean_direction": Parameter(
            mean_direction, UNIT_VECTOR, "Divide it by `jnp.linalg.norm`."
        ),
        "concentration": Parameter(concentration, NON_NEGATIVE, MAKE_POSITIVE),
    }


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def _draw(law, key, values, shape, dtype):
    mean, concentration = (
        jnp.asarray(x).astype(_checks.noise_dtype(dtype)) for x in values
    )
    mean = jnp.broadcast_to(mean, shape)
    concentration = jnp.broadcast_to(concentration, shape[:-1])
    row = lax.add(mean, jnp.broadcast_to(concentration[..., None], shape))[..., 1:]
    sharding = jax.typeof(row).sharding
    concentration = laid_out(concentration, jax.typeof(row[..., 0]).sharding)
    valid = UNIT_VECTOR.holds(mean) & NON_NEGATIVE.holds(concentration)
    angle_key, side_key = jax.random.split(key)
    cosine, sine = law.angle(shape[-1], angle_key, concentration)
    normal = noise_room.normal(side_key, row.shape, mean.dtype, out_sharding=sharding)
    draws = _at(mean, cosine[..., None], sine[..., None] * _normalized(normal))
    draws = _domains.poison(draws, jnp.broadcast_to(valid[..., None], shape))
    return draws.astype(dtype)


def _normalized(vectors):
    """Vectors of length 1; zeros point along the diagonal."""
    length = jnp.linalg.norm(vectors, axis=-1, keepdims=True)
    is_zero = length == 0
    vectors = jnp.where(is_zero, 1, vectors)
    return vectors / jnp.where(is_zero, vectors.shape[-1] ** 0.5, length)


# The reflection that takes the pole -sign(m_0) e_0, the farther one, to the mean m
# takes (0, v) with p = v . m_{1:} to
#   t = (-sign(m_0) p, v - m_{1:} p / (1 + |m_0|)),
# orthogonal to m and as long as v. Where m_0 changes its sign, the pole does: elsewhere
# the map is smooth, its derivative in m at most 2, and of the law everywhere.
def _at(mean, cosine, sideways):
    mean = mean / jnp.linalg.norm(mean, axis=-1, keepdims=True)
    first, others = mean[..., :1], mean[..., 1:]
    sign = jnp.where(first < 0, -1, 1).astype(mean.dtype)
    along = jnp.sum(sideways * others, axis=-1, keepdims=True)
    tangent = [-sign * along, sideways - others * (along / (1 + sign * first))]
    return cosine * mean + jnp.concatenate(tangent, axis=-1)
