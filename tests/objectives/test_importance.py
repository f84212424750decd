import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.stats import norm

import reparam_jax as rj
from reparam_jax.objectives._importance import effective_sample_size
from tests.objectives.given import GivenNoise

X = jnp.array([1.5, -0.4])
PRIOR = dist.Normal(jnp.zeros(3), 1.0).to_event(1)


def log_likelihood(z, x):
    """Of x ~ N(z_1 + z_2 + z_3, 1)."""
    return dist.Normal(jnp.sum(z, -1), 1.0).log_prob(x)


def estimate(guide, key=None, num_samples=6, **options):
    key = jax.random.key(2) if key is None else key
    options |= {"prior": PRIOR, "num_samples": num_samples}
    return rj.importance_sampled_log_likelihood(
        key, log_likelihood, guide, X, **options
    )


def test_every_draw_of_the_posterior_gives_the_exact_log_likelihood():
    # Of precision I + 1 1', so of covariance I - 1 1' / 4 and mean x / 4.
    means = jnp.broadcast_to(X[:, None] / 4, (2, 3))
    covariance = jnp.eye(3) - 1 / 4

    @jax.jit
    def evaluate(covariance):
        guide = dist.MultivariateNormal(means, covariance)
        prior = dist.MultivariateNormal(jnp.zeros(3), jnp.eye(3))
        args = jax.random.key(2), log_likelihood, guide, X
        return rj.importance_sampled_log_likelihood(*args, prior=prior, num_samples=6)

    found, size = evaluate(covariance)
    np.testing.assert_allclose(found, norm.logpdf(X, 0, 2), rtol=2e-6)
    np.testing.assert_allclose(size, 6.0, rtol=1e-5)


WIDE = dist.Normal(jnp.full((2, 3), 0.3), 1.5).to_event(1)


def by_hand(noise):
    z = 0.3 + 1.5 * noise
    log_weights = -((np.asarray(X) - z.sum(-1)) ** 2) / 2 - np.log(2 * np.pi) / 2
    log_weights += (-(z**2) / 2 + noise**2 / 2 + np.log(1.5)).sum(-1)
    return np.asarray(log_weights, np.float64)


def test_value_and_effective_size_by_hand():
    noise = np.random.default_rng(0).normal(size=(6, 2, 3)).astype(np.float32)
    program = jax.jit(lambda noise: estimate(WIDE, estimator=GivenNoise(noise=noise)))
    found, size = program(noise)
    weights = np.exp(by_hand(noise))
    np.testing.assert_allclose(found, np.log(weights.mean(0)), rtol=1e-5)
    effective = weights.sum(0) ** 2 / (weights**2).sum(0)
    np.testing.assert_allclose(size, effective, rtol=1e-5)
    assert np.all((effective > 1.2) & (effective < 4))


@pytest.mark.parametrize(
    "chunk_size",
    [
        4,
        pytest.param(1, marks=pytest.mark.slow),
        pytest.param(9, marks=pytest.mark.slow),
    ],
)
def test_chunks_give_the_same_numbers(chunk_size):
    def evaluate(mean, chunk_size):
        guide = dist.Normal(mean, 1.5).to_event(1)
        found, size = estimate(guide, chunk_size=chunk_size)
        return jnp.sum(found), (found, size)

    program = jax.jit(jax.grad(evaluate, has_aux=True), static_argnums=1)
    found, wanted = (
        program(jnp.full((2, 3), 0.3), chunks) for chunks in (chunk_size, None)
    )
    for a, b in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.slow
def test_chunks_bound_the_memory_of_the_gradient():
    # Of the values alone, XLA keeps no draw's activations in either program.
    weights = jnp.sin(jnp.arange(3.0 * 4096)).reshape(3, 4096)

    def memory(chunk_size):
        def loss(mean, weights, key):
            def model(z):
                return -jnp.sum(jnp.tanh(z @ weights) ** 2, -1)

            guide = dist.Normal(mean, 1.5).to_event(1)
            options = {"num_samples": 256, "chunk_size": chunk_size}
            found = rj.importance_sampled_log_likelihood(key, model, guide, **options)
            return jnp.sum(found[0])

        arguments = jnp.zeros((2, 3)), weights, jax.random.key(0)
        program = jax.jit(jax.grad(loss)).lower(*arguments).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert memory(8) < 0.1 * memory(None)


