r"""What one outcome adds to a Kullback-Leibler divergence.

.. math:: p \log(p / q) - p + q \ge 0

Added up over all outcomes, the last two cancel. They make each term positive, so that
the divergence of laws close to each other is precise, and stationary where p = q.
"""

import jax
import jax.numpy as jnp

from reparam_jax.special._log_terms import expm1_excess, log_ratio_excess, xlogy

from ._elementwise import elementwise

_ZERO = jax.custom_derivatives.SymbolicZero


@elementwise
def term_of_logs(log_p: jax.Array, log_q: jax.Array) -> jax.Array:
    """The term, from the logs of both probabilities, which may be -inf."""
    none = log_p == -jnp.inf
    difference = jnp.where(none, 0, log_p) - jnp.where(none, 0, log_q)
    near = jnp.abs(difference) < 1
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    close = p * expm1_excess(-jnp.where(near, difference, 0))
    far = jnp.where(p == 0, 0, p * jnp.where(p == 0, 0, difference)) - p + q
    return jnp.where(near & ~none, close, far)


@elementwise
def term_of_log_prob(log_p: jax.Array, q: jax.Array) -> jax.Array:
    """The term, from the log of the first and from the second probability."""
    p = jnp.exp(log_p)
    none = p == 0
    logs = jnp.where(none, 0, log_p) - jnp.log(jnp.where(none, 1, q))
    return jnp.where(none, 0, p * logs) - p + q


@elementwise
def term_of_prob_log(p: jax.Array, log_q: jax.Array) -> jax.Array:
    """The term, from the first and from the log of the second probability."""
    none = p == 0
    cross = jnp.where(none, 0, p * jnp.where(none, 0, log_q))
    return xlogy(p, p) - cross - p + jnp.exp(log_q)


@elementwise
def term_of_probs(p: jax.Array, q: jax.Array) -> jax.Array:
    """The term, from both probabilities, or rates."""
    return _term_of_probs(p, q)


@jax.custom_jvp
def _term_of_probs(p, q):
    none = p == 0
    safe_p, safe_q = jnp.where(none, 1, p), jnp.where(none, 1, q)
    return jnp.where(none, q, -safe_p * log_ratio_excess(safe_q, safe_p))


def _term_jvp(primals, tangents):
    p, q = primals
    total = jnp.zeros_like(p)
    if not isinstance(tangents[0], _ZERO):
        total = total + tangents[0] * (jnp.log(p) - jnp.log(q))
    if not isinstance(tangents[1], _ZERO):
        total = total + tangents[1] * (q - p) / jnp.where((p == 0) & (q == 0), 1, q)
        total = total + jnp.where((p == 0) & (q == 0), tangents[1], 0)
    return _term_of_probs(p, q), total


_term_of_probs.defjvp(_term_jvp, symbolic_zeros=True)
