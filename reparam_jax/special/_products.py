"""Exponentials of products, to the last few bits also for large products."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


# A rounded product is off by half an ulp of its own, which the exponential magnifies by
# the product: 44 ulp at exp(-88). The leading halves of both factors multiply without
# rounding, and what is left is small (Cody, Math. Comp. 23, 1969, section 4, for erfc).
# They count as constants: the small term alone has the derivatives of the product.
def exp_of_product(
    first: jax.Array, second: jax.Array, rest: jax.Array | float = 0.0
) -> jax.Array:
    """Returns ``exp(first * second + rest)``, for a small ``rest``."""
    head, head2 = _leading_half(first), _leading_half(second)
    product = head * head2
    small = head * (second - head2) + (first - head) * second + rest
    # Far beyond the range of the exponential the rest is not small any more.
    in_range = jnp.abs(product) < 2 * np.log(jnp.finfo(product.dtype).max)
    # The barrier keeps XLA from making one exponential of the two.
    leading = lax.optimization_barrier(jnp.exp(product))
    return leading * jnp.exp(jnp.where(in_range, small, 0))


def _leading_half(x):
    info = jnp.finfo(x.dtype)
    return lax.stop_gradient(lax.reduce_precision(x, info.nexp, (info.nmant - 1) // 2))


def sum_error(large: jax.Array, small: jax.Array) -> jax.Array:
    """Returns ``large + small`` less its rounded value, without derivative."""
    # Exact for abs(large) >= abs(small) (Dekker, Numer. Math. 18, 1971).
    # The barrier keeps XLA from cancelling the larger number.
    total = lax.optimization_barrier(lax.stop_gradient(large + small))
    return lax.stop_gradient(small - (total - large))
