"""What a caller may pass: keys, shapes and dtypes, and the error sentences for them."""

import math
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

# The trailing shapes of legacy keys: threefry has two words, rbg four.
_WORDS = ((2,), (4,))


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
        unwrap = getattr(value, "__jax_array__", None)
        if unwrap is not None:
            value = parameters[name] = unwrap()
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
    shape = check_shape(function, shape=shape)
    for name, parameter in shapes.items():
        if not broadcasts_to(parameter, shape):
            raise ValueError(
                f"`{function}` cannot broadcast `{name}` of shape {parameter} to "
                f"shape={shape}, the shape of the whole result (not of a prefix)."
                f"{_reshape_hint({name: parameter, 'shape': shape})}"
            )
    return shape


def check_shape(function: str, **named: Sequence[int]) -> tuple[int, ...]:
    """Returns a shape, given by its name, as a tuple; refuses what is none."""
    ((name, shape),) = named.items()
    if not isinstance(shape, Sequence) or any(isinstance(n, float) for n in shape):
        raise TypeError(
            f"`{function}` needs `{name}` to be a tuple of integers, got {shape!r}."
        )
    return tuple(shape)


def check_event(function: str, shape: tuple[int, ...], event_ndim: int) -> None:
    """Refuses a result without the axes of one draw."""
    if len(shape) < event_ndim:
        raise ValueError(
            f"`{function}` needs a last axis of components, got a result of shape "
            f"{shape}."
        )


def broadcasts_to(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of a shape broadcasts to the target."""
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
