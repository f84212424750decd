"""Sums over outcomes are exact, whole and in part."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from reparam_jax.estimators._costs import Costs
from tests.estimators.exact import gradients, moments
from tests.estimators.precisions import both, both_in_time, precision

LOGITS = np.array([0.0, 0.5, -1.0])
WEIGHTS = np.array([1.0, 2.0, 4.0])


def assert_close(actual, expected, rtol):
    """To a fraction of the largest."""
    expected = np.asarray(expected)
    scale = np.max(np.abs(expected))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=rtol * scale)


def cost(bits):
    """Of 3 bits that do not separate."""
    weights = jnp.asarray(WEIGHTS, float)
    return (jnp.sum(weights * bits) - 1.5) ** 2 + 3.0 * bits[0] * bits[1] * bits[2]


def expected(cost_fn, dist_of, estimator=None, num_samples=1):
    estimator = rj.Enumerate() if estimator is None else estimator

    def mean(parameters, *args):
        return rj.expectation(
            jax.random.key(0),
            cost_fn,
            dist_of(parameters),
            *args,
            num_samples=num_samples,
            estimator=estimator,
        )

    return jax.jit(mean)


def bits_of(logits):
    return dist.Bernoulli(logits=logits)


def exact_bits():
    """Value, gradient and Hessian for the logits, by sums over the bits."""
    probs = 1 / (1 + np.exp(-LOGITS))
    slopes = probs * (1 - probs)
    curves = slopes * (1 - 2 * probs)
    value, gradient, hessian = 0.0, np.zeros(3), np.zeros((3, 3))
    for bits in itertools.product([0, 1], repeat=3):
        bits = np.array(bits)
        f = float((WEIGHTS @ bits - 1.5) ** 2 + 3 * np.prod(bits))
        chances = np.where(bits, probs, 1 - probs)
        signs = 2 * bits - 1
        value += f * np.prod(chances)
        for i in range(3):
            gradient[i] += f * signs[i] * slopes[i] * np.prod(np.delete(chances, i))
            hessian[i, i] += f * signs[i] * curves[i] * np.prod(np.delete(chances, i))
            for j in set(range(3)) - {i}:
                both = signs[i] * slopes[i] * signs[j] * slopes[j]
                hessian[i, j] += f * both * np.prod(np.delete(chances, [i, j]))
    return value, gradient, hessian


@both
def test_bits_that_do_not_separate(dtype, rtol):
    value, gradient, hessian = exact_bits()
    with precision(dtype):
        mean = jax.jit(expected(cost, bits_of))
        logits = jnp.asarray(LOGITS, dtype)
        actual, slope = jax.value_and_grad(mean)(logits)
        curvature = jax.jit(jax.hessian(mean))(logits)
        forward = jax.jvp(mean, (logits,), (jnp.ones_like(logits),))[1]
        assert actual.dtype == slope.dtype == dtype
    assert_close(actual, value, rtol)
    assert_close(slope, gradient, rtol)
    assert_close(curvature, hessian, rtol)
    assert_close(forward, gradient.sum(), rtol)


@both_in_time
@pytest.mark.parametrize("form", ["probs", "logits"])
@pytest.mark.parametrize("one_hot", [False, True])
def test_categories(dtype, rtol, form, one_hot):
    weights = np.array([1.0, -2.0, 4.0])
    with precision(dtype):
        probs = jnp.asarray([0.2, 0.3, 0.5], dtype)
        chances = np.asarray(probs, np.float64)
        chances = chances / chances.sum()
        scores = jnp.asarray(weights, dtype)
        centred = weights - weights @ chances

        def law(x):
            if one_hot:
                return dist.Multinomial(1, **{form: x})
            return dist.Categorical(**{form: x})

        def linear(z):
            return jnp.sum(z * scores) if one_hot else scores[z]

        point = probs if form == "probs" else jnp.log(probs)
        actual = jax.grad(expected(linear, law))(point)
    # d/dp_i of sum_j w_j p_j / sum_j p_j, and p_i times that for its logarithm.
    assert_close(actual, centred if form == "probs" else chances * centred, rtol)


def test_probabilities_of_zero_and_one():
    probs = jnp.array([0.0, 1.0, 0.25])
    mean = expected(cost, lambda p: dist.Bernoulli(probs=p))
    value, slope = jax.value_and_grad(mean)(probs)
    f = {
        bits: float(cost(jnp.array(bits)))
        for bits in itertools.product([0, 1], repeat=3)
    }
    np.testing.assert_allclose(value, 0.75 * f[0, 1, 0] + 0.25 * f[0, 1, 1], rtol=1e-6)
    by_first = 0.75 * (f[1, 1, 0] - f[0, 1, 0]) + 0.25 * (f[1, 1, 1] - f[0, 1, 1])
    by_second = 0.75 * (f[0, 1, 0] - f[0, 0, 0]) + 0.25 * (f[0, 1, 1] - f[0, 0, 1])
    by_third = f[0, 1, 1] - f[0, 1, 0]
    np.testing.assert_allclose(slope, [by_first, by_second, by_third], rtol=1e-6)


def test_counts_of_a_zero_initialised_network():
    def mean(logits):
        return expected(lambda z: z**2.0, lambda x: dist.Binomial(10, logits=x))(logits)

    # E z^2 = n p (1 - p) + n^2 p^2, whose slope in the logit at 0 is n^2 / 4.
    value, slope = jax.value_and_grad(mean)(0.0)
    np.testing.assert_allclose([value, slope], [27.5, 25.0], rtol=1e-6)


def table(z):
    return (1.0 + z) ** 2 * jnp.array([1.0, 2.0, 3.0])


def test_a_cost_of_the_batch_is_summed_element_by_element():
    logits = jnp.asarray(LOGITS, jnp.float32)
    batched = expected(table, bits_of)
    together = expected(lambda z: jnp.sum(table(z)), bits_of)
    probs = 1 / (1 + np.exp(-LOGITS))
    scale = np.arange(1, 4)
    values = scale * (4 * probs + (1 - probs))
    slopes = scale * probs * (1 - probs) * 3
    assert_close(batched(logits), values, 1e-6)
    assert_close(jax.jacobian(batched)(logits), np.diag(slopes), 1e-6)
    assert_close(jax.grad(together)(logits), slopes, 1e-6)


def test_an_event_is_summed_jointly_in_each_element():
    logits = jnp.array([[0.0, 0.5, -1.0], [1.0, 0.0, 0.3]])
    mean = expected(jax.vmap(cost), lambda x: dist.Bernoulli(logits=x).to_event(1))
    rows = [jax.grad(expected(cost, bits_of))(row) for row in logits]
    slopes = jax.jacobian(mean)(logits)
    for i in range(2):
        assert_close(slopes[i, i], rows[i], 1e-6)
        np.testing.assert_array_equal(slopes[i, 1 - i], 0)


def test_trees_are_summed_jointly():
    def law(x):
        return {
            "switch": dist.Bernoulli(logits=x[0]),
            "k": dist.Binomial(2, logits=x[1]),
        }

    def mean(x):
        return expected(lambda z: z["switch"] * z["k"] ** 2.0, law)(x)

    # p (2 q (1 - q) + 4 q^2) with p = q = 1 / 2.
    value, slopes = jax.value_and_grad(mean)(jnp.zeros(2))
    np.testing.assert_allclose(value, 0.75, rtol=1e-6)
    np.testing.assert_allclose(slopes, [0.375, 0.5], rtol=1e-6)


def test_a_law_without_an_axis_of_the_batch_serves_all_elements():
    def law(x):
        return dist.Bernoulli(logits=x["shared"]), dist.Bernoulli(logits=x["own"])

    def mean(x):
        weights = jnp.array([1.0, 2.0, 3.0])
        return expected(lambda z: weights * z[0] * (1.0 + z[1]), law)(x)

    x = {"shared": jnp.array(0.0), "own": jnp.zeros(3)}
    np.testing.assert_allclose(mean(x), [0.75, 1.5, 2.25], rtol=1e-6)
    slopes = jax.jacobian(mean)(x)
    np.testing.assert_allclose(slopes["shared"], [0.375, 0.75, 1.125], rtol=1e-6)
    np.testing.assert_allclose(slopes["own"], np.diag([0.125, 0.25, 0.375]), rtol=1e-6)


def test_other_parameters_of_the_cost():
    def mean(x):
        return expected(lambda z, x: jnp.exp(x * z), lambda x: dist.Bernoulli(probs=x))(
            x, x
        )

    # 1 - x + x exp(x)
    for order, exact in enumerate(
        [np.exp(0.5) * 1.5 - 1, np.exp(0.5) * 2.5, np.exp(0.5) * 3.5], 1
    ):
        slope = mean
        for _ in range(order):
            slope = jax.grad(slope)
        np.testing.assert_allclose(slope(0.5), exact, rtol=2e-6)


def test_costs_may_have_more_rows_than_values():
    """Those of other laws, drawn by other estimators."""
    other = jnp.array([1.0, 2.0, 3.0])
    costs = Costs(lambda values: (1.0 + values[0]) * other, ())
    estimator = rj.Enumerate()
    rows = estimator.estimates(costs, [dist.Bernoulli(probs=0.25)], [None])
    np.testing.assert_allclose(rows, 1.25 * other, rtol=1e-6)
    partial = rj.Enumerate(num_terms=1)
    rows = partial.estimates(costs, [dist.Bernoulli(probs=0.25)], [jnp.zeros(3)])
    np.testing.assert_allclose(rows, 1.25 * other, rtol=1e-6)


# Partial sums


@pytest.mark.slow
@both
@pytest.mark.parametrize("num_terms", [2, 7, 8])
def test_partial_sums_are_unbiased(dtype, rtol, num_terms):
    """Over each draw that picks another outcome, with their chances."""
    _, gradient, hessian = exact_bits()
    chances = joint_chances()
    rest = np.sort(chances)[::-1][num_terms:]
    middles, weights = cells(rest)
    with precision(dtype):
        logits = jnp.asarray(LOGITS, dtype)
        estimator = rj.Enumerate(num_terms=num_terms)
        draws = jnp.broadcast_to(
            jnp.asarray(middles, dtype)[:, None], (len(middles), 3)
        )
        slopes = gradients(estimator, cost, bits_of, logits, draws)

        def slope(logits, draw):
            def estimate(logits):
                return estimator.estimate(cost, bits_of(logits), draw[None])

            return jax.grad(estimate)(logits)

        curvatures = jax.jit(jax.vmap(jax.jacfwd(slope), (None, 0)))(logits, draws)
    mean, variance = moments(slopes, weights)
    assert_close(mean, gradient, rtol)
    assert_close(moments(curvatures, weights)[0], hessian, rtol)
    if len(rest) < 2:
        assert_close(slopes, np.broadcast_to(gradient, slopes.shape), rtol)
    else:
        assert_close(variance, partial_variance(num_terms), 10 * rtol)


def joint_chances():
    probs = 1 / (1 + np.exp(-LOGITS))
    outcomes = np.array(list(itertools.product([0, 1], repeat=3)))
    return np.prod(np.where(outcomes, probs, 1 - probs), 1)


def partial_variance(num_terms):
    """Of f(z) dp(z) / q(z) with z drawn from q, for each logit."""
    probs = 1 / (1 + np.exp(-LOGITS))
    outcomes = np.array(list(itertools.product([0, 1], repeat=3)))
    chances = joint_chances()
    costs = (outcomes @ WEIGHTS - 1.5) ** 2 + 3 * np.prod(outcomes, 1)
    rest = np.argsort(-chances)[num_terms:]
    q = chances[rest] / chances[rest].sum()
    scores = outcomes[rest] - probs
    terms = (costs[rest] * chances[rest] / q)[:, None] * scores
    return q @ terms**2 - (q @ terms) ** 2


def cells(chances):
    """One uniform for each outcome that it picks, and the chance to."""
    if not len(chances):
        return np.array([0.5]), np.array([1.0])
    chances = chances / chances.sum()
    ends = np.cumsum(chances)
    return ends - chances / 2, chances


def test_partial_sums_element_by_element():
    probs = np.array([[0.5, 0.2, 0.3], [0.1, 0.7, 0.2]])
    logits = jnp.asarray(np.log(probs), jnp.float32)
    scores = np.array([[1.0, -2.0, 4.0], [3.0, 1.0, -1.0]])

    def costs(z):
        return jnp.take_along_axis(jnp.asarray(scores, float), z[:, None], 1)[:, 0]

    # The rest of the first row is 2 and 1, of the second 2 and 0, at 3/5 and 2/3.
    draws = jnp.array([[0.3, 0.3], [0.8, 0.3], [0.3, 0.8], [0.8, 0.8]])
    weights = np.outer([2 / 3, 1 / 3], [3 / 5, 2 / 5]).ravel()
    estimator = rj.Enumerate(num_terms=1)

    def law(x):
        return dist.Categorical(logits=x)

    def jacobian(logits, draw):
        return jax.jacobian(lambda x: estimator.estimate(costs, law(x), draw[None]))(
            logits
        )

    slopes = jax.jit(jax.vmap(jacobian, (None, 0)))(logits, draws)
    exact = np.zeros((2, 2, 3))
    for i in range(2):
        exact[i, i] = probs[i] * (scores[i] - probs[i] @ scores[i])
    assert_close(moments(slopes, weights)[0], exact, 1e-6)


def test_partial_sums_leave_out_what_has_no_probability():
    probs = jnp.array([0.6, 0.0, 0.4, 0.0])
    scores = jnp.array([1.0, 2.0, 5.0, 3.0])

    @functools.partial(jax.jit, static_argnums=2)
    def slope(probs, uniform, num_terms):
        def mean(probs):
            estimator = rj.Enumerate(num_terms=num_terms)
            law = dist.Categorical(probs=probs)
            return estimator.estimate(lambda z: scores[z], law, uniform[None])

        return jax.value_and_grad(mean)(probs)

    full = slope(probs, jnp.array(0.5), 4)[1]
    for uniform in 0.0, 1 - 2.0**-24, 1.0:  # the last as rounding may have it
        # The one outcome of the rest that is possible, whatever the uniform.
        value, slopes = slope(probs, jnp.array(uniform), 1)
        np.testing.assert_allclose(value, 2.6, rtol=1e-6)
        np.testing.assert_allclose(slopes[jnp.array([0, 2])], full[jnp.array([0, 2])])
    # Where nothing of the rest is possible a uniform draw of it gives the derivative.
    rest = [slope(probs, jnp.array(uniform), 2)[1] for uniform in (0.25, 0.75)]
    np.testing.assert_allclose(np.mean(rest, 0), full, rtol=1e-6)


def test_uniforms_that_pick_are_of_the_batch():
    law = dist.Bernoulli(logits=jnp.zeros((2, 3))).to_event(1)
    draws = rj.Enumerate(num_terms=2).draw(jax.random.key(0), law, 4)
    assert draws.shape == (4, 2)
    np.testing.assert_array_equal(draws, rj.noise.uniform(jax.random.key(0), (4, 2)))
    assert rj.Enumerate().draw(jax.random.key(0), law, 4).shape == (4, 0)


@pytest.mark.slow
def test_programs_agree():
    logits = jnp.asarray(LOGITS, jnp.float32)

    def keys():
        return jax.random.split(jax.random.key(3), 4)

    def slope(key, logits):
        def mean(logits):
            estimator = rj.Enumerate(num_terms=3)
            return rj.expectation(
                key, cost, bits_of(logits), num_samples=5, estimator=estimator
            )

        return jax.grad(mean)(logits)

    def step(total, key):
        slopes = slope(key, logits)
        return total + jnp.sum(slopes), slopes

    compiled = jax.jit(slope)
    one_by_one = np.stack([compiled(key, logits) for key in keys()])
    assert np.ptp(one_by_one, 0).min() > 0.1
    np.testing.assert_allclose(
        jax.jit(jax.vmap(slope, (0, None)))(keys(), logits), one_by_one, rtol=1e-5
    )
    np.testing.assert_allclose(
        jax.lax.scan(step, 0.0, keys())[1], one_by_one, rtol=1e-5
    )
    batch = jnp.stack([logits, 2 * logits])
    np.testing.assert_allclose(
        jax.vmap(jax.grad(expected(cost, bits_of)))(batch)[0],
        jax.grad(expected(cost, bits_of))(logits),
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    ("estimator", "law", "evaluations"),
    [
        (rj.Enumerate(), dist.Bernoulli(probs=jnp.full(3, 0.5)), 8),
        (rj.Enumerate(), dist.Categorical(probs=jnp.full((2, 4), 0.25)), 16),
        (rj.Enumerate(num_terms=3), dist.Bernoulli(probs=jnp.full(3, 0.5)), 3 + 5),
    ],
)
def test_evaluations_of_the_cost(estimator, law, evaluations):
    seen = []

    def counted(z):
        jax.debug.callback(lambda _: seen.append(0), z)
        return jnp.sum(z) * 1.0

    expected(counted, lambda _: law, estimator, 5)(0).block_until_ready()
    jax.effects_barrier()
    assert len(seen) == evaluations


def test_what_is_refused():
    with pytest.raises(TypeError, match=r"Poisson: `ScoreFunction` works"):
        expected(jnp.sum, dist.Poisson)(1.0)
    with pytest.raises(TypeError, match=r"Normal: `Pathwise` works"):
        expected(jnp.sum, dist.Normal)(1.0)
    with pytest.raises(ValueError, match=r"at 131072 joint points, at most 65536"):
        expected(lambda z: jnp.sum(z) * 1.0, bits_of)(jnp.zeros(17))
    with pytest.raises(ValueError, match=r"`num_terms` of at least 1, got 0"):
        rj.Enumerate(num_terms=0)
    with pytest.raises(TypeError, match=r"`num_terms` to be an integer, got True"):
        rj.Enumerate(num_terms=True)
    with pytest.raises(ValueError, match=r"takes one distribution, got 2"):
        expected(
            lambda z: z[0] * z[1] * 1.0,
            lambda x: (bits_of(x), bits_of(x)),
            rj.Enumerate(num_terms=1),
        )(0.0)
