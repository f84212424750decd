"""What a caller may pass: keys, shapes, dtypes, values, and every error sentence."""

import contextlib
import contextvars
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify
from jax.typing import ArrayLike

_validates = contextvars.ContextVar("reparam_jax_validates", default=True)


@contextlib.contextmanager
def validation(enabled: bool) -> Iterator[None]:  # noqa: FBT001 (reads as a switch)
    """Switches the checks of parameter values on or off inside a ``with`` block.

    With the checks on, a concrete parameter outside its domain (a negative variance,
    a NaN) raises ``ValueError``, which costs one device synchronisation per call.
    Switched off, bad elements give NaN in the draw and in its gradients, as they do
    under ``jax.jit``. Keys, shapes and dtypes are checked either way.

    Args:
      enabled: whether values are checked inside the block.

    Yields:
      Nothing.

    Example:
      >>> import reparam_jax as rj
      >>> with rj.validation(False):
      ...   print(rj.normal(jax.random.key(0), 0.0, -1.0))
      nan
    """
    token = _validates.set(enabled)
    try:
        yield
    finally:
        _validates.reset(token)


# The trailing shapes of legacy keys: threefry has two words, rbg four.
_WORDS = ((2,), (4,))


class Domain(NamedTuple):
    """Where a parameter may lie: an elementwise test, and the words for it."""

    holds: Callable[[jax.Array], jax.Array]
    words: str


def _non_negative(value):
    zero = jax.lax.full_like(value, 0)
    return jax.lax.bitwise_and(jax.lax.is_finite(value), jax.lax.ge(value, zero))


FINITE = Domain(jax.lax.is_finite, "finite")
NON_NEGATIVE = Domain(_non_negative, "finite and non-negative")


def check_key(function: str, key: jax.Array) -> jax.Array:
    """Returns the one key, typed; refuses everything else that callers try."""
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        typed = key
    elif getattr(key, "dtype", None) == jnp.uint32 and np.shape(key)[-1:] in _WORDS:
        typed = jax.random.wrap_key_data(jnp.asarray(key))
    else:
        raise TypeError(_not_a_key(function, key))
    if typed.ndim:
        raise ValueError(
            f"`{function}` takes one key, got a batch of keys of shape {typed.shape}. "
            f"Pick one, or map over them: `jax.vmap(lambda key: {function}(key, ...))"
            "(keys)`."
        )
    return typed


def _not_a_key(function: str, key: object) -> str:
    if key is None:
        return (
            f"`{function}` takes a JAX PRNG key as its first argument, got None. "
            "Make one with `jax.random.key(0)`."
        )
    if isinstance(key, int | np.integer):
        return (
            f"`{function}` takes a JAX PRNG key as its first argument, got the integer "
            f"{key}. Make a key of it with `jax.random.key({key})`."
        )
    if isinstance(key, jax.Array | np.ndarray | float | np.floating):
        return (
            f"`{function}` takes a JAX PRNG key as its first argument, got numbers of "
            f"dtype {jnp.result_type(key)} and shape {jnp.shape(key)}. Were the key "
            "and a parameter swapped? The key comes first."
        )
    return (
        f"`{function}` takes a JAX PRNG key as its first argument, got "
        f"{type(key).__name__}. Make one with `jax.random.key(0)`; from an "
        "`nnx.Rngs`, take one with `rngs.sample()`."
    )


def check_real(function: str, **parameters: ArrayLike) -> dict[str, ArrayLike]:
    """Returns the parameters, an ``nnx.Param`` unwrapped; refuses what is not real."""
    for name, value in parameters.items():
        if not isinstance(value, jax.Array) and hasattr(value, "__jax_array__"):
            value = parameters[name] = value.__jax_array__()
        if not isinstance(value, jax.Array | np.ndarray | np.generic | int | float):
            raise TypeError(
                f"`{function}` needs `{name}` to be an array or a real number, got "
                f"{type(value).__name__}."
            )
        dtype = jnp.result_type(value)
        if not any(
            jnp.issubdtype(dtype, kind) for kind in (np.floating, np.integer, np.bool_)
        ):
            raise TypeError(f"`{function}` needs `{name}` to be real, got {dtype}.")
    return parameters


