"""Differences of digammas, without cancellation."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class _Rule(NamedTuple):
    """How far to shift the argument, and how many terms the series then needs."""

    shift: int
    terms: int


_RULES = {np.dtype(np.float32): _Rule(4, 4), np.dtype(np.float64): _Rule(8, 8)}
# log z - digamma(z) = 1 / (2 z) + sum of B_2k / (2 k z^2k), k from 1 (DLMF 5.11.2).
_SERIES = (
    1 / 12,
    -1 / 120,
    1 / 252,
    -1 / 240,
    1 / 132,
    -691 / 32760,
    1 / 12,
    -3617 / 8160,
)


def digamma_lag(a: jax.Array, b: jax.Array) -> jax.Array:
    r"""Returns how far digamma falls behind the log, but for its pole at 0.

    .. math:: \psi(n) - \psi(a) - \log(n / a) - b / (a n), \qquad n = a + b,

    to rounding of b / (a n), for all positive a and b: the recurrence of digamma adds
    terms of one sign, and the asymptotic series of both are subtracted term by term
    (as TOMS 708 does with those of log-gamma, in its ``algdiv``).
    """
    shift, terms = _RULES[a.dtype]
    n = a + b
    lag = jnp.zeros_like(a)
    for step in range(1, shift):
        lag = lag + b / ((a + step) * (n + step))
    a_up, n_up = a + shift, n + shift
    # log((n + shift) / (a + shift)) - log(n / a), whichever way it is precise.
    ratio = (a / n) * (n_up / a_up)
    far = ratio < 0.5
    less_1 = jnp.where(far, 0, -shift * (b / n) / a_up)
    log_ratio = jnp.where(far, jnp.log(ratio), jnp.log1p(less_1))
    # Of two powers h^2k - i^2k, what h^2 - i^2 leaves: the sum of all products of h^2
    # and i^2 of that degree.
    h, i = 1 / a_up, 1 / n_up
    powers, i_power = jnp.ones_like(a), jnp.ones_like(a)
    series = jnp.zeros_like(a)
    for coefficient in _SERIES[:terms]:
        series = series + coefficient * powers
        i_power = i_power * (i * i)
        powers = powers * (h * h) + i_power
    return lag + log_ratio + b * h * i * (0.5 + (h + i) * series)
