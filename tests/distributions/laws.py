"""Every law of NumPyro with its log-density in arbitrary precision."""

# ruff: noqa: RUF005

from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath as mp
import numpyro.distributions as dist


class Law(NamedTuple):
    """A family, how it is built, its exact log-density, and points to look at.

    Args:
      name: of the row.
      make: parameters, as keywords, to the distribution.
      log_density: value, and parameters as keywords, to a number of mpmath.
      points: pairs of a value and of the parameters.
      fixed: names of the parameters that are not differentiated.
      discrete: whether the value is not differentiated either.
    """

    name: str
    make: Callable[..., Any]
    log_density: Callable[..., Any]
    points: list[tuple[Any, dict[str, Any]]]
    fixed: tuple[str, ...] = ()
    discrete: bool = False


LAWS: list[Law] = []


def _law(name, make, log_density, points, fixed=(), discrete=False):
    LAWS.append(Law(name, make, log_density, points, fixed, discrete))


def _count(name, make, log_density, points, fixed=()):
    _law(name, make, log_density, points, fixed, True)


def xlogy(x, y):
    return mp.mpf(0) if x == 0 else x * mp.log(y)


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def log_sigmoid(x):
    return -mp.log1p(mp.exp(-x)) if x > -30 else x - mp.log1p(mp.exp(x))


def log_choose(n, k):
    return mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1)


LOGITS = (0.0, 1.5, -0.75, 50.0, -50.0, 200.0, -200.0)
PROBS = (0.5, 0.125, 0.999, 1e-6, 1e-30)

_count(
    "BernoulliLogits",
    lambda logits: dist.BernoulliLogits(logits),
    lambda x, logits: log_sigmoid(logits if x else -logits),
    [(x, {"logits": logit}) for logit in LOGITS for x in (0, 1)],
)
_count(
    "BernoulliProbs",
    lambda probs: dist.BernoulliProbs(probs),
    lambda x, probs: mp.log(probs) if x else mp.log(1 - probs),
    [(x, {"probs": p}) for p in (*PROBS, 1 - 2**-24) for x in (0, 1)]
    + [(0, {"probs": 0.0}), (1, {"probs": 1.0})],
)
_count(
    "BinomialLogits",
    lambda logits, n: dist.BinomialLogits(logits, n),
    lambda x, logits, n: (
        x * log_sigmoid(logits) + (n - x) * log_sigmoid(-logits) + log_choose(n, x)
    ),
    [(x, {"logits": logit, "n": 10}) for logit in LOGITS for x in (0, 3, 10)],
    ("n",),
)
_count(
    "BinomialProbs",
    lambda probs, n: dist.BinomialProbs(probs, n),
    lambda x, probs, n: xlogy(x, probs) + xlogy(n - x, 1 - probs) + log_choose(n, x),
    [(x, {"probs": p, "n": 10}) for p in PROBS for x in (0, 3, 10)]
    + [(0, {"probs": 0.0, "n": 10}), (10, {"probs": 1.0, "n": 10})],
    ("n",),
)
_count(
    "GeometricLogits",
    lambda logits: dist.GeometricLogits(logits),
    lambda x, logits: log_sigmoid(logits) + x * log_sigmoid(-logits),
    [(x, {"logits": logit}) for logit in LOGITS for x in (0, 1, 5)],
)
_count(
    "GeometricProbs",
    lambda probs: dist.GeometricProbs(probs),
    lambda x, probs: mp.log(probs) + xlogy(x, 1 - probs),
    [(x, {"probs": p}) for p in PROBS for x in (0, 1, 5)] + [(0, {"probs": 1.0})],
)


def _log_softmax(logits, k):
    return logits[k] - mp.log(mp.fsum(mp.exp(logit) for logit in logits))


