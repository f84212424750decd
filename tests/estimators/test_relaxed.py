"""The relaxed estimator against quadrature over its noise."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from tests.estimators.exact import gradients, moments

# Probability, middle of the cost, temperature: mean and variance, as far as printed.
PRINTED = {
    (0.5, 0.499, 0.1): (4.960e-4, 0.0827),
    (0.5, 0.499, 0.5): (4.292e-4, 0.01393),
    (0.5, 0.499, 1.0): (3.333e-4, 0.00476),
    (0.3, 0.45, 0.1): (0.01271, 0.0716),
    (0.3, 0.45, 0.5): (-0.00769, 0.0121),
    (0.3, 0.45, 1.0): (-0.01043, 0.00420),
    (0.9, 0.499, 0.5): (0.03228, None),
}


def logistic():
    """Nodes and weights; the trapezoid rule is exact for analytic functions."""
    nodes = np.linspace(-45, 45, 2401)
    return nodes, np.exp(-np.abs(nodes)) / (1 + np.exp(-np.abs(nodes))) ** 2


def squared(middle):
    return lambda draw: (draw - middle) ** 2


def exact_moments(logit, middle, temperature):
    nodes, weights = logistic()
    y = 1 / (1 + np.exp(-(logit + nodes) / temperature))
    return moments(2 * (y - middle) * y * (1 - y) / temperature, weights)


def by_logits(logits):
    return dist.Bernoulli(logits=logits)


def by_probs(probs):
    return dist.Bernoulli(probs=probs)


@pytest.mark.slow
@pytest.mark.parametrize(("prob", "middle", "temperature"), PRINTED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_mean_and_variance_are_those_of_the_relaxed_cost(
    dtype, prob, middle, temperature
):
    tolerance = 1e-12 if dtype is np.float64 else 1e-6
    mean, variance = PRINTED[prob, middle, temperature]
    logit = np.log(prob / (1 - prob))
    with jax.enable_x64(dtype is np.float64):
        nodes, weights = logistic()
        nodes = jnp.asarray(nodes, dtype)
        estimator = rj.Relaxed(temperature)
        slopes = gradients(estimator, squared(middle), by_logits, dtype(logit), nodes)
        for_probs = gradients(estimator, squared(middle), by_probs, dtype(prob), nodes)
    assert slopes.dtype == dtype
    actual = moments(slopes, weights)
    exact = exact_moments(logit, middle, temperature)
    np.testing.assert_allclose(actual, exact, rtol=tolerance, atol=tolerance * 0.05)
    half_a_digit = 10.0 ** -len(f"{mean:.10f}".rstrip("0").split(".")[1]) / 1.9
    assert abs(actual[0] - mean) < half_a_digit
    if variance is not None:
        assert abs(actual[1] / variance - 1) < 5e-3
    through_probs = moments(for_probs, weights)[0] * prob * (1 - prob)
    np.testing.assert_allclose(through_probs, exact[0], atol=3 * tolerance * 0.05)


def test_the_value_is_the_relaxed_cost_and_with_hard_that_of_hard_draws():
    logits, noise = jnp.array([0.4, -1.0]), jnp.array([[0.3, 2.0], [-2.0, -1.0]])
    estimate = {
        hard: jax.value_and_grad(
            lambda logits, hard=hard: rj.Relaxed(0.5, hard=hard).estimate(
                lambda draw: jnp.sum(draw * draw), by_logits(logits), noise
            )
        )(logits)
        for hard in (False, True)
    }
    y = jax.nn.sigmoid((logits[None] + noise) / 0.5)
    b = jnp.array([[1.0, 1.0], [0.0, 0.0]])
    for hard, seen in ((False, y), (True, b)):
        value, slopes = estimate[hard]
        np.testing.assert_allclose(value, jnp.mean(jnp.sum(seen**2, -1)), rtol=1e-6)
        expected = jnp.mean(2 * seen * y * (1 - y) / 0.5, 0)
        np.testing.assert_allclose(slopes, expected, rtol=1e-5)


# The gradient of the expectation of w . y over the relaxed law itself, by the density
# of the differences of two scores from the third: Gamma(3) prod_k softmax(l - z)_k.
@pytest.mark.parametrize("temperature", [0.5, 1.5])
def test_categorical_gradients_are_those_of_the_relaxed_expectation(temperature):
    logits, weights = np.array([0.3, -0.5, 1.0]), np.array([1.0, -2.0, 0.5])
    grid = np.linspace(-40, 40, 321)
    z = np.stack([*np.meshgrid(grid, grid), np.zeros((321, 321))], -1).reshape(-1, 3)

    def softmax(x):
        x = np.exp(x - x.max(-1, keepdims=True))
        return x / x.sum(-1, keepdims=True)

    shares = softmax(logits - z)
    density = 2 * np.prod(shares, -1)
    np.testing.assert_allclose(density.sum() * (grid[1] - grid[0]) ** 2, 1, rtol=1e-12)
    costs = softmax(z / temperature) @ weights
    truth = np.einsum("n,n,nk->k", density, costs, 1 - 3 * shares) / density.sum()

    for make in (
        lambda logits: dist.Categorical(logits=logits),
        lambda logits: dist.Multinomial(1, logits=logits),
    ):
        with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
            # Noise whose scores have these differences.
            slopes = gradients(
                rj.Relaxed(temperature),
                lambda draw: jnp.dot(jnp.asarray(weights), draw),
                make,
                jnp.asarray(logits),
                jnp.asarray(z - logits),
            )
        mean, _ = moments(slopes, density)
        np.testing.assert_allclose(mean, truth, rtol=1e-11)


def test_two_classes_of_equal_logits_at_temperature_one():
    """The relaxed draw is then uniform: E y (1 - y) = 1/6 for the 1/4 of hard draws."""
    with jax.enable_x64(True):
        nodes, weights = logistic()
        noise = jnp.stack([jnp.asarray(nodes), jnp.zeros(nodes.shape)], -1)
        for hard in (False, True):
            slopes = gradients(
                rj.Relaxed(1.0, hard=hard),
                lambda draw: 3 * draw[0] - 2 * draw[1],
                lambda logits: dist.Categorical(logits=logits),
                jnp.zeros(2),
                noise,
            )
            mean, _ = moments(slopes, weights)
            np.testing.assert_allclose(mean, [5 / 6, -5 / 6], rtol=1e-12)


def test_draws_are_base_noise_of_the_whole_shape():
    laws = [dist.Bernoulli(logits=jnp.zeros(3)), dist.Categorical(jnp.ones((3, 4)) / 4)]
    estimator = rj.Relaxed(0.7)
    bits, classes = (estimator.draw(jax.random.key(3), law, 5) for law in laws)
    expected = (
        rj.noise.logistic(jax.random.key(3), (5, 3)),
        rj.noise.gumbel(jax.random.key(3), (5, 3, 4)),
    )
    np.testing.assert_array_equal(bits, expected[0])
    np.testing.assert_array_equal(classes, expected[1])


@pytest.mark.slow
def test_a_tree_of_leaves_under_wrappers_in_programs():
    """All leaves at once; equal under jit, vmap over keys and a scan over keys."""

    def expectation(parameters, key):
        with jax.numpy_rank_promotion("allow"):
            leaves = {
                "gate": dist.Bernoulli(logits=parameters["gate"])
                .expand([4, 3])
                .mask(jnp.zeros((4, 3), bool))
                .to_event(1),
                "class": dist.Categorical(logits=parameters["class"]),
            }

        def cost(draw):
            return jnp.sum(draw["gate"], -1) * (draw["class"] @ jnp.arange(3.0))

        return jnp.sum(
            rj.expectation(
                key,
                cost,
                leaves,
                num_samples=2,
                estimator=rj.Relaxed(parameters["temperature"]),
            )
        )

    parameters = {
        "gate": jnp.array([0.5, -1.0, 2.0]),
        "class": jnp.array([[0.0, 1.0, 2.0]] * 4),
        "temperature": jnp.array(0.6),
    }

    def by_hand(parameters, key):
        keys = jax.random.split(key, 2)
        shape = (2, 4, 3)
        classes = jax.nn.log_softmax(parameters["class"])
        scores = classes[None] + rj.noise.gumbel(keys[0], shape)
        y = jax.nn.softmax(scores / parameters["temperature"])
        gates = jax.nn.sigmoid(
            (parameters["gate"][None, None] + rj.noise.logistic(keys[1], shape))
            / parameters["temperature"]
        )
        return jnp.sum(jnp.sum(gates, -1) * (y @ jnp.arange(3.0))) / 2

    keys = jax.random.split(jax.random.key(5), 3)
    expected = jax.jit(jax.vmap(jax.value_and_grad(by_hand), (None, 0)))(
        parameters, keys
    )

    def scanned(parameters, keys):
        def body(total, key):
            value = expectation(parameters, key)
            return total + value, value

        return jax.lax.scan(body, 0.0, keys)

    mapped = jax.jit(jax.vmap(jax.value_and_grad(expectation), (None, 0)))(
        parameters, jax.random.split(jax.random.key(5), 3)
    )
    slopes, values = jax.jit(jax.grad(scanned, has_aux=True))(
        parameters, jax.random.split(jax.random.key(5), 3)
    )
    for actual, truth in zip(
        jax.tree.leaves((mapped, values, slopes)),
        jax.tree.leaves(
            (expected, expected[0], jax.tree.map(lambda x: x.sum(0), expected[1]))
        ),
        strict=True,
    ):
        np.testing.assert_allclose(actual, truth, rtol=2e-5)


@pytest.mark.parametrize("estimator", [rj.Relaxed(0.5), rj.StraightThrough()])
@pytest.mark.parametrize("law", [dist.Normal(0.0, 1.0), dist.Poisson(2.0)])
def test_other_laws_raise_and_name_what_works(estimator, law):
    name = type(estimator).__name__
    with pytest.raises(TypeError, match=f"`{name}` .* got {type(law).__name__}.*Score"):
        estimator.draw(jax.random.key(0), law, 2)


def test_a_bad_temperature_raises():
    with pytest.raises(ValueError, match="needs `temperature` to be finite and pos"):
        rj.expectation(
            jax.random.key(0),
            jnp.square,
            dist.Bernoulli(logits=0.0),
            estimator=rj.Relaxed(0.0),
        )
