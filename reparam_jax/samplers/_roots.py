"""Roots that can be differentiated at 0."""

import jax
import jax.numpy as jnp
from jax import lax


# d sqrt(x) = dx / (2 sqrt(x)), and 0 where x is 0 or subnormal, so that neither inf nor
# NaN arises, masked or not. The doubling is exact; `0.5 / sqrt(x)`, JAX's own rule, XLA
# rewrites to a reciprocal root of lower accuracy. Negative numbers take the ordinary
# branch: NaN there, in derivatives of every order.
@jax.custom_jvp
def sqrt(x: jax.Array) -> jax.Array:
    """Returns the square root, with slope 0 at 0 and at subnormal numbers."""
    zero, one = lax.full_like(x, 0), lax.full_like(x, 1)
    tiny = lax.full_like(x, jnp.finfo(x.dtype).tiny)
    flat = lax.lt(lax.abs(x), tiny)
    return lax.select(flat, zero, lax.sqrt(lax.select(flat, one, x)))


@sqrt.defjvp
def _sqrt_jvp(primals, tangents):
    root = sqrt(*primals)
    zero, one = lax.full_like(root, 0), lax.full_like(root, 1)
    flat = lax.eq(root, zero)
    safe_root = lax.select(flat, one, root)
    slope = lax.select(flat, zero, lax.div(one, lax.add(safe_root, safe_root)))
    return root, lax.mul(slope, tangents[0])


def root(x: jax.Array, degree: jax.Array) -> jax.Array:
    """Returns ``x^(1 / degree)`` for ``x >= 0``; at 0 all its slopes are 0."""
    zero, one = lax.full_like(x, 0), lax.full_like(x, 1)
    flat = lax.eq(x, zero)
    log = lax.log(lax.select(flat, one, x))
    return lax.select(flat, zero, exp_of_part(log, degree))


def exp_of_part(exponent: jax.Array, divisor: jax.Array) -> jax.Array:
    """Returns ``exp(exponent / divisor)``, rounded alike in every program.

    XLA turns the division by a constant into a product with its reciprocal, so it is
    always done so here: the exponential would magnify the difference.
    """
    reciprocal = lax.div(lax.full_like(divisor, 1), divisor)
    return lax.exp(lax.mul(exponent, reciprocal))