_VECTORS = (
    [0.0, 0.0, 0.0],
    [1.5, -0.5, 0.25],
    [200.0, -200.0, 0.0],
    [-50.0, 50.0, 0.0],
)
_SIMPLEX = ([0.25, 0.25, 0.5], [0.0, 0.5, 0.5], [1e-30, 0.5, 0.5])
_count(
    "CategoricalLogits",
    lambda logits: dist.CategoricalLogits(logits),
    lambda x, logits: _log_softmax(logits, int(x)),
    [(x, {"logits": logit}) for logit in _VECTORS for x in range(3)],
)
_count(
    "CategoricalProbs",
    lambda probs: dist.CategoricalProbs(probs),
    lambda x, probs: mp.log(probs[int(x)] / mp.fsum(probs)),
    [(x, {"probs": p}) for p in _SIMPLEX for x in (1, 2)],
)
_count(
    "MultinomialLogits",
    lambda logits: dist.MultinomialLogits(logits, total_count=4),
    lambda x, logits: (
        mp.loggamma(5)
        + mp.fsum(
            n * _log_softmax(logits, k) - mp.loggamma(n + 1) for k, n in enumerate(x)
        )
    ),
    [(x, {"logits": logit}) for logit in _VECTORS for x in ([4, 0, 0], [1, 2, 1])],
)
_count(
    "MultinomialProbs",
    lambda probs: dist.MultinomialProbs(probs, total_count=4),
    lambda x, probs: (
        mp.loggamma(5)
        + mp.fsum(
            xlogy(n, p / mp.fsum(probs)) - mp.loggamma(n + 1)
            for n, p in zip(x, probs, strict=True)
        )
    ),
    [(x, {"probs": p}) for p in _SIMPLEX for x in ([0, 0, 4], [0, 3, 1])],
)


def _ordered(x, predictor, cutpoints):
    with mp.extradps(200):
        chances = [mp.mpf(0), *(sigmoid(c - predictor) for c in cutpoints), mp.mpf(1)]
        return mp.log(chances[int(x) + 1] - chances[int(x)])


_count(
    "OrderedLogistic",
    lambda predictor, cutpoints: dist.OrderedLogistic(predictor, cutpoints),
    _ordered,
    [
        (x, {"predictor": p, "cutpoints": [-1.0, 0.0, 2.0]})
        for p in (0.0, 1.0, -30.0, 60.0)
        for x in range(4)
    ],
)
_count(
    "Poisson",
    lambda rate: dist.Poisson(rate),
    lambda x, rate: xlogy(x, rate) - rate - mp.loggamma(x + 1),
    [(0, {"rate": 0.0}), (0, {"rate": 2.5}), (3, {"rate": 2.5}), (1, {"rate": 1e-20})]
    + [
        (1_000_500, {"rate": 1e6}),
        (2**20, {"rate": float(2**20)}),
        (7, {"rate": 30.0}),
    ],
)
_GATED = [
    (x, {"gate": g, "rate": r})
    for x in (0, 2)
    for g, r in ((0.25, 1.5), (0.0, 0.5), (1e-4, 40.0))
]
_count(
    "ZeroInflatedPoisson",
    lambda gate, rate: dist.ZeroInflatedPoisson(gate, rate),
    lambda x, gate, rate: (
        mp.log(gate + (1 - gate) * mp.exp(-rate))
        if x == 0
        else mp.log(1 - gate) + x * mp.log(rate) - rate - mp.loggamma(x + 1)
    ),
    [*_GATED, (0, {"gate": 1.0, "rate": 2.0}), (0, {"gate": 0.0, "rate": 30.0})],
)
_count(
    "ZeroInflatedLogits",
    lambda gate_logits, logits: dist.ZeroInflatedLogits(
        dist.GeometricLogits(logits), gate_logits
    ),
    lambda x, gate_logits, logits: mp.log(
        (sigmoid(gate_logits) if x == 0 else 0)
        + sigmoid(-gate_logits) * sigmoid(logits) * sigmoid(-logits) ** x
    ),
    [
        (x, {"gate_logits": g, "logits": logit})
        for x in (0, 2)
        for g, logit in ((0.0, 0.0), (1.5, -1.0), (50.0, 0.0), (-50.0, 0.0))
    ],
)
_count(
    "HurdlePoisson",
    lambda gate, rate: dist.HurdlePoisson(gate, rate),
    lambda x, gate, rate: (
        mp.log(gate)
        if x == 0
        else mp.log(1 - gate)
        + x * mp.log(rate)
        - rate
        - mp.loggamma(x + 1)
        - mp.log(-mp.expm1(-rate))
    ),
    [
        (x, {"gate": g, "rate": r})
        for x in (0, 1, 4)
        for g, r in ((0.25, 1.5), (0.5, 1e-3), (0.5, 60.0))
    ],
)
_law(
    "HurdleGamma",
    lambda gate, c, r: dist.HurdleGamma(gate, c, r),
    lambda x, gate, c, r: (
        mp.log(1 - gate) + c * mp.log(r) + (c - 1) * mp.log(x) - r * x - mp.loggamma(c)
    ),
    [
        (0.7, {"gate": 0.25, "c": 1.0, "r": 2.0}),
        (3.0, {"gate": 0.5, "c": 2.5, "r": 0.5}),
    ],
)


def _log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


