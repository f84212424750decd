"""A beta draw as its kernels need it: every difference precise in its own right."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ._two_floats import exp_and_expm1, two_product, two_sum


class Point(NamedTuple):
    """A draw x from Beta(a, b), of mean a / (a + b), seen so that it lies low.

    Args:
      upper: whether it lay high: then x is one less the draw, a and b swapped.
      a: the first concentration.
      b: the second concentration.
      x: the draw.
      y: ``1 - x``.
      log_y: ``log(1 - x)``.
      logit: ``log(x / (1 - x))``.
      excess: ``(a + b) x - a``, which is small beside its terms where a + b is large.
      log_ratio_x: ``log(x (a + b) / a)``: of the draw to its mean.
      log_ratio_y: ``log(y (a + b) / b)``: of one less the draw to its mean.
    """

    upper: jax.Array
    a: jax.Array
    b: jax.Array
    x: jax.Array
    y: jax.Array
    log_y: jax.Array
    logit: jax.Array
    excess: jax.Array
    log_ratio_x: jax.Array
    log_ratio_y: jax.Array


def point_of(a: jax.Array, b: jax.Array, x: jax.Array) -> Point:
    """Returns the point of a draw, of which ``x`` is taken as exact."""
    return point_at(a, b, x, jnp.log(x), jnp.log1p(-x))


def point_at(
    a: jax.Array, b: jax.Array, x: jax.Array, log_x: jax.Array, log_y: jax.Array
) -> Point:
    """Returns the point of an exact draw, whose tangents are those of its logs."""
    zero = jnp.zeros_like(x)
    return _point(a, b, (x, zero), (1 - x, zero), log_x, log_y)


def point_of_logs(
    a: jax.Array, b: jax.Array, log_x: jax.Array, log_y: jax.Array
) -> Point:
    """Returns the point of a draw, of which ``log_x`` is taken as exact."""
    x, y = lax.stop_gradient(exp_and_expm1(log_x))
    return _point(a, b, x, y, log_x, log_y)


def _point(a, b, x, y, log_x, log_y):
    upper = x[0] * (a + b + 1) > a + 0.5

    def swap(low, high):
        return jnp.where(upper, high, low), jnp.where(upper, low, high)

    a, b = swap(a, b)
    log_x, log_y = swap(log_x, log_y)
    parts = [swap(*pair) for pair in zip(x, y, strict=True)]
    x, y = zip(*lax.stop_gradient(parts), strict=True)
    return Point(upper, a, b, *_features(a, b, x, y, log_x, log_y))


@jax.custom_jvp
def _features(a, b, x, y, log_x, log_y):
    n, n_low = two_sum(a, b)
    # From the smaller of x and y, which has the smaller rounding error.
    small = x[0] < 0.5
    part, part_low = (jnp.where(small, *pair) for pair in zip(x, y, strict=True))
    mean = jnp.where(small, a, b)
    product, product_low = two_product(n, part)
    excess = (product - mean) + (product_low + (n * part_low + n_low * part))
    excess = lax.optimization_barrier(jnp.where(small, excess, -excess))
    return (
        x[0],
        y[0],
        log_y,
        log_x - log_y,
        excess,
        _log_ratio(excess, a, n, x[0], log_x),
        _log_ratio(-excess, b, n, y[0], log_y),
    )


def _log_ratio(excess, c, n, part, log_part):
    """Returns ``log(part * n / c)``, where ``part * n`` is ``c + excess``."""
    near = excess > -0.5 * c
    # Where the part itself may underflow, the logs are large, and so is their sum.
    low = part < 1e-30
    far = jnp.log(jnp.where(low, 1, part) * (n / c)) + jnp.where(low, log_part, 0)
    return jnp.where(near, jnp.log1p(jnp.where(near, excess, 0) / c), far)


# All tangents follow from those of the logs. Each is a sum of terms of one sign where
# that matters: n_dot / n - a_dot / a is (a b_dot - b a_dot) / (a n).
@_features.defjvp
def _features_jvp(primals, tangents):
    a, b = primals[:2]
    a_dot, b_dot, _, _, log_x_dot, log_y_dot = tangents
    features = _features(*primals)
    x, y = features[:2]
    n = a + b
    x_dot, y_dot = x * log_x_dot, y * log_y_dot
    shift = jnp.where(x < 0.5, x_dot, -y_dot)
    return features, (
        x_dot,
        y_dot,
        log_y_dot,
        log_x_dot - log_y_dot,
        n * shift - y * a_dot + x * b_dot,
        log_x_dot + (a * b_dot - b * a_dot) / (a * n),
        log_y_dot + (b * a_dot - a * b_dot) / (b * n),
    )
