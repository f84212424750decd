"""Score-function gradients by enumeration of all draws: no Monte Carlo."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from reparam_jax.estimators._score_function import ScoreFunction
from tests.estimators import exact

DTYPES = [np.float32, np.float64]
LOO = ScoreFunction(baseline="leave_one_out")
WEIGHTS = (0.7, -0.4, 1.3)


def rtol(dtype):
    return 1e-12 if dtype == np.float64 else 1e-6


def tangled(b):
    """A cost of three bits that no sum of functions of one bit is."""
    weights = jnp.asarray(WEIGHTS, jnp.result_type(float))
    return jnp.sin(jnp.sum(weights * b)) + b[0] * b[1] - 2.0 * b[0] * b[1] * b[2]


def probabilities(logits, draws):
    """Of draws of shape (n, samples, bits), in float64."""
    p = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    b = np.asarray(draws, np.float64)
    each = np.where(b == 1, p, 1 - p)
    return each.reshape(len(b), -1).prod(-1)


def all_samples(num_samples, count):
    """Every outcome of several samples of several bits."""
    return exact.bits(num_samples * count).reshape(-1, num_samples, count)


def mean_gradient(estimator, cost, dist_of, logits, draws, *args):
    """The expected gradient, and the gradients at each outcome with their weights."""

    def estimate(logits, draw):
        return estimator.estimate(cost, dist_of(logits), draw, *args)

    gradients = jax.jit(jax.vmap(jax.grad(estimate), (None, 0)))(logits, draws)
    weights = probabilities(logits, draws)
    return exact.moments(gradients, weights)


def true_gradient(cost, logits):
    """Sum over outcomes, differentiated by hand: p (1 - p) (E[f; b=1] - E[f; b=0])."""
    outcomes = np.asarray(exact.bits(len(logits)))
    costs = np.array([float(cost(jnp.asarray(b))) for b in outcomes])
    p = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    weights = np.where(outcomes == 1, p, 1 - p).prod(-1)
    return (weights * costs) @ (outcomes - p)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("theta", [0.5, 0.3, 0.02])
@pytest.mark.parametrize("num_samples", [1, 2, 4])
def test_one_bit_has_the_variances_in_closed_form(num_samples, theta, dtype):
    p0 = 0.45
    f1, f0 = (1 - p0) ** 2, p0**2
    q, difference = theta * (1 - theta), f1 - f0
    if num_samples == 1:
        estimator = ScoreFunction()
        variance = q * ((1 - theta) * f1 + theta * f0) ** 2
    else:
        estimator = LOO
        fourth = q * (1 - 3 * q)
        of_rest = (num_samples - 3) / (num_samples - 1)
        variance = difference**2 * (fourth - of_rest * q**2) / num_samples
    with jax.enable_x64(dtype == np.float64):
        logits = jnp.asarray([np.log(theta / (1 - theta))], dtype)
        mean, found = mean_gradient(
            estimator,
            lambda b: jnp.sum((b - p0) ** 2),
            lambda logits: dist.Bernoulli(logits=logits),
            logits,
            all_samples(num_samples, 1),
        )
    scale = max(q * abs(difference), np.sqrt(variance))
    np.testing.assert_allclose(mean, [q * difference], atol=rtol(dtype) * scale)
    np.testing.assert_allclose(found, [variance], rtol=20 * rtol(dtype))


@pytest.mark.parametrize("theta", [0.3, 0.9])
def test_one_bit_has_no_variance_with_the_best_baseline(theta):
    f1, f0 = 0.55**2, 0.45**2
    with jax.enable_x64(True):
        best = jnp.asarray((1 - theta) * f1 + theta * f0)
        logits = jnp.asarray([np.log(theta / (1 - theta))])
        mean, variance = mean_gradient(
            ScoreFunction(baseline=best),
            lambda b: jnp.sum((b - 0.45) ** 2),
            lambda logits: dist.Bernoulli(logits=logits),
            logits,
            all_samples(1, 1),
        )
    slope = theta * (1 - theta) * (f1 - f0)
    np.testing.assert_allclose(mean, [slope], rtol=1e-12)
    assert np.all(variance < 1e-24 * slope**2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("event", [False, True])
def test_a_cost_of_three_bits(event, dtype):
    def dist_of(logits):
        law = dist.Bernoulli(logits=logits)
        return law.to_event(1) if event else law

    with jax.enable_x64(dtype == np.float64):
        logits = jnp.asarray([0.4, -1.1, 0.0], dtype)
        true = true_gradient(tangled, logits)
        for estimator, samples in (ScoreFunction(), 1), (LOO, 2):
            draws = all_samples(samples, 3)
            mean, _ = mean_gradient(estimator, tangled, dist_of, logits, draws)
            np.testing.assert_allclose(mean, true, atol=2 * rtol(dtype))


def test_costs_of_the_batch_are_credited_element_by_element():
    # Credited with the sum, the gradient has the same mean and a larger variance.
    def costs(b):
        return jnp.array([1.0, 2.0, 0.5]) * (b - 0.3) ** 2

    logits = jnp.array([0.4, -1.1, 0.7])
    p = jax.nn.sigmoid(logits)
    true = p * (1 - p) * jnp.array([1.0, 2.0, 0.5]) * (0.49 - 0.09)
    draws, weights = exact.bits(3)[:, None], probabilities(logits, exact.bits(3))

    def slopes(cost):
        def total(logits, draw):
            value = ScoreFunction().estimate(cost, dist.Bernoulli(logits=logits), draw)
            return jnp.sum(value)

        return jax.vmap(jax.grad(total), (None, 0))(logits, draws)

    mean, variance = exact.moments(slopes(costs), weights)
    np.testing.assert_allclose(mean, true, atol=1e-6)
    scale = np.array([1.0, 2.0, 0.5])
    own = [0.49 * scale, 0.09 * scale]
    q = np.asarray(p * (1 - p), np.float64)
    expected = q * ((1 - np.asarray(p)) * own[0] + np.asarray(p) * own[1]) ** 2
    np.testing.assert_allclose(variance, expected, rtol=1e-5)
    whole, larger = exact.moments(slopes(lambda b: jnp.sum(costs(b))), weights)
    np.testing.assert_allclose(whole, true, atol=1e-6)
    assert np.sum(larger) > 1.3 * np.sum(variance)


@pytest.mark.slow
def test_second_derivatives_are_those_of_the_expectation():
    # DiCE: E f with its Hessian, the cost depending on the parameter as well.
    def cost(b, logits):
        return tangled(b) * jnp.cos(logits[0] + 2 * logits[2])

    def expected(logits):
        outcomes = exact.bits(3, jnp.float64)
        log_p = jnp.where(
            outcomes == 1, jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        ).sum(-1)
        costs = jax.vmap(lambda b: cost(b, logits))(outcomes)
        return jnp.sum(jnp.exp(log_p) * costs)

    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        logits = jnp.array([0.4, -1.1, 0.2])
        for estimator, samples in (ScoreFunction(), 1), (LOO, 2):
            draws = all_samples(samples, 3)
            weights = probabilities(logits, draws)

            def estimate(logits, draw, estimator=estimator):
                law = dist.Bernoulli(logits=logits)
                return estimator.estimate(cost, law, draw, logits)

            for mode in jax.jacfwd, jax.jacrev:
                hessian = jax.jit(jax.vmap(mode(jax.grad(estimate)), (None, 0)))
                found = exact.moments(hessian(logits, draws), weights)[0]
                np.testing.assert_allclose(
                    found, jax.hessian(expected)(logits), rtol=1e-11, atol=1e-13
                )


def test_leave_one_out_leaves_out_antithetic_pairs():
    # z and -z: with the partner left in, the baseline of the quadratic's odd part would
    # hold the draw itself.
    estimator = ScoreFunction(baseline="leave_one_out", coupling="antithetic")
    with jax.enable_x64(True):
        nodes, weights = exact.hermite(12, jnp.float64)
        first, second = (x.ravel() for x in jnp.meshgrid(nodes, nodes))
        noise = jnp.stack([first, second, -first, -second], -1)

        def estimate(mean, noise):
            law = dist.Normal(mean, 0.5)
            return estimator.estimate(lambda z: z**3, law, mean + 0.5 * noise)

        slopes = jax.vmap(jax.grad(estimate), (None, 0))(0.3, noise)
        mean, _ = exact.moments(slopes, np.outer(weights, weights).ravel())
    np.testing.assert_allclose(mean, 3 * (0.3**2 + 0.25), rtol=1e-12)


def test_too_few_samples_and_dependent_ones_are_refused():
    key, law = jax.random.key(0), dist.Bernoulli(logits=0.3)
    with pytest.raises(ValueError, match="at least 2, got 1"):
        LOO.draw(key, law, 1)
    with pytest.raises(ValueError, match="at least 2, got 1"):
        LOO.estimate(lambda b: b * 1.0, law, jnp.ones(1, int))
    paired = ScoreFunction(baseline="leave_one_out", coupling="antithetic")
    with pytest.raises(ValueError, match="at least 4 in antithetic pairs, got 2"):
        paired.draw(key, dist.Normal(0.0, 1.0), 2)
    with pytest.raises(ValueError, match="biased"):
        ScoreFunction(baseline="leave_one_out", coupling="stratified")


@pytest.mark.parametrize(
    ("baseline", "words"),
    [("mean", "'mean'"), (jnp.zeros(2), r"broadcasts to the shape of a cost, \(3,\)")],
)
def test_bad_baselines_are_refused(baseline, words):
    with pytest.raises(ValueError, match=words):
        ScoreFunction(baseline=baseline).estimate(
            lambda b: 1.0 * b, dist.Bernoulli(logits=jnp.zeros(3)), jnp.ones((1, 3))
        )


def test_a_baseline_is_not_differentiated_and_gets_the_arguments():
    def loss(weight, logits):
        estimator = ScoreFunction(baseline=lambda data: weight * data)
        law = dist.Bernoulli(logits=logits)
        return estimator.estimate(lambda b, data: b * data, law, jnp.ones(1), 3.0)

    weight_slope, slope = jax.grad(loss, (0, 1))(0.5, 0.4)
    assert weight_slope == 0
    expected = (3.0 - 1.5) * (1 - jax.nn.sigmoid(0.4))
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


# E z of each has a gradient for the moving end, which the score does not see.
MOVING = {
    "uniform": lambda x: dist.Uniform(0.0, x),
    "independent": lambda x: dist.Uniform(0.0, x * jnp.ones(2)).to_event(1),
    "pareto": lambda x: dist.Pareto(x, 3.0),
    "shifted": lambda x: dist.TransformedDistribution(
        dist.Exponential(1.0), dist.transforms.AffineTransform(x, 2.0)
    ),
    "truncated": lambda x: dist.TruncatedNormal(0.0, 1.0, low=x),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "truncated" else ())
        for name in MOVING
    ],
)
def test_a_parameter_that_moves_the_support_raises(name):
    estimator = ScoreFunction()
    inside = 0.4 if name in ("uniform", "independent") else 0.9
    draws = jnp.full((1, *MOVING[name](0.7).shape()), inside)

    def value(x):
        return estimator.estimate(lambda z: jnp.sum(z), MOVING[name](x), draws)

    value(0.7)
    for differentiate in jax.grad(value), jax.jit(jax.grad(value)):
        with pytest.raises(ValueError, match="moves the support"):
            differentiate(0.7)


def test_other_parameters_of_such_a_law_keep_their_gradient():
    # log p = log(a) + a log(s) - (a + 1) log(z) at z = 2, s = 1.
    def value(alpha):
        law = dist.Pareto(1.0, alpha)
        return ScoreFunction().estimate(lambda z: z, law, jnp.array([2.0]))

    np.testing.assert_allclose(jax.grad(value)(3.0), 2 * (1 / 3 - np.log(2)), rtol=1e-6)


def test_a_point_is_refused():
    with pytest.raises(TypeError, match=r"rj\.Pathwise"):
        ScoreFunction().draw(jax.random.key(0), dist.Delta(1.0), 2)


def test_masks_do_not_cut_the_gradient():
    def value(logits, mask):
        law = dist.Bernoulli(logits=logits).mask(mask)
        return ScoreFunction().estimate(lambda b: 3.0 * b, law, jnp.ones(1))

    masked = jax.grad(value)(0.4, jnp.asarray(False))
    np.testing.assert_allclose(masked, 3 * (1 - jax.nn.sigmoid(0.4)), rtol=1e-6)


def test_draws_are_those_of_the_distribution():
    key = jax.random.key(3)
    law = dist.Poisson(jnp.array([0.5, 4.0]))
    draws = rj.ScoreFunction().draw(key, law, 5)
    np.testing.assert_array_equal(draws, law.sample(jax.random.key(3), (5,)))