_CONCENTRATIONS = ((1.0, 1.0), (0.5, 2.5), (1e6, 2e6), (1e-3, 3.0), (40.0, 1e-2))
_count(
    "BetaBinomial",
    lambda c1, c0: dist.BetaBinomial(c1, c0, total_count=8),
    lambda x, c1, c0: (
        log_choose(8, x) + _log_beta(x + c1, 8 - x + c0) - _log_beta(c1, c0)
    ),
    [(x, {"c1": a, "c0": b}) for a, b in _CONCENTRATIONS for x in (0, 3, 8)],
)
_count(
    "BetaNegativeBinomial",
    lambda c1, c0, n: dist.BetaNegativeBinomial(c1, c0, n),
    lambda x, c1, c0, n: (
        mp.loggamma(n + x)
        - mp.loggamma(n)
        - mp.loggamma(x + 1)
        + _log_beta(c1 + x, c0 + n)
        - _log_beta(c1, c0)
    ),
    [
        (x, {"c1": a, "c0": b, "n": 3.5})
        for a, b in ((1.0, 1.0), (0.5, 2.5), (30.0, 1e-2))
        for x in (0, 3, 50)
    ],
)
_count(
    "DirichletMultinomial",
    lambda c: dist.DirichletMultinomial(c, total_count=5),
    lambda x, c: (
        mp.loggamma(6)
        - mp.fsum(mp.loggamma(n + 1) for n in x)
        + mp.loggamma(mp.fsum(c))
        - mp.loggamma(mp.fsum(c) + 5)
        + mp.fsum(
            mp.loggamma(a + n) - mp.loggamma(a) for a, n in zip(c, x, strict=True)
        )
    ),
    [
        (x, {"c": c})
        for c in ([1.0, 1.0, 1.0], [0.5, 2.0, 1e-3], [1e6, 2e6, 1e6])
        for x in ([5, 0, 0], [1, 2, 2])
    ],
)


def _negative_binomial(x, n, logits):
    ways = mp.loggamma(n + x) - mp.loggamma(n) - mp.loggamma(x + 1)
    return ways + n * log_sigmoid(-logits) + x * log_sigmoid(logits)


_count(
    "GammaPoisson",
    lambda c, r: dist.GammaPoisson(c, r),
    lambda x, c, r: _negative_binomial(x, c, -mp.log(r)),
    [
        (x, {"c": c, "r": r})
        for c, r in ((1.0, 1.0), (2.5, 0.5), (1e6, 2e6), (1e-3, 4.0))
        for x in (0, 1, 7)
    ],
)
_count(
    "NegativeBinomialLogits",
    lambda n, logits: dist.NegativeBinomialLogits(n, logits),
    _negative_binomial,
    [
        (x, {"n": n, "logits": logit})
        for n, logit in (
            (1.0, 0.0),
            (2.5, 0.0),
            (3.0, 50.0),
            (1e6, -13.0),
            (3.0, -50.0),
        )
        for x in (0, 1, 7)
    ],
)
_count(
    "NegativeBinomialProbs",
    lambda n, probs: dist.NegativeBinomialProbs(n, probs),
    lambda x, n, probs: _negative_binomial(x, n, mp.log(probs / (1 - probs))),
    [
        (x, {"n": n, "probs": p})
        for n, p in ((1.0, 0.5), (2.5, 1e-3), (3.0, 0.99))
        for x in (0, 1, 7)
    ],
)
_count(
    "NegativeBinomial2",
    lambda mean, c: dist.NegativeBinomial2(mean, c),
    lambda x, mean, c: _negative_binomial(x, c, mp.log(mean / c)),
    [
        (x, {"mean": m, "c": c})
        for m, c in ((1.0, 1.0), (4.0, 0.5), (3.0, 1e4))
        for x in (0, 1, 7)
    ],
)


def _normal(x, loc=0, scale=1):
    return -(((x - loc) / scale) ** 2) / 2 - mp.log(scale) - mp.log(2 * mp.pi) / 2


def _loc_scale(
    make, standard, values=(0.5, -1.75, 30.0), places=((0.5, 1.0), (2.0, 3.0))
):
    return (
        lambda loc, scale: make(loc, scale),
        lambda x, loc, scale: standard((x - loc) / scale) - mp.log(scale),
        [(x, {"loc": a, "scale": s}) for a, s in places for x in values],
    )