def result_dtype(
    function: str, dtype: jax.typing.DTypeLike | None, **parameters: ArrayLike
) -> np.dtype:
    """Returns the dtype of the draws: ``dtype``, or the parameters' float dtype."""
    if dtype is None:
        floats = [
            value
            for value in parameters.values()
            if jnp.issubdtype(jnp.result_type(value), jnp.floating)
        ]
        return jnp.result_type(*floats) if floats else jnp.result_type(float)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"`{function}` draws floats, got dtype={jnp.dtype(dtype)}.")
    return jax.dtypes.canonicalize_dtype(dtype)


def noise_dtype(dtype: np.dtype) -> np.dtype:
    """Returns the dtype to compute in: draws below 32 bits are rounded from float32."""
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.dtype(jnp.float32)


def result_shape(
    function: str, shape: tuple[int, ...] | None, **parameters: ArrayLike
) -> tuple[int, ...]:
    """Returns the shape of the draws: ``shape``, or the parameters' broadcast shape."""
    shapes = {name: jnp.shape(value) for name, value in parameters.items()}
    if shape is None:
        try:
            return jnp.broadcast_shapes(*shapes.values())
        except ValueError:
            raise ValueError(
                f"`{function}` cannot broadcast {_listed(shapes)}."
                f"{_reshape_hint(shapes)}"
            ) from None
    if isinstance(shape, int) or not all(hasattr(n, "__index__") for n in shape):
        raise TypeError(
            f"`{function}` needs `shape` to be a tuple of integers, got {shape!r}."
        )
    shape = tuple(shape)
    for name, parameter in shapes.items():
        if not _broadcasts_to(parameter, shape):
            raise ValueError(
                f"`{function}` cannot broadcast `{name}` of shape {parameter} to "
                f"shape={shape}, the shape of the whole result (not of a prefix)."
                f"{_reshape_hint({name: parameter, 'shape': shape})}"
            )
    return shape


