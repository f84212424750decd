import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

import reparam_jax as rj
from tests.estimators import exact
from tests.estimators.precisions import F32, SLOW_F64, precision
from tests.objectives.given import GivenNoise, difference, mean, normal_nodes, tuples

# One latent number: z ~ N(prior, 1), x | z ~ N(z, scale), the guide N(loc, std).
AT = {"loc": 0.85, "std": (2 / 3) ** 0.5, "scale": 0.9, "prior": 0.2}
X = 1.5


def bound(parameters, noise, gradient="standard"):
    """The bound at given base noise, of shape (K,)."""
    return rj.iwae_bound(
        jax.random.key(0),
        lambda z, x, scale: dist.Normal(z, scale).log_prob(x),
        dist.Normal(parameters["loc"], parameters["std"]),
        X,
        parameters["scale"],
        prior=dist.Normal(parameters["prior"], 1.0),
        num_samples=noise.shape[0],
        estimator=GivenNoise(noise=noise),
        gradient=gradient,
    )


def log_weights(values, noise):
    loc, std, scale, prior = values
    z = loc + std * noise
    joint = norm.logpdf(X, z, scale) + norm.logpdf(z, prior, 1.0)
    return joint - norm.logpdf(z, loc, std)


def bound_of(values, noise, weights):
    terms = logsumexp(log_weights(values, noise), axis=1) - np.log(noise.shape[1])
    return weights @ terms / weights.sum()


COUNTS = (1, 2, 3)
NODES = {1: 60, 2: 40, 3: 26}


def grid(count):
    nodes, weights = normal_nodes(NODES[count])
    return tuples(nodes, count, weights)


def values_and_slopes(count, gradient, dtype):
    noise, weights = grid(count)
    with precision(dtype):
        at = {name: jnp.asarray(value, dtype) for name, value in AT.items()}
        evaluate = jax.value_and_grad(lambda at, e: bound(at, e, gradient))
        program = jax.jit(jax.vmap(evaluate, (None, 0)))
        found, slopes = program(at, jnp.asarray(noise, dtype))
    return np.asarray(found, np.float64), slopes, weights


@pytest.mark.parametrize(
    ("count", "dtype", "rtol"),
    [
        pytest.param(1, *F32.values, id="1"),
        pytest.param(2, *F32.values, id="2"),
        pytest.param(3, *F32.values, id="3", marks=pytest.mark.slow),
        pytest.param(2, *SLOW_F64.values, id="2-f64", marks=pytest.mark.slow),
    ],
)
def test_both_gradients_have_the_mean_of_the_bounds_derivative(count, dtype, rtol):
    noise, nodes_weights = grid(count)
    values = np.array(list(AT.values()))
    wanted = difference(lambda at: bound_of(at, noise, nodes_weights), values)
    slope_of = dict(zip(AT, wanted, strict=True))
    variances = {}
    for gradient in ("standard", "dreg"):
        found, slopes, weights = values_and_slopes(count, gradient, dtype)
        exact_value = bound_of(values, noise, nodes_weights)
        error = abs(mean(found, weights) - exact_value)
        assert error < 4 * rtol * abs(exact_value)
        for name, slope in slope_of.items():
            center, spread = exact.moments(slopes[name], weights)
            # Of the central difference, and of quadrature: 1e-8.
            np.testing.assert_allclose(center, slope, rtol=10 * rtol + 3e-8, atol=3e-7)
            variances[gradient, name] = spread
    for name in ("loc", "std"):
        assert variances["dreg", name] < 0.8 * variances["standard", name]
    for name in ("scale", "prior"):
        np.testing.assert_allclose(
            variances["dreg", name], variances["standard", name], rtol=100 * rtol
        )


@pytest.mark.slow
def test_the_bound_grows_with_the_number_of_draws():
    found = [
        mean(*values_and_slopes(count, "dreg", np.float32)[::2]) for count in COUNTS
    ]
    evidence = norm.logpdf(X, AT["prior"], np.sqrt(1 + AT["scale"] ** 2))
    gaps = evidence - np.array(found)
    # Gaps of c / K to first order.
    assert np.all(gaps[:-1] > 1.3 * gaps[1:])
    assert gaps[-1] > 0


