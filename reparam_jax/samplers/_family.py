"""What all elementwise samplers share: checks, the base, the map, bad elements."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from reparam_jax import _checks, _domains
from reparam_jax._domains import FINITE, NON_NEGATIVE, POSITIVE, Parameter
from reparam_jax._meshes import laid_out

MAKE_POSITIVE = (
    "Where it is the output of a network, make it positive with `jax.nn.softplus`."
)


class Family(NamedTuple):
    """A family of laws, as an elementwise map of base noise, or of standard draws.

    Args:
      name: the public name of the sampler; ``{name}_from_noise`` is its twin's.
      noise: a function of the room ``noise``, or ``None`` where no map of one kind of
        noise exists: the family then has no twin, but standard draws.
      transform: ``(base, *parameters) -> draws``, elementwise, whose derivatives are
        those of the draws; of the noise, or else of standard draws. The draws may be
        several arrays.
      constraints: ``(*parameters) -> name -> Parameter``: what must hold, by the name
        to report. The first ones are the parameters themselves.
      event_ndim: how many of the last axes make up one draw; a bad parameter makes all
        of it NaN.
      standard: ``(key, *parameters) -> base``, where there is no noise: draws, or what
        is known of them, of the parameters' shape; an array or a tree of arrays. It is
        not differentiated.
    """

    name: str
    noise: Callable[..., jax.Array] | None
    transform: Callable[..., Any]
    constraints: Callable[..., Mapping[str, Parameter]]
    event_ndim: int = 0
    standard: Callable[..., Any] | None = None


def draw(
    family: Family,
    key: jax.Array,
    parameters: Mapping[str, ArrayLike],
    shape: tuple[int, ...] | None,
    dtype: jax.typing.DTypeLike | None,
) -> Any:
    """Draws from a family.

    Args:
      family: the laws.
      key: one key.
      parameters: by name, in the order of ``family.transform``.
      shape: shape of the result; by default, the parameters' broadcast shape.
      dtype: of the result; by default, the parameters' promoted float dtype.

    Returns:
      The draws.
    """
    key, parameters, shape, dtype = _check_call(family, key, parameters, shape, dtype)
    values = _check_values(family.name, family, dtype, parameters)
    return _draw(family, key, values, shape, dtype)


def base(
    family: Family,
    key: jax.Array,
    parameters: Mapping[str, ArrayLike],
    shape: tuple[int, ...] | None,
    dtype: jax.typing.DTypeLike | None,
) -> Any:
    """Draws the randomness of :func:`draw` alone, which has no gradient.

    Args:
      family: the laws.
      key: one key.
      parameters: by name. Only :func:`at` checks their values.
      shape: shape of the result; by default, the parameters' broadcast shape.
      dtype: of the result; by default, the parameters' promoted float dtype.

    Returns:
      Base noise or standard draws, for :func:`at`: an array of ``shape``, or a tree of
      them, in the dtype in which the family computes.
    """
    key, parameters, shape, dtype = _check_call(family, key, parameters, shape, dtype)
    return _base(family, key, tuple(parameters.values()), shape, dtype)


def at(
    family: Family,
    base: Any,
    parameters: Mapping[str, ArrayLike],
    dtype: jax.typing.DTypeLike | None,
) -> Any:
    """Maps base draws to draws from a family, with their gradients.

    Args:
      family: the laws.
      base: as from :func:`base`.
      parameters: by name, in the order of ``family.transform``.
      dtype: of the result; by default, the promoted float dtype of all arguments.

    Returns:
      The draws: with the key's base, those of :func:`draw`.
    """
    return _map(family.name, family, base, parameters, dtype)


def from_noise(
    family: Family,
    noise: ArrayLike,
    parameters: Mapping[str, ArrayLike],
    dtype: jax.typing.DTypeLike | None,
) -> Any:
    """Maps given base noise to draws from a family.

    Args:
      family: the laws.
      noise: of ``family.noise``, of any shape that broadcasts with the parameters.
      parameters: by name, in the order of ``family.transform``.
      dtype: of the result; by default, the promoted float dtype of all arguments.

    Returns:
      The draws.
    """
    function = f"{family.name}_from_noise"
    noise = _checks.check_real(function, noise=noise)["noise"]
    return _map(function, family, noise, parameters, dtype)


def _check_call(family, key, parameters, shape, dtype):
    function = family.name
    key = _checks.check_key(function, key)
    parameters = _checks.check_real(function, **parameters)
    dtype = _checks.result_dtype(function, dtype, **parameters)
    shape = _checks.result_shape(function, shape, **parameters)
    _checks.check_event(function, shape, family.event_ndim)
    return key, parameters, shape, dtype


def _map(function, family, base, parameters, dtype):
    parameters = _checks.check_real(function, **parameters)
    noise = jax.tree.leaves(base)[0]
    dtype = _checks.result_dtype(function, dtype, noise=noise, **parameters)
    shape = _checks.result_shape(function, None, noise=noise, **parameters)
    values = _check_values(function, family, dtype, parameters)
    return _at(family, base, values, shape, dtype)


def _check_values(function, family, dtype, parameters):
    constraints = family.constraints(*parameters.values())
    dtype = _checks.noise_dtype(dtype)
    values = _domains.check_values(function, dtype, constraints)
    return values[: len(parameters)]


# Traced once for every draw in somebody's program, so written in `lax`, which traces
# several times faster than `jnp`.
@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def _draw(family, key, values, shape, dtype):
    values = _alike(shape, dtype, values)
    return _transform(family, _draw_base(family, key, values), values, dtype)


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def _base(family, key, values, shape, dtype):
    return _draw_base(family, key, _alike(shape, dtype, values))


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def _at(family, base, values, shape, dtype):
    leaves, structure = jax.tree.flatten(base)
    arrays = _alike(shape, dtype, [*leaves, *values])
    base = structure.unflatten(arrays[: len(leaves)])
    return _transform(family, base, arrays[len(leaves) :], dtype)


def _draw_base(family, key, values):
    if family.standard is not None:
        return family.standard(key, *map(lax.stop_gradient, values))
    like = values[0]
    sharding = jax.typeof(like).sharding
    return family.noise(key, like.shape, like.dtype, out_sharding=sharding)


def _alike(shape, dtype, arrays):
    """Gives arrays one shape, the dtype of the computation, and one sharding.

    Where one is split over explicit axes of a mesh, the others follow: ``jnp.where``
    takes arrays of one sharding only.
    """
    dtype = _checks.noise_dtype(dtype)
    arrays = [jnp.broadcast_to(jnp.asarray(x).astype(dtype), shape) for x in arrays]
    sharding = jax.typeof(functools.reduce(lax.add, arrays)).sharding
    return [laid_out(x, sharding) for x in arrays]


def _transform(family, base, values, dtype):
    valid = [domain.holds(x) for x, domain, _ in family.constraints(*values).values()]
    valid = functools.reduce(lax.bitwise_and, valid)
    if family.event_ndim:
        axes = tuple(range(-family.event_ndim, 0))
        whole = jnp.all(valid, axes, keepdims=True)
        valid = jnp.broadcast_to(whole, valid.shape)

    def finish(draws):
        return lax.convert_element_type(_domains.poison(draws, valid), dtype)

    return jax.tree.map(finish, family.transform(base, *values))


def location_scale(noise: jax.Array, loc: jax.Array, scale: jax.Array) -> jax.Array:
    """Returns ``loc + scale * noise``."""
    return lax.add(loc, lax.mul(scale, noise))


def loc_and_scale(loc: ArrayLike, scale: ArrayLike) -> dict[str, Parameter]:
    """Returns the constraints of a location and a scale."""
    return {"loc": Parameter(loc, FINITE)} | scale_alone(scale)


def scale_alone(scale: ArrayLike) -> dict[str, Parameter]:
    """Returns the constraint of a scale."""
    return {"scale": Parameter(scale, NON_NEGATIVE, MAKE_POSITIVE)}


def scale_and_concentration(
    scale: ArrayLike, concentration: ArrayLike
) -> dict[str, Parameter]:
    """Returns the constraints of a scale and a concentration."""
    positive = Parameter(concentration, POSITIVE, MAKE_POSITIVE)
    return scale_alone(scale) | {"concentration": positive}


def concentration_and_rate(
    concentration: ArrayLike, rate: ArrayLike
) -> dict[str, Parameter]:
    """Returns the constraints of a concentration and a rate."""
    return all_positive(concentration=concentration, rate=rate)


def two_concentrations(
    concentration1: ArrayLike, concentration0: ArrayLike
) -> dict[str, Parameter]:
    """Returns the constraints of the concentrations of a beta variable."""
    return all_positive(concentration1=concentration1, concentration0=concentration0)


def concentration_alone(concentration: ArrayLike) -> dict[str, Parameter]:
    """Returns the constraint of a concentration."""
    return all_positive(concentration=concentration)


def all_positive(**parameters: ArrayLike) -> dict[str, Parameter]:
    """Returns the constraints of parameters that are all positive."""
    return {
        name: Parameter(value, POSITIVE, MAKE_POSITIVE)
        for name, value in parameters.items()
    }
