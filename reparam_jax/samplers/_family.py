"""What all elementwise samplers share: checks, the noise, the map, bad elements."""

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
    """A family of laws, as an elementwise map of one kind of base noise, or of a key.

    Args:
      name: the public name of the sampler; ``{name}_from_noise`` is its twin's.
      noise: a function of the room ``noise``, or ``None`` where no map of one kind of
        noise exists: the family then has no twin.
      transform: ``(noise, *parameters) -> draws``, elementwise, whose derivatives are
        those of the draws. Without noise, it takes the key in its place. The draws may
        be several arrays.
      constraints: ``(*parameters) -> name -> Parameter``: what must hold, by the name
        to report. The first ones are the parameters themselves.
      event_ndim: how many of the last axes make up one draw; a bad parameter makes all
        of it NaN.
    """

    name: str
    noise: Callable[..., jax.Array] | None
    transform: Callable[..., Any]
    constraints: Callable[..., Mapping[str, Parameter]]
    event_ndim: int = 0


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
    function = family.name
    key = _checks.check_key(function, key)
    parameters = _checks.check_real(function, **parameters)
    dtype = _checks.result_dtype(function, dtype, **parameters)
    shape = _checks.result_shape(function, shape, **parameters)
    _checks.check_event(function, shape, family.event_ndim)
    values = _check_values(function, family, dtype, parameters)
    return _draw(family, key, values, shape, dtype)


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
    parameters = _checks.check_real(function, **parameters)
    noise = _checks.check_real(function, noise=noise)["noise"]
    dtype = _checks.result_dtype(function, dtype, noise=noise, **parameters)
    shape = _checks.result_shape(function, None, noise=noise, **parameters)
    values = _check_values(function, family, dtype, parameters)
    return _from_noise(family, noise, values, shape, dtype)


def _check_values(function, family, dtype, parameters):
    constraints = family.constraints(*parameters.values())
    dtype = _checks.noise_dtype(dtype)
    values = _domains.check_values(function, dtype, constraints)
    return values[: len(parameters)]


# Traced once for every draw in somebody's program, so written in `lax`, which traces
# several times faster than `jnp`.
@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def _draw(family, key, values, shape, dtype):
    compute_dtype = _checks.noise_dtype(dtype)
    values = _spread(shape, compute_dtype, values)
    sharding = jax.typeof(functools.reduce(lax.add, values)).sharding
    if family.noise is None:
        values = [laid_out(x, sharding) for x in values]
        return _transform(family, key, values, dtype)
    noise = family.noise(key, shape, compute_dtype, out_sharding=sharding)
    return _transform(family, noise, values, dtype)


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def _from_noise(family, noise, values, shape, dtype):
    arrays = _spread(shape, _checks.noise_dtype(dtype), (noise, *values))
    return _transform(family, arrays[0], arrays[1:], dtype)


def _spread(shape, dtype, values):
    return [jnp.broadcast_to(jnp.asarray(x).astype(dtype), shape) for x in values]


def _transform(family, noise, values, dtype):
    valid = [domain.holds(x) for x, domain, _ in family.constraints(*values).values()]
    valid = functools.reduce(lax.bitwise_and, valid)
    if family.event_ndim:
        axes = tuple(range(-family.event_ndim, 0))
        whole = jnp.all(valid, axes, keepdims=True)
        valid = jnp.broadcast_to(whole, valid.shape)

    def finish(draws):
        return lax.convert_element_type(_domains.poison(draws, valid), dtype)

    return jax.tree.map(finish, family.transform(noise, *values))


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