_law("Normal", *_loc_scale(dist.Normal, _normal))
_law("Laplace", *_loc_scale(dist.Laplace, lambda z: -abs(z) - mp.log(2), (-1.75, 30.0)))
_law(
    "Logistic",
    *_loc_scale(
        dist.Logistic, lambda z: log_sigmoid(z) + log_sigmoid(-z), (0.5, -1.75, 200.0)
    ),
)
_law("Gumbel", *_loc_scale(dist.Gumbel, lambda z: -z - mp.exp(-z)))
_law(
    "Cauchy",
    *_loc_scale(
        dist.Cauchy,
        lambda z: -mp.log(mp.pi * (1 + z * z)),
        (0.5, -1.75, 30.0, 1e25),
    ),
)
_law(
    "SoftLaplace",
    *_loc_scale(
        dist.SoftLaplace, lambda z: mp.log(2 / mp.pi) - mp.log(mp.exp(z) + mp.exp(-z))
    ),
)
_law(
    "AsymmetricLaplace",
    lambda loc, scale, asymmetry: dist.AsymmetricLaplace(loc, scale, asymmetry),
    lambda x, loc, scale, asymmetry: (
        -abs(x - loc) / (scale * (asymmetry if x < loc else 1 / asymmetry))
        - mp.log(scale * (asymmetry + 1 / asymmetry))
    ),
    [
        (x, {"loc": 0.5, "scale": 2.0, "asymmetry": a})
        for x in (-3.0, 4.0)
        for a in (1.0, 2.5)
    ],
)
_law(
    "AsymmetricLaplaceQuantile",
    lambda loc, scale, quantile: dist.AsymmetricLaplaceQuantile(loc, scale, quantile),
    lambda x, loc, scale, quantile: (
        -abs(x - loc) / scale * (1 - quantile if x < loc else quantile)
        + mp.log(quantile * (1 - quantile) / scale)
    ),
    [
        (x, {"loc": 0.5, "scale": 2.0, "quantile": q})
        for x in (-3.0, 4.0)
        for q in (0.5, 0.9)
    ],
)
_law(
    "Uniform",
    lambda low, high: dist.Uniform(low, high),
    lambda x, low, high: -mp.log(high - low) + 0 * x,
    [(1.0, {"low": 0.5, "high": 3.0}), (0.5, {"low": 0.5, "high": 3.0})],
)
_law(
    "LogUniform",
    lambda low, high: dist.LogUniform(low, high),
    lambda x, low, high: -mp.log(x) - mp.log(mp.log(high / low)),
    [(1.0, {"low": 0.5, "high": 3.0}), (7.0, {"low": 5.0, "high": 30.0})],
)
_law(
    "Exponential",
    lambda rate: dist.Exponential(rate),
    lambda x, rate: mp.log(rate) - rate * x,
    [(x, {"rate": r}) for x in (0.0, 0.7, 30.0) for r in (1.0, 2.5)],
)


def _gamma(x, c, r):
    return c * mp.log(r) + xlogy(c - 1, x) - r * x - mp.loggamma(c)


