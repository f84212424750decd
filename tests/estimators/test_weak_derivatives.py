"""Weak derivatives: means and variances by quadrature over injected draws."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import special, stats

import reparam_jax as rj
from tests.estimators import exact
from tests.estimators.exact import moments
from tests.estimators.precisions import both, both_in_time, precision

ESTIMATOR = rj.MeasureValued()


def legendre(low, high, count=80):
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


def rayleigh():
    nodes, weights = legendre(0, 10)
    return nodes, weights * nodes * np.exp(-(nodes**2) / 2)


def maxwell():
    """Of both signs."""
    nodes, weights = legendre(-10, 10, 100)
    return nodes, weights * nodes**2 * np.exp(-(nodes**2) / 2)


def product(*rules):
    """All joint nodes, as columns, and their weights."""
    nodes = [
        mesh.ravel() for mesh in np.meshgrid(*(r[0] for r in rules), indexing="ij")
    ]
    weights = np.ones(1)
    for _, rule in rules:
        weights = np.outer(weights, rule).ravel()
    return nodes, weights


def slopes_at(*args, **draws):
    return exact.slopes_at(ESTIMATOR, *args, **draws)


def normal(parameters):
    return dist.Normal(parameters["loc"], parameters["scale"])


def normal_draws(count, **given):
    names = "value", "rayleigh", "maxwell", "uniform"
    return {name: given.get(name, np.full(count, 0.5)) for name in names}


def quadratic(z):
    return (z - 0.3) ** 2


@both
@pytest.mark.parametrize(("loc", "scale"), [(1.0, 0.5), (-0.4, 2.0)])
def test_the_mean_of_a_normal_law(dtype, rtol, loc, scale):
    nodes, weights = rayleigh()
    draws = normal_draws(len(nodes), rayleigh=nodes)
    parameters = {"loc": loc, "scale": scale}
    slopes = slopes_at(dtype, quadratic, normal, parameters, **draws)
    mean, variance = moments(slopes["loc"], weights)
    gap = loc - 0.3
    np.testing.assert_allclose(mean, 2 * gap, rtol=rtol)
    np.testing.assert_allclose(variance, gap**2 * (16 / np.pi - 4), rtol=4 * rtol)
    slopes = slopes_at(dtype, jnp.cos, normal, parameters, **draws)
    truth = -np.sin(loc) * np.exp(-(scale**2) / 2)
    np.testing.assert_allclose(moments(slopes["loc"], weights)[0], truth, rtol=4 * rtol)


@both_in_time
@pytest.mark.parametrize(
    ("offset", "variance"), [(-3.0, 17.4873), (0.0, 1.09296), (3.0, 4.37183)]
)
def test_the_variances_of_mohamed_et_al(dtype, rtol, offset, variance):
    nodes, weights = rayleigh()
    draws = normal_draws(len(nodes), rayleigh=nodes)
    parameters = {"loc": 1.0, "scale": 1.0}
    slopes = slopes_at(dtype, lambda z: (z - offset) ** 2, normal, parameters, **draws)
    mean, actual = moments(slopes["loc"], weights)
    np.testing.assert_allclose(mean, 2 * (1 - offset), rtol=rtol)
    np.testing.assert_allclose(actual, variance, rtol=2e-6)
    truth = (1 - offset) ** 2 * (16 / np.pi - 4)
    np.testing.assert_allclose(actual, truth, rtol=4 * rtol)


@both_in_time
def test_the_scale_of_a_normal_law(dtype, rtol):
    loc, scale = 1.0, 0.5
    (m, u), weights = product(maxwell(), legendre(0, 1, 8))
    draws = normal_draws(len(m), maxwell=m, uniform=u)
    parameters = {"loc": loc, "scale": scale}
    slopes = slopes_at(dtype, quadratic, normal, parameters, **draws)
    mean, variance = moments(slopes["scale"], weights)
    np.testing.assert_allclose(mean, 2 * scale, rtol=rtol)
    # From 2 (mu - k) m (1 - u) + s m^2 (1 - u^2), with E m^2 = 3 and E m^4 = 15.
    truth = 4 * (loc - 0.3) ** 2 + 4 * scale**2
    np.testing.assert_allclose(variance, truth, rtol=4 * rtol)
    slopes = slopes_at(dtype, jnp.cos, normal, parameters, **draws)
    truth = -scale * np.cos(loc) * np.exp(-(scale**2) / 2)
    mean = moments(slopes["scale"], weights)[0]
    np.testing.assert_allclose(mean, truth, rtol=4 * rtol)


@both_in_time
def test_a_cost_with_a_jump(dtype, rtol):
    """Exact where no gradient of the cost would be: the density at the jump."""
    loc, scale, jump = 0.4, 1.5, 1.0
    at = (jump - loc) / scale
    # mu + s w passes the jump at w = at.
    first, second = legendre(0, at), legendre(at, 12)
    nodes, weights = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    weights = weights * nodes * np.exp(-(nodes**2) / 2)
    slopes = slopes_at(
        dtype,
        lambda z: (z > jump) * jnp.ones((), z.dtype),
        normal,
        {"loc": loc, "scale": scale},
        **normal_draws(len(nodes), rayleigh=nodes),
    )
    mean = moments(slopes["loc"], weights)[0]
    np.testing.assert_allclose(mean, stats.norm.pdf(at) / scale, rtol=2 * rtol)


@both_in_time
def test_the_rate_of_a_poisson_law(dtype, rtol):
    rate = 1.5
    counts = np.arange(60)
    weights = stats.poisson.pmf(counts, rate)
    slopes = slopes_at(
        dtype,
        lambda z: z**2.0,
        lambda p: dist.Poisson(p["rate"]),
        {"rate": rate},
        value=counts,
    )
    mean, variance = moments(slopes["rate"], weights)
    np.testing.assert_allclose([mean, variance], [2 * rate + 1, 4 * rate], rtol=rtol)


def gamma_law(parameters):
    return dist.Gamma(parameters["concentration"], parameters["rate"])


def rate_moments(concentration, rate):
    """Of (a/b) ((z + e/b)^2 - z^2) for the draw z and an exponential e."""
    a, b = concentration, rate
    mean = -2 * a * (a + 1) / b**3
    return mean, a**2 / b**6 * (8 * a * (a + 1) + 24 * a + 24) - mean**2


@both_in_time
def test_the_rate_of_a_gamma_law(dtype, rtol):
    concentration, rate = 2.5, 2.0
    (g, e), weights = product(
        special.roots_genlaguerre(8, concentration - 1), special.roots_laguerre(8)
    )
    slopes = slopes_at(
        dtype,
        jnp.square,
        gamma_law,
        {"concentration": concentration, "rate": rate},
        value=g / rate,
        exponential=e,
        log_factor=np.full_like(g, -0.5),
    )
    actual = moments(slopes["rate"], weights)
    np.testing.assert_allclose(actual, rate_moments(concentration, rate), rtol=4 * rtol)


@both_in_time
def test_the_rate_of_an_exponential_law(dtype, rtol):
    (g, e), weights = product(special.roots_laguerre(8), special.roots_laguerre(8))
    slopes = slopes_at(
        dtype,
        jnp.square,
        lambda p: dist.Exponential(p["rate"]),
        {"rate": 2.0},
        value=g / 2,
        exponential=e,
    )
    actual = moments(slopes["rate"], weights)
    np.testing.assert_allclose(actual, rate_moments(1.0, 2.0), rtol=4 * rtol)


def factors(concentration, count=40):
    """v = 1 - y^2 of Beta(a, 1/2), whose density in y is that of (1 - y^2)^(a - 1)."""
    y, weights = legendre(0, 1, count)
    return np.log1p(-(y**2)), weights * (1 - y**2) ** (concentration - 1)


@both
@pytest.mark.parametrize("concentration", [2.0, 5.0])
def test_the_concentration_of_a_gamma_law(dtype, rtol, concentration):
    a, rate = concentration, 2.0
    (g, log_factor), weights = product(special.roots_genlaguerre(8, a - 1), factors(a))
    slopes = slopes_at(
        dtype,
        jnp.square,
        gamma_law,
        {"concentration": a, "rate": rate},
        value=g / rate,
        exponential=np.ones_like(g),
        log_factor=log_factor,
    )
    mean, variance = moments(slopes["concentration"], weights)
    np.testing.assert_allclose(mean, (2 * a + 1) / rate**2, rtol=4 * rtol)
    # B z^2 (1 - v)^(1/2) (1 + v) with v of Beta(a, 1/2).
    second = sum(
        times * special.beta(a + power, 1.5) for power, times in enumerate([1, 2, 1])
    )
    fourth = special.poch(a, 4) / rate**4
    truth = special.beta(a, 0.5) * fourth * second - mean**2
    np.testing.assert_allclose(variance, truth, rtol=10 * rtol)


@both_in_time
def test_the_concentration_at_a_cost_with_a_jump(dtype, rtol):
    a, jump = 2.0, 1.5
    # Only draws between the jump c and c / v count: those by Gauss-Legendre.
    log_factors, outer = factors(a, 120)
    nodes, weights, logs = [], [], []
    for log_factor, weight in zip(log_factors, outer, strict=True):
        high = min(jump * np.exp(-log_factor), 60.0)
        inner = legendre(jump, high, 60)
        nodes.append(inner[0])
        weights.append(weight * inner[1] * stats.gamma.pdf(inner[0], a))
        logs.append(np.full(60, log_factor))
    value, weights = np.concatenate(nodes), np.concatenate(weights)
    slopes = slopes_at(
        dtype,
        lambda z: (z > jump) * jnp.ones((), z.dtype),
        gamma_law,
        {"concentration": a, "rate": 1.0},
        value=value,
        exponential=np.ones_like(value),
        log_factor=np.concatenate(logs),
    )
    # Not the mean of all draws: the others contribute 0.
    mean = weights @ slopes["concentration"] / outer.sum()
    # dP(z > c) / da at a = 2: by mpmath, the derivative of gammainc(a, c) / gamma(a).
    np.testing.assert_allclose(mean, JUMP_SLOPE, rtol=4 * rtol)


JUMP_SLOPE = 0.31348863782507932


@both_in_time
def test_a_bit_has_no_variance(dtype, rtol):
    with precision(dtype):
        probs = np.asarray(jnp.asarray(0.3, dtype), np.float64)
    eta = {"logits": np.log(probs) - np.log1p(-probs)}

    def cost(bit):
        return (bit - 0.45) ** 2

    def law(p):
        return dist.Bernoulli(logits=p["logits"])

    slopes = slopes_at(dtype, cost, law, eta, value=np.array([0, 1]))["logits"]
    gap = 0.55**2 - 0.45**2
    np.testing.assert_allclose(slopes, [0.21 * gap] * 2, rtol=4 * rtol)

    def by_probs(p):
        return dist.Bernoulli(probs=p["probs"])

    for point in 0.0, 0.3, 1.0:
        slopes = slopes_at(
            dtype, cost, by_probs, {"probs": point}, value=np.array([0, 1])
        )
        np.testing.assert_allclose(slopes["probs"], [gap] * 2, rtol=4 * rtol)


@both_in_time
@pytest.mark.parametrize("form", ["probs", "logits"])
@pytest.mark.parametrize("one_hot", [False, True])
def test_a_category_has_no_variance(dtype, rtol, form, one_hot):
    weights = np.array([1.0, -2.0, 4.0])
    chances = np.array([0.25, 0.25, 0.5])
    point = {"x": chances if form == "probs" else np.log(chances)}

    def law(p):
        if one_hot:
            return dist.Multinomial(1, **{form: p["x"]})
        return dist.Categorical(**{form: p["x"]})

    def cost(z):
        scores = jnp.asarray(weights, float)
        return jnp.sum(z * scores) if one_hot else scores[z]

    value = np.eye(3, dtype=int) if one_hot else np.arange(3)
    slopes = slopes_at(dtype, cost, law, point, value=value)["x"]
    truth = weights - weights @ chances
    truth = truth if form == "probs" else chances * truth
    np.testing.assert_allclose(
        slopes, np.tile(truth, (3, 1)), rtol=0, atol=2 * rtol * np.max(truth)
    )


@pytest.mark.slow
def test_draws_follow_their_laws(alpha):
    count = 2000
    draws = ESTIMATOR.draw(
        jax.random.key(5),
        {"normal": dist.Normal(jnp.array([1.0]), 2.0), "gamma": dist.Gamma(0.3, 2.0)},
        count,
    )
    normal, gamma = draws["normal"], draws["gamma"]
    laws = [
        (normal["value"], stats.norm(1, 2)),
        (normal["rayleigh"], stats.rayleigh()),
        (np.abs(normal["maxwell"]), stats.maxwell()),
        (normal["maxwell"] * normal["uniform"], stats.norm()),
        (normal["uniform"], stats.uniform()),
        (gamma["value"], stats.gamma(0.3, scale=0.5)),
        (gamma["exponential"], stats.expon()),
        (np.exp(gamma["log_factor"]), stats.beta(0.3, 0.5)),
    ]
    for sample, law in laws:
        sample = np.asarray(sample, np.float64).ravel()
        assert len(sample) == count
        assert stats.kstest(sample, law.cdf).pvalue > alpha / len(laws)
