import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from reparam_jax.special import _gamma_float32


def coefficients(order, terms):
    """Taylor coefficients of F_0 ... F_order at 0, by the recursion in mpmath."""
    growth = [mpmath.mpf(1) / mpmath.factorial(k + 1) for k in range(terms)]

    def over_growth(series):  # series / ((e^x - 1) / x)
        result = []
        for k in range(len(series)):
            known = sum(result[j] * growth[k - j] for j in range(k))
            result.append(series[k] - known)
        return result

    rows = [over_growth([mpmath.mpf(1)] + [mpmath.mpf(0)] * (terms - 1))]
    for k in range(1, order + 1):
        slope = [j * c for j, c in enumerate(rows[-1])][1:]
        # d_1 = 1 / 2, d_k = B_k / k, of log a - psi(a).
        slope[0] += mpmath.mpf(1) / 2 if k == 1 else mpmath.bernoulli(k) / k
        assert abs(slope[0]) < 1e-30  # F_k is regular
        rows.append(over_growth(slope[1:]))
    return rows


def evaluate(series, x):
    return mpmath.fsum(c * x**k for k, c in enumerate(series))


@pytest.mark.parametrize("order", range(7))
def test_rows_of_the_expansion_are_those_of_the_recursion(order):
    with mpmath.workdps(60):
        rows = coefficients(6, 80)
        for x in map(mpmath.mpf, np.linspace(-2.5, 1.5, 21).tolist()):
            row = _gamma_float32._EXPANSION[order]
            error = evaluate(row, x) - evaluate(rows[order], x)
            assert abs(error / evaluate(rows[0], x)) / 6**order < 4e-8


def test_the_rule_of_the_tail_integrates_the_tails():
    """Against Gauss-Legendre quadrature with 400 nodes, in float64."""
    generator = np.random.default_rng(0)
    a = generator.uniform(0, 6, 200)
    z = (a + 0.56) * (1 + 10 ** generator.uniform(-4, 3, 200))
    excess = z - a - 6
    scale = np.log1p(24 / (excess + np.sqrt(excess**2 + 24 * z)))
    y, weights = np.polynomial.legendre.leggauss(400)
    many = np.stack([2.5 * (y + 1), 2.5 * weights], 1)
    for power, bound in ((0, 1e-7), (1, 1e-7), (2, 1e-6)):

        def integral(rule, power=power):
            s = scale[:, None] * rule[:, 0]
            decay = np.exp(a[:, None] * s - z[:, None] * np.expm1(s))
            return (s**power * decay) @ rule[:, 1]

        few = integral(np.array(_gamma_float32._NODES))
        assert np.max(np.abs(few / integral(many) - 1)) < bound


@pytest.mark.parametrize(
    ("a", "ratio"),
    [(a, (a + 0.56) / a) for a in (1e-3, 0.4, 2.0, 5.9)]  # series and integral
    + [(6.0, r) for r in (0.3, 0.9, 1.05)]  # series and expansion
    + [(6.0, r) for r in (1.2, 3.0)]  # integral and expansion
    + [(a, 0.1) for a in (7.0, 1e3, 1e6)]  # expansion and series
    + [(a, np.exp(1.5)) for a in (7.0, 1e3, 1e6)],  # expansion and integral
)
def test_methods_agree_where_they_meet(a, ratio):
    def slope(a, z):
        a, z = jnp.float32(a), jnp.float32(z)
        return float(_gamma_float32.log_slope(a, z, lambda b: jnp.log(z / b)))

    near = 1e-6
    if a == 6:
        sides = slope(a * (1 - near), ratio * a), slope(a * (1 + near), ratio * a)
    else:
        sides = slope(a, ratio * a * (1 - near)), slope(a, ratio * a * (1 + near))
    assert abs(sides[0] / sides[1] - 1) < 5e-6