_law(
    "Gamma",
    lambda c, r: dist.Gamma(c, r),
    _gamma,
    [
        (0.7, {"c": 1.0, "r": 1.0}),
        (3.0, {"c": 2.5, "r": 0.5}),
        (1e-20, {"c": 0.05, "r": 2.0}),
    ]
    + [
        (1.001e6, {"c": 1e6, "r": 1.0}),
        (2e4, {"c": 1e4, "r": 0.5}),
        (40.0, {"c": 20.0, "r": 0.5}),
    ],
)
_law(
    "Chi2",
    lambda df: dist.Chi2(df),
    lambda x, df: _gamma(x, df / 2, mp.mpf(1) / 2),
    [(0.7, {"df": 2.0}), (2.5, {"df": 5.0}), (1.003e5, {"df": 1e5})],
)
_law(
    "InverseGamma",
    lambda c, r: dist.InverseGamma(c, r),
    lambda x, c, r: c * mp.log(r) - (c + 1) * mp.log(x) - r / x - mp.loggamma(c),
    [
        (0.7, {"c": 1.0, "r": 1.0}),
        (3.0, {"c": 2.5, "r": 0.5}),
        (1.001, {"c": 1e4, "r": 1e4}),
    ],
)
_law(
    "HalfNormal",
    lambda scale: dist.HalfNormal(scale),
    lambda x, scale: mp.log(2) + _normal(x, 0, scale),
    [(x, {"scale": s}) for x in (0.0, 0.7, 30.0) for s in (1.0, 2.5)],
)
_law(
    "HalfCauchy",
    lambda scale: dist.HalfCauchy(scale),
    lambda x, scale: mp.log(2 / (mp.pi * scale)) - mp.log(1 + (x / scale) ** 2),
    [(x, {"scale": s}) for x in (0.0, 0.7, 30.0, 1e25) for s in (1.0, 2.5)],
)
_law(
    "LogNormal",
    lambda loc, scale: dist.LogNormal(loc, scale),
    lambda x, loc, scale: _normal(mp.log(x), loc, scale) - mp.log(x),
    [(x, {"loc": 0.5, "scale": 2.0}) for x in (1e-10, 1.0, 7.0)],
)
_law(
    "Levy",
    lambda loc, scale: dist.Levy(loc, scale),
    lambda x, loc, scale: (
        mp.log(scale / (2 * mp.pi)) / 2
        - scale / (2 * (x - loc))
        - 1.5 * mp.log(x - loc)
    ),
    [(x, {"loc": 0.5, "scale": 2.0}) for x in (0.75, 3.0, 1e6)],
)
_law(
    "Pareto",
    lambda scale, alpha: dist.Pareto(scale, alpha),
    lambda x, scale, alpha: (
        mp.log(alpha) + alpha * mp.log(scale) - (alpha + 1) * mp.log(x)
    ),
    [(x, {"scale": 2.0, "alpha": a}) for x in (2.0, 3.0, 1e6) for a in (1.0, 2.5)],
)
_law(
    "Gompertz",
    lambda c, r: dist.Gompertz(c, r),
    lambda x, c, r: mp.log(c * r) + r * x - c * mp.expm1(r * x),
    [(x, {"c": 0.5, "r": 2.0}) for x in (0.0, 0.01, 1.5)],
)
_law(
    "Weibull",
    lambda scale, c: dist.Weibull(scale, c),
    lambda x, scale, c: (
        mp.log(c / scale) + (c - 1) * mp.log(x / scale) - (x / scale) ** c
    ),
    [(x, {"scale": 2.0, "c": c}) for x in (1e-6, 0.7, 5.0) for c in (1.0, 0.5, 3.0)],
)
_law(
    "Kumaraswamy",
    lambda c1, c0: dist.Kumaraswamy(c1, c0),
    lambda x, c1, c0: (
        mp.log(c1 * c0) + (c1 - 1) * mp.log(x) + (c0 - 1) * mp.log(1 - x**c1)
    ),
    [
        (x, {"c1": a, "c0": b})
        for x in (1e-6, 0.3, 1 - 2**-23)
        for a, b in ((1.0, 1.0), (0.5, 2.5), (3.0, 0.25))
    ],
)
_law(
    "Dagum",
    lambda c, scale, sharpness: dist.Dagum(c, sharpness, scale),
    lambda x, c, scale, sharpness: (
        mp.log(sharpness * c / x)
        + sharpness * c * mp.log(x / scale)
        - (c + 1) * mp.log1p((x / scale) ** sharpness)
    ),
    [(x, {"c": 1.5, "scale": 2.0, "sharpness": 3.0}) for x in (1e-6, 2.0, 1e6)],
)


def _beta(x, c1, c0):
    return xlogy(c1 - 1, x) + xlogy(c0 - 1, 1 - x) - _log_beta(c1, c0)


_law(
    "Beta",
    lambda c1, c0: dist.Beta(c1, c0),
    _beta,
    [
        (x, {"c1": a, "c0": b})
        for x in (1e-6, 0.3, 1 - 2**-20)
        for a, b in ((1.0, 1.0), (0.5, 2.5), (3.0, 1e-3))
    ]
    + [(0.3335, {"c1": 1e5, "c0": 2e5})],
)
_law(
    "BetaProportion",
    lambda mean, c: dist.BetaProportion(mean, c),
    lambda x, mean, c: _beta(x, mean * c, (1 - mean) * c),
    [(x, {"mean": 0.25, "c": c}) for x in (0.01, 0.3) for c in (4.0, 50.0)],
)
_law(
    "Dirichlet",
    lambda c: dist.Dirichlet(c),
    lambda x, c: (
        mp.loggamma(mp.fsum(c))
        + mp.fsum(xlogy(a - 1, y) - mp.loggamma(a) for a, y in zip(c, x, strict=True))
    ),
    [
        (x, {"c": c})
        for x in ([0.25, 0.25, 0.5], [1e-20, 0.5, 0.5])
        for c in ([1.0, 1.0, 1.0], [0.5, 2.0, 1e-3])
    ]
    + [([0.2501, 0.2499, 0.5], {"c": [2.5e4, 2.5e4, 5e4]})],
)


def _student(square, df, size=1):
    return (
        mp.loggamma((df + size) / 2)
        - mp.loggamma(df / 2)
        - mp.mpf(size) / 2 * mp.log(mp.pi * df)
        - (df + size) / 2 * mp.log1p(square / df)
    )


