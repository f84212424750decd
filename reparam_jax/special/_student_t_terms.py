"""Coefficients of the large-df expansions of the Student-t law, from exact recursions.

With epsilon = 1 / (2 df - 1) and q = log(1 + t^2 / df), the coordinate x of
x^2 = (df - 1/2) q is almost standard normal (Wallace 1959): its density is

    phi(x) n(epsilon) chi(q),   chi = sqrt((q / 2) / sinh(q / 2)) = 1 - q^2 / 48 + ...,

where n, the ratio of gamma functions that normalises it, has only even powers
(DLMF 5.11.14), as has chi:

    q chi' / chi = -g / 2,         g = (q / 2) coth(q / 2) - 1 = sum B_k q^k / k!,
    epsilon n' / n = -e / 2,       e = sum E_k epsilon^k,          k = 2, 4, 6, ...,

with the Bernoulli numbers B and the Euler numbers E. Two functions are expanded:

    dx/ddf = epsilon x R at a constant probability,
    P(|X| > x) = erfc(x / sqrt(2)) + 2 x phi(x) P.

The density f of x has d log f / ddf = epsilon (e + g), and the law is kept along the
draw: d(f dx/ddf)/dx = -df/ddf. This, and the derivative of the tail by x, give, with
x^2 = q / (2 epsilon),

    R (q / (2 epsilon) + g - 1) - 2 q R_q = e + g,
    P (q / (2 epsilon) - 1) - 2 q P_q = n chi - 1,

so that the terms of R = sum R_j(q) epsilon^j and of P follow from each other, exactly:

    (q / 2) R_{j+1} = (1 - g) R_j + 2 q R_j' + [e + g]_j,
    (q / 2) P_{j+1} = P_j + 2 q P_j' + [n chi - 1]_j.

They are even in q for even j and odd for odd j, and converge for |q| < 2 pi.
"""

import functools
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

# Orders of epsilon, and of q: more than float64 keeps.
_ORDERS, _POWERS = 12, 30


class Scheme(NamedTuple):
    """How far the expansions are used in a dtype.

    Args:
      steps: df is raised by twice this before they are used.
      reach: the largest q.
      drop: terms below it at the smallest df and the largest q are left out.
      far: beyond ``t = far sqrt(df)``, 1 is nothing beside t^2 / df.
    """

    steps: int
    reach: float
    drop: float
    far: float


# At the smallest df, where epsilon = 1 / (4 steps - 1), the terms of order j are about
# j! (2 epsilon / pi)^j: they fall below `drop` before they grow. Beyond `reach` the
# expansions are held constant; what that changes counts exp(-steps q) times.
_SCHEMES = {
    np.dtype(np.float32): Scheme(5, 2.0, 3e-7, 2.0**15),
    np.dtype(np.float64): Scheme(14, 1.5, 1e-14, 2.0**30),
}

Series = tuple[float, ...]


class Terms(NamedTuple):
    """The coefficients for a dtype, lowest power first.

    Args:
      scheme: where they hold.
      growth: of g / q^2, in q^2.
      euler: of e / epsilon^2, in epsilon^2.
      norm: of n, in epsilon^2.
      slope_even: of R_2, R_4, ..., each in q^2.
      slope_odd: of R_3 / q, R_5 / q, ..., each in q^2; R_1 is 2 g / q.
      tail_even: of P_2, P_4, ..., each in q^2.
      tail_odd: of P_1 / q, P_3 / q, ..., each in q^2.
    """

    scheme: Scheme
    growth: Series
    euler: Series
    norm: Series
    slope_even: tuple[Series, ...]
    slope_odd: tuple[Series, ...]
    tail_even: tuple[Series, ...]
    tail_odd: tuple[Series, ...]


