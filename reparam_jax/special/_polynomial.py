"""Polynomials with constant coefficients."""

import functools

import jax


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def polynomial(coefficients: tuple[float, ...], x: jax.Array) -> jax.Array:
    """Returns ``coefficients[0] + coefficients[1] * x + ...``, by Horner's rule."""
    return horner(coefficients, x)


# Written out, the derivative is one polynomial, the same for every tangent; the
# derivative of Horner's rule itself costs three times as much, for each tangent.
@polynomial.defjvp
def _polynomial_jvp(coefficients, primals, tangents):
    (x,), (x_dot,) = primals, tangents
    slope = tuple(k * c for k, c in enumerate(coefficients))[1:] or (0.0,)
    return polynomial(coefficients, x), polynomial(slope, x) * x_dot


def horner(coefficients: list[jax.Array] | tuple, x: jax.Array) -> jax.Array:
    """Returns the same for coefficients that may be arrays."""
    *rest, total = coefficients
    if not rest:
        return total * (0 * x + 1)
    for coefficient in reversed(rest):
        total = total * x + coefficient
    return total