@pytest.mark.slow
def test_no_weight_at_all():
    def nothing(z):
        return jnp.where(jnp.arange(2) == 0, -jnp.inf, 0.0) + 0 * jnp.sum(z, -1)

    found, size = rj.importance_sampled_log_likelihood(
        jax.random.key(2), nothing, WIDE, prior=PRIOR, num_samples=4
    )
    assert found[0] == -jnp.inf
    assert size[0] == 0
    assert jnp.isfinite(found[1])
    assert 1 <= size[1] <= 4


def test_the_effective_size_lies_between_one_and_all():
    log_weights = jnp.array(
        [[0.0, 500.0, -jnp.inf, 7e4], [0.0, -500.0, 2.0, 7e4], [0.0, 0.0, 1.0, 7e4]]
    )
    found = effective_sample_size(log_weights)
    some = (np.e + 1) ** 2 / (np.e**2 + 1)
    np.testing.assert_allclose(found, [3.0, 1.0, some, 3.0], rtol=1e-6)


@pytest.mark.slow
def test_the_effective_size_has_no_gradient_and_the_value_the_bounds():
    def of(mean, evaluate):
        guide = dist.Normal(mean, 1.5).to_event(1)
        return jnp.sum(evaluate(guide))

    def bound(guide):
        args = jax.random.key(2), log_likelihood, guide, X
        return rj.iwae_bound(*args, prior=PRIOR, num_samples=6)

    mean = jnp.full((2, 3), 0.3)
    slope = jax.grad(of)(mean, lambda guide: estimate(guide)[0])
    np.testing.assert_array_equal(slope, jax.grad(of)(mean, bound))
    assert np.all(np.abs(slope) > 1e-3)
    np.testing.assert_array_equal(
        jax.grad(of)(mean, lambda guide: estimate(guide)[1]), 0
    )


@pytest.mark.slow
def test_other_estimators_see_all_draws_together():
    logits = jnp.array([0.3, -0.4])

    def bits(logits, **options):
        guide = dist.Bernoulli(logits=logits)
        args = jax.random.key(1), lambda b, x: -((x - b) ** 2), guide, X
        return rj.importance_sampled_log_likelihood(*args, num_samples=2, **options)

    def bound(logits):
        args = jax.random.key(1), lambda b, x: -((x - b) ** 2)
        guide, options = dist.Bernoulli(logits=logits), {"estimator": rj.Enumerate()}
        return rj.iwae_bound(*args, guide, X, num_samples=2, **options)

    found, size = bits(logits, estimator=rj.Enumerate())
    np.testing.assert_allclose(found, bound(logits), rtol=1e-6)
    outcomes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    p = 1 / (1 + np.exp(-np.asarray(logits)))
    for place, x in enumerate(np.asarray(X)):
        chance = np.where(outcomes == 1, p[place], 1 - p[place])
        weights = np.exp(-((x - outcomes) ** 2)) / chance
        sizes = weights.sum(1) ** 2 / (weights**2).sum(1)
        np.testing.assert_allclose(size[place], sizes @ chance.prod(1), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"num_samples": 0}, ValueError, "`num_samples` of at least 1"),
        ({"chunk_size": 0}, ValueError, "`chunk_size` of at least 1"),
        ({"chunk_size": 2.0}, TypeError, "`chunk_size` to be an integer"),
        ({"chunk_size": 2, "estimator": rj.Quadrature(2)}, ValueError, "in one cost"),
        ({"key": 0}, TypeError, "`importance_sampled_log_likelihood` takes a JAX"),
    ],
)
def test_mistakes_are_named(options, error, words):
    with pytest.raises(error, match=words):
        estimate(WIDE, **options)


@pytest.mark.parametrize("shape", [(0,), (2, 0)])
def test_no_examples_come_in_chunks_too(shape):
    results = rj.importance_sampled_log_likelihood(
        jax.random.key(0),
        lambda z: 0.0 * z,
        dist.Normal(jnp.zeros(shape), 1.0),
        num_samples=5,
        chunk_size=2,
    )
    assert [result.shape for result in results] == [shape, shape]


def test_sample_sizes_do_not_overflow_in_float16():
    size = effective_sample_size(jnp.zeros(1000, jnp.float16))
    assert size == 1000