def _broadcasts_to(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return jnp.broadcast_shapes(shape, target) == target
    except ValueError:
        return False


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return " with ".join(f"`{name}` of shape {shape}" for name, shape in shapes.items())


def _reshape_hint(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Says how to line up a per-channel vector with an NHWC or NCHW array."""
    name, vector = min(shapes.items(), key=lambda item: math.prod(item[1]))
    array = max(shapes.values(), key=len)
    channels = math.prod(vector)
    if len(array) < 3 or channels < 2 or max(vector) != channels:
        return ""
    if array[-1] == channels:
        layout, reshaped = "channels last, NHWC", (channels,)
    elif array[1 - (len(array) == 3)] == channels:
        layout, trailing = "channels first, NCHW", len(array) - 2 + (len(array) == 3)
        reshaped = (channels,) + (1,) * trailing
    else:
        return ""
    return (
        f" If `{name}` holds one value per channel ({layout}), pass "
        f"`{name}.reshape({', '.join(map(str, reshaped))})`."
    )


def check_values(
    function: str,
    dtype: np.dtype,
    parameters: Mapping[str, tuple[ArrayLike, Domain, str]],
) -> None:
    """Raises for parameters outside their domains, as far as values are known.

    Concrete values raise ``ValueError``. Traced ones are handed to
    ``checkify.debug_check``: reported when the caller functionalises, else free.

    Args:
      function: the public name of the caller.
      dtype: the floating dtype in which the caller computes.
      parameters: for each name its value, its domain, and a sentence with a way out.
    """
    if not _validates.get():
        return
    values = tuple(value for value, _, _ in parameters.values())
    domains = tuple(domain for _, domain, _ in parameters.values())
    try:
        all_valid = bool(_all_hold(values, domains, dtype))
    except jax.errors.ConcretizationTypeError:
        all_valid = None
    if all_valid:
        return
    for (name, (value, domain, way_out)), found in zip(
        parameters.items(), _inspect(values, domains, dtype), strict=True
    ):
        indices = {f"index{axis}": i for axis, i in enumerate(found.pop("index"))}
        sentence = (
            f"`{function}` needs `{name}` to be {domain.words}, but {{count}} of its "
            f"{math.prod(jnp.shape(value))} elements are not; the smallest of those is "
            f"{{smallest}} at index ({', '.join(f'{{{i}}}' for i in indices)})."
            f"{way_out and ' '}{way_out}"
        )
        if all_valid is None:
            valid = found["count"] == 0
            checkify.debug_check(valid, sentence, **found, **indices)
        elif found["count"]:
            facts = {key: np.asarray(fact) for key, fact in (found | indices).items()}
            raise ValueError(sentence.format(**facts))


# The two functions below are traced for every call inside somebody's program, so they
# are written in `lax`, which traces several times faster than `jnp`.
@functools.partial(jax.jit, static_argnums=(1, 2))
def _all_hold(values, domains, dtype):
    valid = [
        domain.holds(jax.lax.convert_element_type(value, dtype))
        for value, domain in zip(values, domains, strict=True)
    ]
    return functools.reduce(
        jax.lax.bitwise_and, [jax.lax.reduce_and(v, range(v.ndim)) for v in valid]
    )


@functools.partial(jax.jit, static_argnums=(1, 2))
def _inspect(values, domains, dtype):
    """For each value: how many elements lie outside, and the smallest of those."""
    return [
        _worst(jax.lax.convert_element_type(value, dtype), domain)
        for value, domain in zip(values, domains, strict=True)
    ]


def _worst(value, domain):
    lax = jax.lax
    value = lax.stop_gradient(value)
    axes = range(value.ndim)
    infinity = lax.full_like(value, jnp.inf)
    bad = lax.bitwise_not(domain.holds(value))
    # A NaN is named only where no bad number is: `reduce_max` lets it through.
    is_number = lax.bitwise_and(bad, lax.eq(value, value))
    numbers = lax.select(is_number, value, infinity)
    smallest = lax.reduce_min(numbers, axes)
    infinite_or_nan = lax.reduce_max(lax.select(bad, value, lax.neg(infinity)), axes)
    found = lax.bitwise_and(bad, lax.eq(numbers, lax.broadcast(smallest, value.shape)))
    index = []
    for axis in axes:  # axis by axis: ravelling would fail on explicit meshes
        along = lax.mul(
            lax.full_like(found, 1, jnp.int32),
            lax.broadcasted_iota(jnp.int32, value.shape, axis),
        )
        beyond = lax.full_like(along, value.shape[axis])
        first = lax.reduce_min(lax.select(found, along, beyond), axes)
        here = lax.eq(along, lax.broadcast(first, value.shape))
        found = lax.bitwise_and(found, here)
        index.append(first)
    return {
        "count": lax.reduce_sum(lax.convert_element_type(bad, jnp.int32), axes),
        "smallest": lax.select(lax.is_finite(smallest), smallest, infinite_or_nan),
        "index": index,
    }


def poison(draw: jax.Array, valid: jax.Array) -> jax.Array:
    """Returns the draw times 1 where its parameters are valid, times NaN elsewhere.

    The factor also multiplies tangents and cotangents, so a bad element is NaN in every
    gradient, and masking the draw afterwards does not hide it (0 * NaN = NaN).
    ``where(valid, draw, nan)`` would transpose to 0.
    """
    one, nan = (jax.lax.full_like(draw, factor) for factor in (1, jnp.nan))
    return jax.lax.mul(draw, jax.lax.select(valid, one, nan))
