"""Discrete laws as functions of independent bits."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from reparam_jax import _checks
from reparam_jax.distributions._discrete import (
    bernoulli_logits,
    categorical_logits,
    is_one_hot,
)
from reparam_jax.distributions._structure import Distribution, unwrap

from ._estimator import instead_for


class Bits(NamedTuple):
    """Independent bits, and the draw that they make.

    Only the bits up to the first 1 are looked at.

    Args:
      logits: of the bits, along the last axis, in float32 or wider; differentiable.
      noise_shape: of one uniform for each bit, as the estimators' draws have it.
      value: bits with a leading axis of draws -> draws, as integers.
    """

    logits: jax.Array
    noise_shape: tuple[int, ...]
    value: Callable[[jax.Array], jax.Array]


def bits_of(function: str, leaf: Distribution) -> Bits:
    """Returns the bits of a law with two or with a few outcomes; raises for others."""
    logits = bernoulli_logits(leaf)
    if logits is not None:
        logits = _wide(logits)
        return Bits(
            logits[..., None], logits.shape, lambda bits: _integer(bits[..., 0])
        )
    logits = categorical_logits(leaf)
    if logits is not None:
        return _sticks(_wide(logits), one_hot=is_one_hot(leaf))
    raise TypeError(
        f"`{function}` needs Bernoulli or categorical distributions, or multinomial "
        f"ones of one trial, got {type(unwrap(leaf)).__name__}: {instead_for(leaf)} "
        "works for it."
    )


# A category is the first 1 among bits: those of breaking a stick of length 1 into the
# probabilities, in a given order. With P_k = sum of p_j over all j from k on, bit k has
#
#     theta_k = p_k / P_k,    logit_k = log p_k - log P_{k+1},
#
# and P(first 1 at k) = theta_k prod_{j<k} (1 - theta_j) = p_k. The last category
# is left when all K - 1 bits are 0. No order is biased; with the most probable category
# first, draws look at the fewest bits, and estimates mostly vary least.
#
# A probability below the smallest normal number counts as that number, which has no
# derivative: 0 * infinity would follow. No draw gets as far as its bit.
def _sticks(log_probs, *, one_hot):
    count = log_probs.shape[-1]
    tiny = jnp.finfo(log_probs.dtype).tiny
    order = jnp.argsort(lax.stop_gradient(log_probs), descending=True)
    pieces = jnp.take_along_axis(log_probs, order, -1)
    rests = lax.cumsum(jnp.exp(pieces), pieces.ndim - 1, reverse=True)
    logits = (
        jnp.maximum(pieces, jnp.log(tiny))[..., :-1]
        - jnp.log(jnp.maximum(rests, tiny))[..., 1:]
    )

    def value(bits):
        zeros = jnp.sum(_integer(jnp.cumsum(bits, -1) == 0), -1, keepdims=True)
        category = jnp.take_along_axis(order[None], zeros, -1)[..., 0]
        return jax.nn.one_hot(category, count, dtype=int) if one_hot else category

    return Bits(logits, logits.shape, value)


def reached(bits: jax.Array) -> jax.Array:
    """Whether each bit is looked at: none before it is 1."""
    return jnp.cumsum(bits, -1) == bits


def _wide(array):
    return array.astype(_checks.noise_dtype(array.dtype))


def _integer(array):
    return array.astype(jnp.result_type(int))