_law(
    "StudentT",
    lambda df, loc, scale: dist.StudentT(df, loc, scale),
    lambda x, df, loc, scale: _student(((x - loc) / scale) ** 2, df) - mp.log(scale),
    [
        (x, {"df": df, "loc": 0.5, "scale": 2.0})
        for x in (0.75, -3.0, 100.0)
        for df in (0.05, 1.0, 3.0, 1e3, 1e6)
    ],
)


def _cholesky_square(x, loc, factor):
    solved = mp.lu_solve(
        mp.matrix(factor), mp.matrix([a - b for a, b in zip(x, loc, strict=True)])
    )
    return mp.fsum(y * y for y in solved)


def _log_diagonal(factor):
    return mp.fsum(mp.log(factor[i][i]) for i in range(len(factor)))


_TRIL = [[2.0, 0.0], [0.5, 1.5]]
_law(
    "MultivariateStudentT",
    lambda df, loc, factor: dist.MultivariateStudentT(df, loc, factor),
    lambda x, df, loc, factor: (
        _student(_cholesky_square(x, loc, factor), df, len(x)) - _log_diagonal(factor)
    ),
    [
        ([1.0, -3.0], {"df": df, "loc": [0.5, 0.0], "factor": _TRIL})
        for df in (1.0, 3.0, 1e6)
    ],
    ("factor",),
)
_law(
    "MultivariateNormal",
    lambda loc, factor: dist.MultivariateNormal(loc, scale_tril=factor),
    lambda x, loc, factor: (
        -_cholesky_square(x, loc, factor) / 2
        - _log_diagonal(factor)
        - mp.log(2 * mp.pi)
    ),
    [([1.0, -3.0], {"loc": [0.5, 0.0], "factor": _TRIL})],
    ("factor",),
)


def _low_rank(x, loc, factor, diagonal):
    size = len(x)
    covariance = mp.matrix(size, size)
    for i in range(size):
        for j in range(size):
            covariance[i, j] = mp.fsum(
                a * b for a, b in zip(factor[i], factor[j], strict=True)
            )
        covariance[i, i] += diagonal[i]
    rest = mp.matrix([a - b for a, b in zip(x, loc, strict=True)])
    square = (rest.T * mp.lu_solve(covariance, rest))[0]
    return -(square + mp.log(mp.det(covariance)) + size * mp.log(2 * mp.pi)) / 2


_law(
    "LowRankMultivariateNormal",
    lambda loc, factor, diagonal: dist.LowRankMultivariateNormal(loc, factor, diagonal),
    _low_rank,
    [
        (
            [1.0, -3.0],
            {"loc": [0.5, 0.0], "factor": [[2.0], [0.5]], "diagonal": [0.5, 1.5]},
        )
    ],
)
_law(
    "VonMises",
    lambda loc, c: dist.VonMises(loc, c),
    lambda x, loc, c: c * mp.cos(x - loc) - mp.log(2 * mp.pi * mp.besseli(0, c)),
    [
        (x, {"loc": 0.5, "c": c})
        for x, c in ((0.75, 0.0), (0.75, 1.0), (-3.0, 2.5), (0.51, 1e4), (0.501, 1e6))
    ],
)


def _log_normal_mass(low, high):
    with mp.extradps(400):
        if low > 0:
            low, high = -high, -low
        return mp.log(mp.ncdf(high) - mp.ncdf(low))


def _truncated(x, loc, scale, low, high):
    mass = _log_normal_mass((low - loc) / scale, (high - loc) / scale)
    return _normal(x, loc, scale) - mass


_law(
    "TwoSidedTruncatedNormal",
    lambda loc, scale, low, high: dist.TruncatedNormal(loc, scale, low=low, high=high),
    _truncated,
    [
        (0.75, {"loc": 0.0, "scale": 1.0, "low": -1.0, "high": 2.0}),
        (0.75, {"loc": 0.5, "scale": 2.0, "low": 0.5, "high": 2.0}),
        (7.0, {"loc": 0.0, "scale": 1.0, "low": 6.0, "high": 8.0}),
        (-30.25, {"loc": 0.0, "scale": 1.0, "low": -31.0, "high": -30.0}),
        (5.01, {"loc": 0.0, "scale": 1.0, "low": 5.0, "high": 5.015625}),
        (0.01, {"loc": 1.0, "scale": 4.0, "low": 0.0, "high": 0.015625}),
    ],
)
_law(
    "LeftTruncatedNormal",
    lambda loc, scale, low: dist.TruncatedNormal(loc, scale, low=low),
    lambda x, loc, scale, low: _truncated(x, loc, scale, low, mp.inf),
    [
        (0.75, {"loc": 0.0, "scale": 1.0, "low": -1.0}),
        (30.01, {"loc": 0.0, "scale": 1.0, "low": 30.0}),
        (1.0, {"loc": 50.0, "scale": 2.0, "low": 0.0}),
    ],
)
_law(
    "RightTruncatedNormal",
    lambda loc, scale, high: dist.TruncatedNormal(loc, scale, high=high),
    lambda x, loc, scale, high: _truncated(x, loc, scale, -mp.inf, high),
    [
        (0.75, {"loc": 0.0, "scale": 1.0, "high": 1.0}),
        (-30.01, {"loc": 0.0, "scale": 1.0, "high": -30.0}),
        (1.0, {"loc": -50.0, "scale": 2.0, "high": 10.0}),
    ],
)


