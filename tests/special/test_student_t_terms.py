import math

import mpmath
import numpy as np
import pytest

from reparam_jax.special._student_t_terms import (
    bernoulli_series,
    euler_numbers,
    expand,
    terms,
)

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def polynomial(x, coefficients):
    return sum(c * x**i for i, c in enumerate(coefficients))


def both(even, odd, q, epsilon):
    """The sum of the orders from 1 on, `odd` starting with that of order 1."""
    rows = [(2 * i + 2, row) for i, row in enumerate(even)]
    rows += [(2 * i + 1, row) for i, row in enumerate(odd)]
    return sum(epsilon**j * q ** (j % 2) * polynomial(q * q, row) for j, row in rows)


# By the coordinate x of x^2 = (df - 1/2) q, along which q and x move together.
def slope(df, q):
    def probability(df, q):
        return mpmath.betainc(df / 2, 0.5, 0, mpmath.exp(-q), regularized=True)

    by_df, by_q = (mpmath.diff(probability, (df, q), n) for n in ((1, 0), (0, 1)))
    # dx/ddf = epsilon x R, and twice its logarithm is 1 / (df - 1/2) + (dq/ddf) / q.
    return 1 - (df - 0.5) * by_df / by_q / q


def tail(df, q):
    x = mpmath.sqrt((df - 0.5) * q)
    probability = mpmath.betainc(df / 2, 0.5, 0, mpmath.exp(-q), regularized=True)
    return (probability - mpmath.erfc(x / mpmath.sqrt(2))) / (2 * x * mpmath.npdf(x))


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("part", [0.01, 0.5, 1.0])
def test_the_expansions_are_the_law_from_the_smallest_df_on(dtype, part):
    constants = terms(dtype)
    first = tuple(2 * c for c in constants.growth)
    slope_odd = (first, *constants.slope_odd)
    with mpmath.workdps(40):
        for df in (2 * constants.scheme.steps, 3 * constants.scheme.steps):
            df, q = mpmath.mpf(df), mpmath.mpf(part * constants.scheme.reach)
            epsilon = 1 / (2 * df - 1)
            actual = both(constants.slope_even, slope_odd, q, epsilon)
            assert abs(actual - slope(df, q)) < 10 * constants.scheme.drop
            actual = both(constants.tail_even, constants.tail_odd, q, epsilon)
            assert abs(actual - tail(df, q)) < 10 * constants.scheme.drop


@pytest.mark.parametrize("dtype", [F32, F64])
def test_the_ratios_of_gamma_functions_and_their_slopes(dtype):
    constants = terms(dtype)
    for a in (constants.scheme.steps, 2 * constants.scheme.steps):
        m = mpmath.mpf(a) + 0.25
        epsilon2 = 1 / (4 * m) ** 2
        ratio = mpmath.gammaprod([m + 0.75], [m + 0.25]) / mpmath.sqrt(m)
        norm = polynomial(epsilon2, constants.norm)
        assert abs(norm / ratio - 1) < 10 * constants.scheme.drop
        by_m = mpmath.digamma(m + 0.75) - mpmath.digamma(m + 0.25)
        e = epsilon2 * polynomial(epsilon2, constants.euler)
        assert abs(1 + e - 2 * m * by_m) < 10 * constants.scheme.drop


def test_growth_is_the_hyperbolic_cotangent():
    for dtype in (F32, F64):
        constants = terms(dtype)
        q = constants.scheme.reach
        g = q * q * polynomial(q * q, constants.growth)
        assert abs(g - (q / 2 / math.tanh(q / 2) - 1)) < 10 * constants.scheme.drop


def test_bernoulli_and_euler_numbers_are_the_known_ones():
    assert [720 * c for c in bernoulli_series(5)] == [0, 0, 60, 0, -1]
    assert euler_numbers(9) == [0, 0, -1, 0, 5, 0, -61, 0, 1385]


def test_the_recursion_of_a_constant_source():
    # b_0 = q: Y_1 = 2, then (q / 2) Y_2 = Y_1 + b_1 with b_1 = -2 leaves Y_2 = 0.
    assert expand([0, 1, 0], [0, -2], damping=[0, 0, 0]) == [
        [0, 0, 0],
        [2, 0, 0],
        [0, 0, 0],
    ]
