"""Noisy logits over a temperature: what must hold for them, and the maps to draws."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from reparam_jax import _domains
from reparam_jax._domains import FINITE, NOT_NAN, Domain, Parameter
from reparam_jax._meshes import laid_out

BELOW_INFINITY = Domain(
    lambda value: lax.lt(value, lax.full_like(value, jnp.inf)), "finite or -inf"
)


# XLA takes subnormal numbers for 0.
def _positive(value):
    tiny = lax.full_like(value, jnp.finfo(value.dtype).tiny)
    return lax.bitwise_and(lax.is_finite(value), lax.ge(value, tiny))


POSITIVE = Domain(_positive, "finite and positive")
ANNEAL = "To approach hard draws, use a small temperature, or `hard=True`."


def temperature_alone(temperature: ArrayLike) -> dict[str, Parameter]:
    """Returns the constraint of a temperature."""
    return {"temperature": Parameter(temperature, POSITIVE, ANNEAL)}


def binary(logits: ArrayLike) -> dict[str, Parameter]:
    """Returns the constraint of the logits of two outcomes; infinite ones are sure."""
    return {"logits": Parameter(logits, NOT_NAN)}


def binary_tempered(logits: ArrayLike, temperature: ArrayLike) -> dict[str, Parameter]:
    """Returns the constraints of the logits of two outcomes, and a temperature."""
    return binary(logits) | temperature_alone(temperature)


def rows(logits: ArrayLike) -> dict[str, Parameter]:
    """Returns the constraints of logits of classes, which at -inf are absent."""
    return {"logits": Parameter(logits, BELOW_INFINITY), **_some_present(logits)}


def rows_tempered(logits: ArrayLike, temperature: ArrayLike) -> dict[str, Parameter]:
    """Returns the constraints of logits of classes, and a temperature."""
    checked = {"logits": Parameter(logits, BELOW_INFINITY)}
    return checked | temperature_alone(temperature) | _some_present(logits)


def _some_present(logits):
    if not jnp.ndim(logits):
        return {}
    largest = jnp.max(jnp.asarray(logits), -1, keepdims=True, initial=-jnp.inf)
    largest = jnp.broadcast_to(largest, jnp.shape(logits))
    return {"max(logits)": Parameter(largest, FINITE, "A class must be present.")}


def check_temperature(function: str, temperature: ArrayLike) -> None:
    """Refuses a temperature for each class: it is one for each draw."""
    shape = jnp.shape(temperature)
    if shape and shape[-1] != 1:
        raise ValueError(
            f"`{function}` needs one `temperature` for all classes of a draw, got one "
            f"of shape {shape}. For one temperature for each draw, pass "
            "`temperature[..., None]`."
        )


def guarded(
    transform: Callable[..., Any], constraints: Callable[..., Any], event_ndim: int = 0
) -> Callable[..., Any]:
    """Makes every parameter of a bad element NaN before the map.

    NaN in the draw alone would not reach the gradient of a parameter that a ``where``
    of the map cuts off.
    """

    def guarded_transform(noise, *values):
        valid = validity(constraints, values, event_ndim)
        return transform(noise, *poison_all(values, valid))

    return guarded_transform


def poison_all(values: Sequence[jax.Array], valid: jax.Array) -> list[jax.Array]:
    """Makes values of one shape NaN where they are not valid."""
    sharding = jax.typeof(valid).sharding
    return [_domains.poison(laid_out(x, sharding), valid) for x in values]


def validity(
    constraints: Callable[..., Any], values: Sequence[jax.Array], event_ndim: int
) -> jax.Array:
    """Says of each element whether the parameters of its draw lie in their domain."""
    valid = [domain.holds(x) for x, domain, _ in constraints(*values).values()]
    valid = functools.reduce(lax.bitwise_and, valid)
    if event_ndim:
        whole = jnp.all(valid, -1, keepdims=True)
        valid = jnp.broadcast_to(whole, valid.shape)
    return valid


def tempered(scores: jax.Array, temperature: jax.Array) -> jax.Array:
    """Returns ``scores / temperature`` as far as an exponential can tell.

    Where the exponential of the quotient or of its negative is 0, the quotient is
    infinite and has no gradient: it would meet those zeros as 0 * inf.
    """
    limit = -2 * float(np.log(jnp.finfo(scores.dtype).tiny))
    beyond = (jnp.abs(scores) > limit * temperature) | jnp.isinf(scores)
    finite = quotient(jnp.where(beyond, 0, scores), temperature)
    return jnp.where(beyond, jnp.where(scores > 0, jnp.inf, -jnp.inf), finite)


@jax.custom_jvp
def quotient(scores: jax.Array, temperature: jax.Array) -> jax.Array:
    """Returns ``scores / temperature``."""
    return scores / temperature


# d(s / t) = (ds - s / t dt) / t: the usual s / t^2 overflows at t = 1e-19.
@quotient.defjvp
def _quotient_jvp(primals, tangents):
    ratio = quotient(*primals)
    moved = tangents[0] - ratio * tangents[1]
    return ratio, quotient(moved, primals[1])


@jax.custom_jvp
def sigmoid(x: jax.Array) -> jax.Array:
    """Returns the logistic function, whose slope is right on both sides."""
    return lax.logistic(x)


# With 1 - sigmoid(x) = sigmoid(-x), which has its digits where sigmoid(x) rounds to 1.
@sigmoid.defjvp
def _sigmoid_jvp(primals, tangents):
    (x,) = primals
    return sigmoid(x), sigmoid(x) * sigmoid(-x) * tangents[0]


def one_hot_argmax(scores: jax.Array) -> jax.Array:
    """Marks the first largest score along the last axis."""
    index = lax.broadcasted_iota(jnp.int32, scores.shape, scores.ndim - 1)
    return jnp.argmax(scores, -1, keepdims=True).astype(jnp.int32) == index


def below_largest(scores: jax.Array, largest: jax.Array) -> jax.Array:
    """Returns the scores minus the largest of their row, which ``largest`` marks.

    The largest one is exactly 0, and no derivative passes through it: its own and that
    of ``top`` would cancel, and with them what a dominant class leaves to the others.
    """
    top = jnp.sum(jnp.where(largest, scores, 0), -1, keepdims=True)
    return jnp.where(largest & ~jnp.isnan(top), 0, scores - top)


def softmax(scores: jax.Array, largest: jax.Array, temperature: jax.Array) -> jax.Array:
    """Returns ``softmax(scores / temperature)`` along the last axis."""
    return jax.nn.softmax(tempered(below_largest(scores, largest), temperature))


def probabilities(logits: jax.Array, event_ndim: int) -> jax.Array:
    """Returns the probabilities of classes (1), or of ones (0)."""
    if not event_ndim:
        return sigmoid(logits)
    return softmax(logits, one_hot_argmax(logits), jnp.ones_like(logits))


def log_softmax(
    scores: jax.Array, largest: jax.Array, temperature: jax.Array
) -> jax.Array:
    """Returns ``log(softmax(scores / temperature))`` along the last axis."""
    below = below_largest(scores, largest)
    absent = jnp.isinf(below)
    others = jnp.where(largest, -jnp.inf, tempered(below, temperature))
    log_total = jnp.log1p(jnp.sum(jnp.exp(others), -1, keepdims=True))
    ratio = quotient(jnp.where(absent, 0, below), temperature)
    return jnp.where(absent, -jnp.inf, ratio) - log_total