def _between(standard, cdf):
    def log_density(x, loc, scale, low, high):
        with mp.extradps(150):
            mass = cdf((high - loc) / scale) - cdf((low - loc) / scale)
        return standard((x - loc) / scale) - mp.log(scale) - mp.log(mass)

    return log_density


_BETWEEN = [
    (0.75, {"loc": 0.0, "scale": 1.0, "low": -1.0, "high": 2.0}),
    (7.0, {"loc": 0.5, "scale": 1.0, "low": 6.0, "high": 8.0}),
    (-7.0, {"loc": 0.5, "scale": 1.0, "low": -8.0, "high": -6.0}),
    (40.5, {"loc": 0.25, "scale": 0.5, "low": 40.0, "high": 48.0}),
    (0.5, {"loc": 0.25, "scale": 1.0, "low": 0.0, "high": 0.5078125}),
]
_law(
    "TruncatedCauchy",
    lambda loc, scale, low, high: dist.TruncatedCauchy(loc, scale, low=low, high=high),
    _between(lambda z: -mp.log(mp.pi * (1 + z * z)), lambda z: mp.atan(z) / mp.pi),
    _BETWEEN,
)
for _name, _make, _standard, _cdf in (
    ("Logistic", dist.Logistic, lambda z: log_sigmoid(z) + log_sigmoid(-z), sigmoid),
    (
        "Laplace",
        dist.Laplace,
        lambda z: -abs(z) - mp.log(2),
        lambda z: mp.exp(z) / 2 if z < 0 else 1 - mp.exp(-z) / 2,
    ),
    (
        "SoftLaplace",
        dist.SoftLaplace,
        lambda z: mp.log(2 / mp.pi) - mp.log(mp.exp(z) + mp.exp(-z)),
        lambda z: 2 / mp.pi * mp.atan(mp.exp(z)),
    ),
):
    _law(
        f"Truncated{_name}",
        lambda loc, scale, low, high, make=_make: dist.TruncatedDistribution(
            make(loc, scale), low=low, high=high
        ),
        _between(_standard, _cdf),
        _BETWEEN,
    )
_law(
    "TruncatedStudentT",
    lambda df, loc, scale, low, high: dist.TruncatedDistribution(
        dist.StudentT(df, loc, scale), low=low, high=high
    ),
    lambda x, df, loc, scale, low, high: (
        _student(((x - loc) / scale) ** 2, df)
        - mp.log(scale)
        - mp.log(
            mp.quad(
                lambda t: mp.exp(_student(t * t, df)),
                [(low - loc) / scale, (high - loc) / scale],
            )
        )
    ),
    [
        (0.75, {"df": 3.0, "loc": 0.25, "scale": 1.0, "low": -1.0, "high": 2.0}),
        (7.0, {"df": 5.0, "loc": 0.5, "scale": 1.0, "low": 6.0, "high": 8.0}),
        (-7.0, {"df": 1.5, "loc": 0.5, "scale": 2.0, "low": -8.0, "high": -6.0}),
    ],
)
_law(
    "LeftTruncatedLaplace",
    lambda loc, scale, low: dist.TruncatedDistribution(
        dist.Laplace(loc, scale), low=low
    ),
    lambda x, loc, scale, low: (
        -abs(x - loc) / scale
        - mp.log(2 * scale)
        - mp.log(mp.exp(-(low - loc) / scale) / 2)
    ),
    [
        (x, {"loc": 0.25, "scale": s, "low": 40.0})
        for x, s in ((40.5, 0.25), (50.0, 10.0))
    ],
)
_law(
    "RightTruncatedCauchy",
    lambda loc, scale, high: dist.TruncatedCauchy(loc, scale, high=high),
    lambda x, loc, scale, high: (
        -mp.log(mp.pi * scale * (1 + ((x - loc) / scale) ** 2))
        - mp.log(0.5 + mp.atan((high - loc) / scale) / mp.pi)
    ),
    [(-1e3, {"loc": 0.25, "scale": 0.5, "high": h}) for h in (-900.0, 0.0, 50.0)],
)
for _name, _low, _high in (
    ("LeftTruncatedGamma", 1.5, mp.inf),
    ("RightTruncatedGamma", 0, 4.0),
    ("TwoSidedTruncatedGamma", 1.5, 4.0),
):
    _law(
        _name,
        lambda c, r, low=_low, high=_high: dist.TruncatedGamma(
            c,
            r,
            low=low or None,
            high=None if high == mp.inf else high,
        ),
        lambda x, c, r, low=_low, high=_high: (
            _gamma(x, c, r)
            - mp.log(mp.gammainc(c, r * low, r * high, regularized=True))
        ),
        [(2.0, {"c": 1.0, "r": 1.0}), (3.0, {"c": 2.5, "r": 0.5})],
    )