@pytest.mark.slow
def test_dreg_is_the_sum_of_squared_weights_times_the_path():
    noise = np.array([0.3, -1.1, 1.7, 0.4])
    values = np.array(list(AT.values()))
    z = AT["loc"] + AT["std"] * noise
    shares = np.exp(log_weights(values, noise))
    shares /= shares.sum()
    along = (X - z) / AT["scale"] ** 2 - (z - AT["prior"])
    along += (z - AT["loc"]) / AT["std"] ** 2  # d log w / d z, the guide held
    slopes = jax.grad(bound)(AT, jnp.asarray(noise, jnp.float32), "dreg")
    terms = shares**2 * along
    np.testing.assert_allclose(slopes["loc"], terms.sum(), rtol=1e-5)
    np.testing.assert_allclose(slopes["std"], (terms * noise).sum(), rtol=1e-5)
    # For the model, that of the weights themselves.
    of_scale = (X - z) ** 2 / AT["scale"] ** 3 - 1 / AT["scale"]
    np.testing.assert_allclose(slopes["scale"], (shares * of_scale).sum(), rtol=1e-5)
    standard = jax.grad(bound)(AT, jnp.asarray(noise, jnp.float32))
    for name in ("scale", "prior"):
        np.testing.assert_allclose(slopes[name], standard[name], rtol=1e-6)


@pytest.mark.slow
def test_second_derivatives_of_dreg_are_the_models_or_raise():
    noise = jnp.array([0.3, -1.1, 1.7])

    def of(loc, scale, gradient):
        return bound(AT | {"loc": loc, "scale": scale}, noise, gradient)

    at = AT["loc"], AT["scale"]
    for first, second in ((0, 0), (1, 0)):
        for mode in jax.jacfwd, jax.jacrev:
            with pytest.raises(NotImplementedError, match="no second derivatives"):
                mode(jax.grad(of, first), second)(*at, "dreg")
    model = [jax.jacfwd(jax.grad(of, 1), 1)(*at, kind) for kind in ("dreg", "standard")]
    np.testing.assert_allclose(*model, rtol=1e-5)
    # That of the gradient itself: its squared weights depend on the model too.
    found = jax.jacfwd(jax.grad(of, 0), 1)(*at, "dreg")
    with jax.enable_x64(True):
        wide = AT | {"scale": jnp.asarray(AT["scale"])}
        slopes = [
            jax.grad(bound)(
                wide | {"scale": wide["scale"] + step}, noise.astype(float), "dreg"
            )["loc"]
            for step in (1e-5, -1e-5)
        ]
        wanted = (slopes[0] - slopes[1]) / 2e-5
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


# The toy of 20 dimensions: z ~ N(0, 1), x | z ~ N(z, 1), so the posterior is N(x / 2,
# 1/2); the guide N(x / 2 + offset, 2/3). With s^2 = 2/3, t^2 = 1/2 and b the offset,
#   E w^2 / (E w)^2 = (s^2 / (t sqrt(2 s^2 - t^2)) exp(b^2 / (2 s^2 - t^2)))^20.
WIDTH = 20


def toy(offset, key, count, **options):
    """The bound of a toy at x = 0, where each dimension is alike."""
    guide = dist.Normal(offset, jnp.sqrt(jnp.full(WIDTH, 2 / 3))).to_event(1)
    prior = dist.Normal(jnp.zeros(WIDTH), 1.0).to_event(1)

    def log_likelihood(z):
        return jnp.sum(dist.Normal(z, 1.0).log_prob(0.0))

    return rj.iwae_bound(
        key, log_likelihood, guide, prior=prior, num_samples=count, **options
    )


@pytest.mark.slow
def test_the_weights_of_the_toy_have_their_second_moment():
    nodes, weights = normal_nodes(60)
    noise = jnp.broadcast_to(jnp.asarray(nodes, jnp.float32)[:, None, None], (60, 1, 1))

    def log_weight(noise, offset):
        given = GivenNoise(noise=jnp.broadcast_to(noise, (1, WIDTH)))
        offsets = jnp.full(WIDTH, offset)
        return toy(offsets, jax.random.key(0), 1, estimator=given) / WIDTH

    for offset, second in ((0.0, 1.90672138), (0.1, None)):
        found = np.asarray(jax.vmap(lambda e, b=offset: log_weight(e, b))(noise))
        ratios = np.exp(found.astype(np.float64))
        ratio = mean(ratios**2, weights) / mean(ratios, weights) ** 2
        d = 2 * 2 / 3 - 1 / 2
        formula = 2 / 3 / np.sqrt(0.5 * d) * np.exp(offset**2 / d)
        np.testing.assert_allclose(ratio, formula, rtol=1e-6)
        if second is not None:
            np.testing.assert_allclose(ratio**WIDTH, second, rtol=1e-5)
            gap = WIDTH * (norm.logpdf(0, 0, np.sqrt(2)) - mean(found, weights))
            np.testing.assert_allclose(gap, 0.45651261, rtol=2e-5)
        evidence = np.log(mean(ratios, weights))
        np.testing.assert_allclose(evidence, norm.logpdf(0, 0, 2**0.5), rtol=1e-6)


