"""Pathwise and score-function gradients of normal expectations, in closed form.

Means and variances by Gauss-Hermite quadrature over injected draws.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.optimize

import reparam_jax as rj
from tests.estimators import exact
from tests.estimators.gaussian import COSTS

MEAN, STD = 0.3, 0.8
SCALES = {
    "std": (lambda std: std, lambda std: std, lambda std: 1.0),
    "var": (lambda std: std**2, jnp.sqrt, lambda std: 0.5 / std),
    "log_var": (
        lambda std: 2 * np.log(std),
        lambda log_var: jnp.exp(log_var / 2),
        lambda std: std / 2,
    ),
}


def gradient_moments(estimator, cost, k, mean, std, dtype, form="std", nodes=60):
    """Means and variances of the gradients for the mean and for the scale."""
    from_std, to_std, _ = SCALES[form]
    noise, weights = exact.hermite(nodes, dtype)
    draws = noise if isinstance(estimator, rj.Pathwise) else mean + std * noise
    slopes = exact.gradients(
        estimator,
        lambda z: cost.of(z, k),
        lambda p: dist.Normal(p[0], to_std(p[1])),
        (jnp.asarray(mean, dtype), jnp.asarray(from_std(std), dtype)),
        draws,
    )
    return [exact.moments(slope, weights) for slope in slopes]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", COSTS)
def test_means_and_variances_are_the_closed_forms(name, dtype):
    # In float32 the costs are rounded to 1e-7 of themselves, the weights sum to 1.
    cost, k = COSTS[name], 0.7
    tolerance = 1e-12 if dtype == np.float64 else 1e-6
    true = np.array(cost.slopes(MEAN, STD, k))
    with jax.enable_x64(dtype == np.float64):
        for kind, second in ("path", cost.path), ("score", cost.score):
            estimator = rj.Pathwise() if kind == "path" else rj.ScoreFunction()
            found = gradient_moments(estimator, cost, k, MEAN, STD, dtype)
            variances = np.array(second(MEAN, STD, k)) - true**2
            means = [mean for mean, _ in found]
            scale = np.maximum(np.abs(true), np.sqrt(variances))
            np.testing.assert_array_less(np.abs(means - true), tolerance * scale)
            np.testing.assert_allclose(
                [variance for _, variance in found], variances, rtol=10 * tolerance
            )


@pytest.mark.parametrize("form", SCALES)
@pytest.mark.parametrize("estimator", [rj.Pathwise(), rj.ScoreFunction()], ids=repr)
def test_gradients_for_any_parameterisation_of_the_scale(estimator, form):
    cost, k = COSTS["quadratic"], 0.3
    factor = SCALES[form][2](STD)
    moment = cost.path if isinstance(estimator, rj.Pathwise) else cost.score
    slope = cost.slopes(MEAN, STD, k)[1]
    with jax.enable_x64(True):
        found = gradient_moments(estimator, cost, k, MEAN, STD, np.float64, form)
    mean, variance = found[1]
    np.testing.assert_allclose(mean, slope * factor, rtol=1e-12)
    np.testing.assert_allclose(
        variance, (moment(MEAN, STD, k)[1] - slope**2) * factor**2, rtol=1e-11
    )


@pytest.mark.parametrize(
    "baseline",
    [lambda m, v: v + m**2, lambda m, v: m**2 + 3 * v],
    ids=["mean cost", "optimal"],
)
def test_baselines_of_the_quadratic(baseline):
    m, v = MEAN - 0.9, STD**2
    b = baseline(m, v)
    second = (m**4 + 18 * m**2 * v + 15 * v**2 - 2 * b * (m**2 + 3 * v) + b**2) / v
    with jax.enable_x64(True):
        for given in jnp.asarray(b), lambda *args: b:
            estimator = rj.ScoreFunction(baseline=given)
            found = gradient_moments(
                estimator, COSTS["quadratic"], 0.9, MEAN, STD, np.float64
            )
            np.testing.assert_allclose(found[0][0], 2 * m, rtol=1e-12)
            np.testing.assert_allclose(found[0][1], second - 4 * m**2, rtol=1e-12)


# Mohamed, Rosca, Figurnov, Mnih (JMLR 2020), figures 3 and 4, at mean = std = 1: where
# the variances of the two gradients are equal.
CROSSINGS = {
    ("bell", 0): 0.86995394,
    ("bell", 1): 1.00281578,
    ("cosine", 0): 1.06378220,
    ("cosine", 1): 1.29734627,
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "parameter"), CROSSINGS)
def test_the_variances_cross_where_they_should(name, parameter):
    cost = COSTS[name]

    def surplus(estimator, k):
        moments = gradient_moments(estimator, cost, k, 1.0, 1.0, np.float64, nodes=150)
        return moments[parameter][1]

    with jax.enable_x64(True):
        crossing = scipy.optimize.brentq(
            lambda k: surplus(rj.Pathwise(), k) - surplus(rj.ScoreFunction(), k),
            0.6,
            1.5,
            xtol=1e-10,
        )
    assert abs(crossing - CROSSINGS[name, parameter]) < 1e-6
