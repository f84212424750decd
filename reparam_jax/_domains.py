"""Where parameters may lie, and what happens to values that lie elsewhere.

Concrete values raise. Traced ones are reported under ``checkify``, and their draws and
gradients are NaN.
"""

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

from reparam_jax._meshes import cholesky
from reparam_jax._report import report

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


class Domain(NamedTuple):
    """Where a parameter may lie: a test of each of its things, and the words for it.

    Args:
      holds: whether each thing lies inside: elementwise, or for each matrix.
      words: the domain.
      things: what is counted.
      measure: a number for each thing, the smallest of which is reported.
      measure_words: the name of that number.
      event_ndim: how many axes of the parameter each thing takes up.
    """

    holds: Callable[[jax.Array], jax.Array]
    words: str
    things: str = "elements"
    measure: Callable[[jax.Array], jax.Array] = lambda value: value
    measure_words: str = "smallest"
    event_ndim: int = 0


def _non_negative(value):
    zero = jax.lax.full_like(value, 0)
    return jax.lax.bitwise_and(jax.lax.is_finite(value), jax.lax.ge(value, zero))


def _positive(value):
    zero = jax.lax.full_like(value, 0)
    return jax.lax.bitwise_and(jax.lax.is_finite(value), jax.lax.gt(value, zero))


def _not_nan(value):
    return jax.lax.eq(value, value)


def _positive_or_infinite(value):
    return jax.lax.gt(value, jax.lax.full_like(value, 0))


FINITE = Domain(jax.lax.is_finite, "finite")
NOT_NAN = Domain(_not_nan, "a number or infinite")
NON_NEGATIVE = Domain(_non_negative, "finite and non-negative")
POSITIVE = Domain(_positive, "finite and positive")
POSITIVE_OR_INFINITE = Domain(_positive_or_infinite, "positive")


def _is_positive_definite(matrix):
    factor = cholesky(matrix)
    return jax.lax.reduce_and(
        jax.lax.is_finite(factor), (factor.ndim - 2, factor.ndim - 1)
    )


POSITIVE_DEFINITE = Domain(
    _is_positive_definite,
    "positive definite",
    things="matrices",
    measure=lambda matrix: jnp.linalg.eigvalsh(matrix)[..., 0],
    measure_words="smallest eigenvalue",
    event_ndim=2,
)


def _length(vector):
    return jnp.sqrt(jnp.sum(vector * vector, axis=-1))


# The elements of a unit vector rounded to bfloat16 are off by 1/512 of their size.
UNIT_VECTOR = Domain(
    lambda vector: jnp.abs(_length(vector) - 1) <= 1 / 256,
    "of length 1",
    things="vectors",
    measure=_length,
    measure_words="smallest length",
    event_ndim=1,
)


class Parameter(NamedTuple):
    """A parameter to check: its value, its domain, and a sentence with a way out."""

    value: ArrayLike
    domain: Domain
    way_out: str = ""


def check_values(
    function: str, dtype: np.dtype, parameters: Mapping[str, Parameter]
) -> tuple[ArrayLike, ...]:
    """Raises for parameters outside their domains, as far as values are known.

    Args:
      function: the public name of the caller.
      dtype: the floating dtype in which the caller computes.
      parameters: what to check, by name.

    Returns:
      The values; those unknown under tracing pass through a report to ``checkify``.

    Raises:
      ValueError: a concrete value lies outside its domain.
    """
    values = tuple(parameter.value for parameter in parameters.values())
    if not _validates.get():
        return values
    domains = tuple(parameter.domain for parameter in parameters.values())
    try:
        all_valid = bool(_all_hold(values, domains, dtype))
    except jax.errors.ConcretizationTypeError:
        sentences = tuple(
            _sentence(function, name, parameter)
            for name, parameter in parameters.items()
        )
        return report(_checked, values, sentences, domains, dtype)
    if not all_valid:
        for name, parameter in parameters.items():
            found = _worst(parameter.value, parameter.domain, dtype)
            if found["count"]:
                facts = {fact: np.asarray(value) for fact, value in found.items()}
                sentence = _sentence(function, name, parameter)
                raise ValueError(sentence.format(**facts))
    return values


def _sentence(function, name, parameter):
    """A template over the facts that `_worst` finds."""
    domain = parameter.domain
    shape = jnp.shape(parameter.value)
    shape = shape[: len(shape) - domain.event_ndim]
    index = ", ".join(f"{{index{axis}}}" for axis in range(len(shape)))
    sentence = (
        f"`{function}` needs `{name}` to be {domain.words}, but {{count}} of its "
        f"{math.prod(shape)} {domain.things} are not; the {domain.measure_words} of "
        f"those is {{smallest}} at index ({index}). {parameter.way_out}"
    )
    return sentence.rstrip()


# Traced for every draw in somebody's program, so written in `lax`, which traces several
# times faster than `jnp`.
@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _checked(values, sentences, domains, dtype):
    for value, sentence, domain in zip(values, sentences, domains, strict=True):
        found = _worst(value, domain, dtype)
        valid = jax.lax.eq(found["count"], jax.lax.full_like(found["count"], 0))
        checkify.debug_check(valid, sentence, **found)
    return values


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
def _worst(value, domain, dtype):
    """How many things lie outside the domain, and the smallest of them and where."""
    lax = jax.lax
    value = lax.stop_gradient(lax.convert_element_type(value, dtype))
    bad = lax.bitwise_not(domain.holds(value))
    value = domain.measure(value)
    axes = range(value.ndim)
    # A NaN is named only where nothing else is bad.
    numbers = lax.bitwise_and(bad, lax.eq(value, value))
    candidates = lax.select(lax.reduce_or(numbers, axes), numbers, bad)
    infinity = lax.full_like(value, jnp.inf)
    smallest = lax.reduce_min(lax.select(candidates, value, infinity), axes)
    is_smallest = lax.eq(value, lax.broadcast(smallest, value.shape))
    is_nan = lax.ne(value, value)
    found = lax.bitwise_and(candidates, lax.bitwise_or(is_smallest, is_nan))
    index = {}
    for axis in axes:  # axis by axis: ravelling would fail on explicit meshes
        along = lax.mul(
            lax.full_like(found, 1, jnp.int32),
            lax.broadcasted_iota(jnp.int32, value.shape, axis),
        )
        beyond = lax.full_like(along, value.shape[axis])
        first = lax.reduce_min(lax.select(found, along, beyond), axes)
        here = lax.eq(along, lax.broadcast(first, value.shape))
        found = lax.bitwise_and(found, here)
        index[f"index{axis}"] = first
    return {
        "count": lax.reduce_sum(lax.convert_element_type(bad, jnp.int32), axes),
        "smallest": smallest,
        **index,
    }


def poison(draw: jax.Array, valid: jax.Array) -> jax.Array:
    """Returns the draw times 1 where its parameters are valid, times NaN elsewhere.

    The factor also multiplies tangents and cotangents, so a bad element is NaN in every
    gradient, and masking the draw afterwards does not hide it (0 * NaN = NaN).
    ``where(valid, draw, nan)`` would transpose to 0.
    """
    one, nan = (jax.lax.full_like(draw, factor) for factor in (1, jnp.nan))
    return jax.lax.mul(draw, jax.lax.select(valid, one, nan))