# Mean and standard deviation of one component, from 4 million draws; and the exact mean
# at K = 1. The standard errors are those of the table and of the test together.
TABLE = {
    (1, "standard"): (-0.2, 0.0, 1.634),
    (1, "dreg"): (-0.2, 0.0, 0.409),
    (16, "standard"): (-0.0175, 1e-4, 0.485),
    (16, "dreg"): (-0.01751, 4e-5, 0.0254),
    (64, "standard"): (-0.00451, 1e-5, 0.246),
    (64, "dreg"): (-0.00451, 1e-5, 0.00376),
}


@pytest.mark.slow
def test_the_toys_gradients_have_the_moments_of_the_table(alpha):
    offset, ratios = jnp.full(WIDTH, 0.1), {}
    quantile = np.sqrt(2 * np.log(2 * len(TABLE) / alpha))
    for (count, gradient), (center, error, spread) in TABLE.items():
        # Components are alike, but not independent: an error over keys.
        keys = jax.random.split(jax.random.key(count), 6000)
        slope = jax.grad(lambda b, key, k=count, g=gradient: toy(b, key, k, gradient=g))
        program = jax.jit(
            lambda keys, slope=slope: jax.lax.map(
                lambda key: slope(offset, key), keys, batch_size=500
            )
        )
        slopes = np.asarray(program(keys), np.float64)
        each = slopes.mean(1)
        noise = each.std(ddof=1) / np.sqrt(len(each))
        assert abs(each.mean() - center) < quantile * np.hypot(noise, error)
        found = slopes.std()
        np.testing.assert_allclose(found, spread, rtol=0.05)
        ratios[count, gradient] = abs(center) / found
    # The relative noise: log-log slopes from K = 16 to 64, near -1/2 and +1/2.
    standard, dreg = (
        np.log(ratios[64, kind] / ratios[16, kind]) / np.log(4)
        for kind in ("standard", "dreg")
    )
    assert -0.55 < standard < -0.4
    assert 0.33 < dreg < 0.5


def model(bits, x):
    return dist.Normal(bits @ jnp.array([1.0, -2.0]), 0.8).log_prob(x)


DATA = jnp.array([0.5, -1.0, 2.0])
LOGITS = jnp.array([[0.3, -1.2], [0.0, 2.0], [-0.4, 0.6]])
PRIOR = dist.Bernoulli(jnp.array([0.5, 0.3])).to_event(1)


def bits_bound(logits, key, estimator, count):
    guide = dist.Bernoulli(logits=logits).to_event(1)
    options = {"num_samples": count, "estimator": estimator}
    return rj.iwae_bound(key, model, guide, DATA, prior=PRIOR, **options)


def exact_bits_bound(logits, count):
    """By a sum over all tuples of outcomes, for each example."""
    outcomes, _ = tuples([[0, 0], [0, 1], [1, 0], [1, 1]], count)
    outcomes = jnp.asarray(outcomes, jnp.float32)[:, :, None, :]
    shape = (*outcomes.shape[:2], *logits.shape)
    outcomes = jnp.broadcast_to(outcomes, shape)
    chances = jnp.broadcast_to(jax.nn.sigmoid(logits), shape)
    own = jnp.log(jnp.where(outcomes == 1, chances, 1 - chances)).sum(-1)
    prior = jnp.broadcast_to(jnp.array([0.5, 0.3]), shape)
    prior = jnp.log(jnp.where(outcomes == 1, prior, 1 - prior)).sum(-1)
    means = outcomes @ jnp.array([1.0, -2.0])
    likelihood = norm_logpdf(jnp.broadcast_to(DATA, means.shape), means, 0.8)
    terms = jax.nn.logsumexp(likelihood + prior - own, 1) - jnp.log(count)
    return jnp.sum(jnp.exp(own.sum(1)) * terms, 0)


def norm_logpdf(x, center, scale):
    return jax.scipy.stats.norm.logpdf(x, center, scale)


@pytest.mark.slow
def test_enumeration_is_exact():
    def total(logits):
        found = bits_bound(logits, jax.random.key(0), rj.Enumerate(), 2)
        return jnp.sum(found), found

    slope, found = jax.jit(jax.grad(total, has_aux=True))(LOGITS)
    np.testing.assert_allclose(found, exact_bits_bound(LOGITS, 2), rtol=3e-6)
    wanted = jax.grad(lambda logits: jnp.sum(exact_bits_bound(logits, 2)))(LOGITS)
    np.testing.assert_allclose(slope, wanted, rtol=3e-5, atol=3e-6)


