"""Slopes of a beta draw's logit in its concentrations."""

import jax
import jax.numpy as jnp

from ._beta_point import Point
from ._beta_tail import SPLIT_BELOW, moments, reach
from ._digamma_difference import digamma_lag
from ._elementwise import hold


def logit_slopes(point: Point) -> tuple[jax.Array, jax.Array]:
    """Returns the derivatives of logit x in a and in b, along the draw's quantile."""
    near, far = _lower(point)
    upper = point.upper
    return jnp.where(upper, far, near), -jnp.where(upper, near, far)


def _lower(point):
    point = hold(point)
    a, b, log_y = point.a, point.b, point.log_y
    n = a + b
    split = a < SPLIT_BELOW
    length = hold(reach(point))
    zeroth, in_x, in_y = moments(
        ((0, 0, 0), (1, 0, 0), (0, 1, 0)), a, b, point.logit, point, length
    )
    lag = digamma_lag(a, b) + jnp.where(split, -1 / n, b / (a * n))
    score_x = -point.log_ratio_x - lag
    lag_y = digamma_lag(b, a) + a / (b * n)
    score_x, lag_y = hold((score_x, lag_y))
    score_y = point.log_ratio_y + lag_y

    tail = score_x + log_y
    mean_y = lag_y + jnp.log1p(a / b)
    left = jnp.exp(jnp.where(split, -n * log_y - a * length, -1e3))
    ratio = jnp.exp(jnp.where(split, point.logit, 0) - length)
    left, ratio, mean_y = hold((left, ratio, mean_y))
    up = 1 + a
    curve_x = (1 - n * (tail + length - 1 / a + 1 / up)) / up
    curve_y = (1 + n * mean_y) / up
    slope_x = jnp.where(split, score_x - 1 / a, score_x) * zeroth - in_x
    slope_x += left * ((tail + length) / a + ratio * curve_x)
    slope_y = score_y * zeroth + in_y
    slope_y += left * (mean_y / a - ratio * curve_y)
    return slope_x, slope_y
