"""Moments of the lower tail of a beta law in its logit, by Gauss-Legendre quadrature.

With w = logit x, the density of the logit is ``t^a (1 - t)^b / B(a, b)``: log-concave
for every a and b, where that of t itself, or of log t, is so only for some. Relative to
its value at the draw, s below it, it is ``exp(a X + b Y)`` with

    t = sigmoid(w - s),  X = log(t / x) <= 0,  Y = log((1 - t) / (1 - x)) >= 0.

With ``p = (x - t) / (x (1 - x))``, ``X = log1p(-(1 - x) p)`` and ``Y = log1p(x p)``.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._beta_point import Point

Monomial = tuple[int, int, int]


class _Rule(NamedTuple):
    """How finely to integrate.

    Args:
      nodes: of Gauss-Legendre.
      cut: the tail ends where the density has fallen by ``exp(-cut)``.
      split_reach: where it ends in the logit, if a is below ``SPLIT_BELOW``.
      log_terms: of the series of `log1p_minus`.
    """

    nodes: int
    cut: float
    split_reach: float
    log_terms: int


# Measured over 3e4 random draws, a and b from 1e-3 to 1e6: truncation and quadrature
# together leave 1.7e-6 with 12 nodes and 4e-14 with 40.
_RULES = {
    np.dtype(np.float32): _Rule(nodes=12, cut=16.0, split_reach=7.0, log_terms=7),
    np.dtype(np.float64): _Rule(nodes=48, cut=36.0, split_reach=18.0, log_terms=17),
}

# Below this, the tail decays over a length of 1 / a, while all of its shape lies within
# a few units of the draw.
SPLIT_BELOW = 2.5


def reach(point: Point) -> jax.Array:
    """Returns how far below the draw to integrate, in the logit; a constant.

    Where a >= `SPLIT_BELOW`, to where the density has fallen by ``exp(-cut)``: its log
    is concave, so Newton's method, begun at the root for its slope and bend at the
    draw, comes down from above after one step.
    """
    rule = _RULES[point.a.dtype]
    a, b, x, y, *_ = lax.stop_gradient(point)[1:]
    n = a + b
    tiny = jnp.finfo(a.dtype).tiny
    longest = 2 * rule.cut / SPLIT_BELOW
    slope = jnp.maximum(-lax.stop_gradient(point.excess), 0)
    s = 2 * rule.cut / (slope + jnp.sqrt(slope**2 + 2 * rule.cut * n * x * y) + tiny)
    for _ in range(3):
        s = jnp.minimum(s, longest)
        part = x * jnp.expm1(-s)
        fall = a * s + n * jnp.log1p(part)
        steep = a - n * (x + part) / (1 + part)
        s = jnp.maximum(s + (rule.cut - fall) / jnp.maximum(steep, tiny), tiny)
    return jnp.where(a < SPLIT_BELOW, rule.split_reach, jnp.minimum(s, longest))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def moments(
    monomials: tuple[Monomial, ...],
    a: jax.Array,
    b: jax.Array,
    logit: jax.Array,
    point: Point,
    length: jax.Array,
) -> tuple[jax.Array, ...]:
    """Integrates monomials ``X^i Y^j p^k exp(a X + b Y)`` over s from 0 to a length.

    Args:
      monomials: the powers (i, j, k).
      a: first concentration.
      b: second concentration.
      logit: of the draw; only its tangent is used.
      point: the draw; its tangents follow from those of ``logit``.
      length: from `reach`; a constant.

    Returns:
      An integral for each monomial.
    """
    del logit
    rule = _RULES[a.dtype]
    x, y, excess = point.x, point.y, point.excess
    nodes, weights = (jnp.asarray(v, a.dtype) for v in _nodes(rule.nodes))

    def add(index, sums):
        s = length * nodes[index]
        tanh = jnp.tanh(s / 2)
        p = lax.optimization_barrier(2 * tanh / (1 + (y * tanh - x * tanh)))
        # Terms linear in p add up to excess * p, in which large a and b do not cancel;
        # what they leave is negative, for both.
        log_y = lax.optimization_barrier(jnp.log(1 + x * p))
        bend_x = log1p_minus(-(y * p), log_y - s)
        bend_y = log1p_minus(x * p, log_y)
        bend_x, bend_y = lax.optimization_barrier((bend_x, bend_y))
        density = jnp.exp(excess * p + a * bend_x + b * bend_y)
        density = lax.optimization_barrier(density * (length * weights[index]))
        powers = bend_x - y * p, bend_y + x * p, p
        return tuple(
            sum_ + functools.reduce(lax.mul, _factors(powers, monomial), density)
            for sum_, monomial in zip(sums, monomials, strict=True)
        )

    zeros = (jnp.zeros_like(x),) * len(monomials)
    return lax.fori_loop(0, rule.nodes, add, zeros)


# The monomials are closed under differentiation, so derivatives of every order are
# integrals in one loop: d log density = X da + Y db + (a + b) x y p dw at fixed s,
# while dX / dw = dY / dw = x y p and dp / dw = x y p^2.
@moments.defjvp
def _moments_jvp(monomials, primals, tangents):
    a, b, _, point, _ = primals
    a_dot, b_dot, logit_dot = tangents[:3]
    wanted = dict.fromkeys(monomials)
    for i, j, k in monomials:
        wanted |= {(i + 1, j, k): None, (i, j + 1, k): None, (i, j, k + 1): None}
        wanted |= {(i - 1, j, k + 1): None} if i else {}
        wanted |= {(i, j - 1, k + 1): None} if j else {}
    wanted = tuple(wanted)
    found = dict(zip(wanted, moments(wanted, *primals), strict=True))
    # x y times the tangent of the logit: of no use to a moment but as this product.
    shift = point.x * point.y * logit_dot
    dots = []
    for i, j, k in monomials:
        along = (a + b + k) * found[i, j, k + 1]
        along += i * found[i - 1, j, k + 1] if i else 0
        along += j * found[i, j - 1, k + 1] if j else 0
        dot = found[i + 1, j, k] * a_dot + found[i, j + 1, k] * b_dot + along * shift
        dots.append(dot)
    return tuple(found[monomial] for monomial in monomials), tuple(dots)


def _factors(powers, monomial):
    return [
        power
        for power, times in zip(powers, monomial, strict=True)
        for _ in range(times)
    ]


def _nodes(count):
    """Returns nodes and weights on (0, 1), denser near 0, at the draw."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    even = (1 + nodes) / 2
    return (even + 0.3 * even**2) / 1.3, weights / 2 * (1 + 0.6 * even) / 1.3


def log1p_minus(u: jax.Array, log1p_u: jax.Array) -> jax.Array:
    """Returns ``log1p(u) - u``, given a plain ``log1p(u)`` for where u is not small."""
    small = jnp.abs(u) < 0.5
    near = jnp.where(small, u, 0)
    ratio = near / (2 + near)
    square = ratio * ratio
    # log1p(u) = 2 atanh(ratio), and u - 2 ratio = u ratio.
    series = jnp.zeros_like(u)
    for power in range(2 * _RULES[u.dtype].log_terms + 1, 2, -2):
        series = series * square + 2 / power
    return jnp.where(small, ratio * (square * series - near), log1p_u - u)