@functools.cache
def terms(dtype: np.dtype) -> Terms:
    """Returns the coefficients that matter in a dtype.

    Args:
      dtype: float32 or float64.

    Returns:
      Python floats.
    """
    scheme = _SCHEMES[np.dtype(dtype)]
    epsilon = 1 / (4 * scheme.steps - 1)
    growth, euler = bernoulli_series(_POWERS), euler_numbers(_ORDERS)
    chi, norm = _solve(growth), _solve(euler)
    slope = expand(growth, euler, damping=growth)
    tail = expand(
        [chi[0] - 1, *chi[1:]],
        [Fraction(0), *norm[1:]],
        damping=[Fraction(0)] * len(chi),
        shape=chi,
    )

    def keep(series, x, scale=1.0):
        sizes = [abs(float(c)) * scale * x**i for i, c in enumerate(series)]
        kept = [i + 1 for i, size in enumerate(sizes) if size > scheme.drop]
        return tuple(map(float, series[: max(kept, default=0)]))

    def orders(table, first):
        parity = first % 2
        scales = [epsilon**j * scheme.reach**parity for j in range(len(table))]
        rows = (
            keep(table[j][parity::2], scheme.reach**2, scales[j])
            for j in range(first, len(table), 2)
        )
        return tuple(row for row in rows if row)

    return Terms(
        scheme,
        keep(growth[2::2], scheme.reach**2),
        keep(euler[2::2], epsilon**2),
        keep(norm[::2], epsilon**2),
        orders(slope, 2),
        orders(slope, 3),
        orders(tail, 2),
        orders(tail, 1),
    )


def expand(
    in_q: list[Fraction],
    in_epsilon: list[Fraction],
    *,
    damping: list[Fraction],
    shape: list[Fraction] | None = None,
) -> list[list[Fraction]]:
    r"""Solves ``(q / 2) Y_{j+1} = (1 - damping) Y_j + 2 q Y_j' + b_j`` from Y_0 = 0.

    Args:
      in_q: coefficients of :math:`b_0`, in q.
      in_epsilon: :math:`b_j` is this number, times ``shape``, for j > 0.
      damping: coefficients of a function of q.
      shape: coefficients of a function of q; by default, of 1.

    Returns:
      The coefficients of :math:`Y_0, Y_1, \dots`, in q.
    """
    size = len(in_q)
    shape = shape or [Fraction(1)] + [Fraction(0)] * (size - 1)
    table = [[Fraction(0)] * size]
    for order, number in enumerate(in_epsilon):
        last = table[-1]
        right = [
            (1 + 2 * i) * last[i] - _convolve(damping, last, i) for i in range(size)
        ]
        source = [number * c for c in shape] if order else in_q
        right = [x + b for x, b in zip(right, source, strict=True)]
        # What each order adds is divisible by q, and q^size is lost with it: `size` is
        # larger than what is kept by the number of orders.
        table.append([2 * x for x in right[1:]] + [Fraction(0)])
    return table


def bernoulli_series(size: int) -> list[Fraction]:
    """Returns the coefficients of ``(q / 2) coth(q / 2) - 1``, in q.

    Args:
      size: how many.

    Returns:
      Those of q^0, q^1, ...
    """
    numbers = [Fraction(1)]
    for k in range(1, size):
        sums = (math.comb(k + 1, j) * numbers[j] for j in range(k))
        numbers.append(-sum(sums, start=Fraction(0)) / (k + 1))
    return [
        Fraction(0) if k < 2 else b / math.factorial(k) for k, b in enumerate(numbers)
    ]


def euler_numbers(size: int) -> list[Fraction]:
    """Returns 0 and the Euler numbers E_1 = 0, E_2 = -1, ...

    Args:
      size: how many.

    Returns:
      One number for each order.
    """
    numbers = [Fraction(1)]
    for k in range(1, size):
        sums = (math.comb(k, j) * numbers[j] for j in range(0, k, 2))
        numbers.append(Fraction(0) if k % 2 else -sum(sums, start=Fraction(0)))
    return [Fraction(0), *numbers[1:]]


def _solve(logarithmic):
    """Solves ``x y' / y = -logarithmic / 2`` with y(0) = 1, as a series in x."""
    series = [Fraction(1)]
    for i in range(1, len(logarithmic)):
        series.append(-_convolve(logarithmic, series, i) / (2 * i))
    return series


def _convolve(first, second, index):
    return sum(
        (first[k] * second[index - k] for k in range(1, index + 1)), start=Fraction(0)
    )