ESTIMATORS = {
    "default": None,
    "arm": rj.ARM(),
    "disarm": rj.DisARM(),
    "rebar": rj.Rebar(),
    "measure_valued": rj.MeasureValued(),
    "score": rj.ScoreFunction(),
    "score_of_sets": rj.ScoreFunction(baseline=jnp.asarray(-2.0)),
}


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_is_unbiased(name, count, alpha):
    def total(logits, key):
        return jnp.sum(bits_bound(logits, key, ESTIMATORS[name], count))

    keys = jax.random.split(jax.random.key(count), 30_000)
    slopes = jax.jit(jax.vmap(jax.grad(total), (None, 0)))(LOGITS, keys)
    slopes = np.asarray(slopes, np.float64)
    wanted = jax.grad(lambda logits: jnp.sum(exact_bits_bound(logits, count)))(LOGITS)
    errors = slopes.std(0, ddof=1) / np.sqrt(len(slopes)) + 1e-6
    worst = np.max(np.abs(slopes.mean(0) - wanted) / errors)
    assert worst < np.sqrt(2 * np.log(2 * slopes[0].size / alpha))


WEIGHTS = {"in": jnp.full((8, 32), 0.05), "out": jnp.full((32, 16), 0.1)}


def flops(gradient, argnums):
    def loss(parameters, weights, key):
        def log_likelihood(z, weights):
            hidden = jnp.tanh(z @ weights["in"])
            return jnp.sum(jnp.tanh(hidden @ weights["out"]), -1)

        guide = dist.Normal(parameters["loc"], jnp.exp(parameters["log_std"]))
        prior = dist.Normal(jnp.zeros(8), 1.0).to_event(1)
        options = {"num_samples": 16, "gradient": gradient}
        args = log_likelihood, guide.to_event(1), weights
        return jnp.sum(rj.iwae_bound(key, *args, prior=prior, **options))

    parameters = {"loc": jnp.zeros((4, 8)), "log_std": jnp.zeros((4, 8))}
    program = jax.jit(jax.value_and_grad(loss, argnums))
    lowered = program.lower(parameters, WEIGHTS, jax.random.key(0))
    return lowered.compile().cost_analysis()["flops"]


@pytest.mark.slow
@pytest.mark.parametrize("argnums", [(0,), (0, 1)])
def test_dreg_costs_what_the_standard_gradient_does(argnums):
    # Its two evaluations are merged: one more would be a third of the whole.
    assert flops("dreg", argnums) <= 1.1 * flops("standard", argnums)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (
            {"num_samples": 0},
            ValueError,
            "`iwae_bound` needs `num_samples`",
        ),
        ({"gradient": "stl"}, ValueError, '"standard"` or `"dreg"`, got .stl.'),
        ({"guide": dist.Poisson(3.0)}, TypeError, "Poisson: its draws are discrete"),
        ({"estimator": rj.ScoreFunction()}, ValueError, "goes through independent"),
        ({"estimator": rj.Quadrature(2)}, ValueError, "goes through independent"),
        ({"estimator": rj.Pathwise("antithetic")}, ValueError, "uncoupled"),
        ({"estimator": rj.Pathwise}, TypeError, r"`iwae_bound`.*rj\.Pathwise\(\)"),
        ({"log_joint_fn": lambda z: z[None]}, ValueError, r"`iwae_bound`.*got \(1,\)"),
        ({"key": None}, TypeError, "`iwae_bound` takes a JAX PRNG key"),
    ],
)
def test_mistakes_are_named(options, error, words):
    arguments = {
        "key": jax.random.key(0),
        "log_joint_fn": lambda z: -(z**2),
        "guide": dist.Normal(),
        "num_samples": 4,
        "gradient": "dreg",
    } | options
    first = [arguments.pop(name) for name in ("key", "log_joint_fn", "guide")]
    with pytest.raises(error, match=words):
        rj.iwae_bound(*first, **arguments)


@pytest.mark.slow
def test_dreg_has_no_gradient_for_a_support_that_moves():
    def of(high):
        guide, log_joint = dist.Uniform(0.0, high), dist.Normal(1.0, 1.0).log_prob
        key, options = jax.random.key(0), {"num_samples": 2, "gradient": "dreg"}
        return rj.iwae_bound(key, log_joint, guide, **options)

    with pytest.raises(ValueError, match='gradient="standard"'):
        jax.grad(of)(2.0)
