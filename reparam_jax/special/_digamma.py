"""The digamma function in plain arithmetic, to differentiate to any order."""

import jax
import jax.numpy as jnp
import numpy as np

from ._polynomial import polynomial

# psi(x + 1) - log x = 1 / (2 x) - sum_k B_2k / (2k x^2k) (DLMF 5.11.2): the terms after
# the first, in powers of 1 / x^2. From `lowest` on, the next one is below a quarter of
# the last place of 1.
_TERMS = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
_FLOAT32_TERMS = 3


def lowest(dtype: np.dtype) -> int:
    """Returns the argument from which :func:`digamma_above_log` may be used."""
    return 6 if dtype == np.float32 else 10


def digamma_above_log(x: jax.Array) -> jax.Array:
    """Returns ``digamma(x + 1) - log(x)``, relative error that of its operations.

    Args:
      x: of float32 or float64, at least ``lowest(x.dtype)``.
    """
    terms = _TERMS[:_FLOAT32_TERMS] if x.dtype == np.float32 else _TERMS
    inverse = 1 / x
    square = inverse * inverse
    return 0.5 * inverse - square * polynomial(terms, square)


def digamma(x: jax.Array) -> jax.Array:
    """Returns the digamma function of x > 0, to a few last places of max(1, result).

    Args:
      x: of float32 or float64.
    """
    steps = lowest(x.dtype)
    small = x < steps
    shifted = jnp.where(small, x + steps, x)
    by_expansion = digamma_above_log(shifted) - 1 / shifted + jnp.log(shifted)
    # psi(x + 1) = psi(x) + 1 / x.
    return by_expansion - jnp.where(small, sum(1 / (x + k) for k in range(steps)), 0)