def _power_law(x, alpha, low, high):
    t, width = 1 + alpha, mp.log(high / low)
    mass = mp.expm1(t * width) / t if t else width
    return alpha * mp.log(x) - t * mp.log(low) - mp.log(mass)


_law(
    "DoublyTruncatedPowerLaw",
    lambda alpha, low, high: dist.DoublyTruncatedPowerLaw(alpha, low, high),
    _power_law,
    [
        (x, {"alpha": a, "low": 1.5, "high": 4.0})
        for x in (1.5, 2.0)
        for a in (-1.0, -1 + 1e-6, -0.999, 0.5, 0.0, -2.5, -30.0, 20.0)
    ],
)
_law(
    "LowerTruncatedPowerLaw",
    lambda alpha, low: dist.LowerTruncatedPowerLaw(alpha, low),
    lambda x, alpha, low: (
        alpha * mp.log(x) + mp.log(-1 - alpha) - (1 + alpha) * mp.log(low)
    ),
    [(2.0, {"alpha": a, "low": 1.5}) for a in (-1.5, -3.0)],
)


def _logistic(x, logits, temperature):
    z = temperature * mp.log(x / (1 - x)) - logits
    density = log_sigmoid(z) + log_sigmoid(-z) + mp.log(temperature)
    return density - mp.log(x) - mp.log(1 - x)


_law(
    "RelaxedBernoulliLogits",
    lambda logits, temperature: dist.RelaxedBernoulliLogits(temperature, logits),
    _logistic,
    [
        (x, {"logits": logit, "temperature": t})
        for x in (0.5, 0.01, 1 - 2**-10)
        for logit, t in ((0.0, 0.5), (1.5, 0.25), (-50.0, 2.0))
    ],
)
_law(
    "FoldedNormal",
    lambda loc, scale: dist.FoldedDistribution(dist.Normal(loc, scale)),
    lambda x, loc, scale: mp.log(
        mp.exp(_normal(x, loc, scale)) + mp.exp(_normal(-x, loc, scale))
    ),
    [(x, {"loc": logit, "scale": 2.0}) for x in (0.0, 1.5) for logit in (0.0, 3.0)],
)


def _mixed(x, logits, locs, df):
    terms = [
        _log_softmax(logits, k) + _student((x - loc) ** 2, df)
        for k, loc in enumerate(locs)
    ]
    return mp.log(mp.fsum(mp.exp(t) for t in terms))


_law(
    "MixtureSameFamily",
    lambda logits, locs, df: dist.MixtureSameFamily(
        dist.CategoricalLogits(logits), dist.StudentT(df, locs)
    ),
    _mixed,
    [(0.5, {"logits": [0.0, 0.0], "locs": [-1.0, 1.5], "df": df}) for df in (3.0, 1e6)],
)
_law(
    "MixtureGeneral",
    lambda logits, loc, c: dist.MixtureGeneral(
        dist.CategoricalLogits(logits),
        [dist.Normal(loc, 1.0), dist.Gamma(c, 1.0)],
        support=dist.constraints.real,
    ),
    lambda x, logits, loc, c: mp.log(
        mp.exp(_log_softmax(logits, 0) + _normal(x, loc))
        + (mp.exp(_log_softmax(logits, 1) + _gamma(x, c, 1)) if x > 0 else 0)
    ),
    [(x, {"logits": [0.0, 0.5], "loc": 1.5, "c": 2.0}) for x in (0.5, -2.0)],
)
_count(
    "nested BernoulliLogits",
    lambda logits: dist.BernoulliLogits(logits).expand([2, 3]).mask(True).to_event(2),
    lambda x, logits: mp.fsum(
        log_sigmoid(logits if b else -logits) for row in x for b in row
    ),
    [([[0, 1, 1], [1, 1, 0]], {"logits": logit}) for logit in (0.0, 50.0)],
)
