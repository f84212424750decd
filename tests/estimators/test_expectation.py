import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from tests.estimators import exact

BIT = dist.Bernoulli(logits=0.3)


def test_the_value_is_the_mean_cost_of_the_draws():
    key, law = jax.random.key(2), dist.Poisson(jnp.array([0.5, 3.0]))
    draws = law.sample(jax.random.key(2), (5,))

    def cost(z, scale):
        return scale * z**2

    value = rj.expectation(
        key, cost, law, 2.5, num_samples=5, estimator=rj.ScoreFunction()
    )
    np.testing.assert_allclose(value, 2.5 * (draws**2).mean(0), rtol=1e-6)


def test_arguments_of_the_cost_have_their_gradient():
    def loss(data, inner, key):
        return rj.expectation(
            key,
            lambda z, data: jnp.sum(data * z) + jnp.sum(inner * z**2),
            dist.Normal(jnp.array([1.0, -2.0]), 0.5),
            data,
            num_samples=3,
        )

    draws = rj.sample(jax.random.key(1), dist.Normal(jnp.array([1.0, -2.0]), 0.5), (3,))
    slopes = jax.grad(loss, (0, 1))(jnp.ones(2), jnp.ones(2), jax.random.key(1))
    np.testing.assert_allclose(slopes[0], draws.mean(0), rtol=1e-6)
    np.testing.assert_allclose(slopes[1], (draws**2).mean(0), rtol=1e-6)


def nested(outer, inner, draws, logits):
    """A bit, and one whose law depends on it and on the same parameters."""

    def cost(first):
        law = dist.Bernoulli(logits=logits[1] + 1.5 * first * logits[0])

        def inner_cost(second):
            return jnp.sin(1.0 + first + 2.0 * second) * logits[2]

        return inner.estimate(inner_cost, law, draws[1])

    return outer.estimate(cost, dist.Bernoulli(logits=logits[0]), draws[0])


def nested_sum(logits):
    total = 0.0
    for first in (0.0, 1.0):
        for second in (0.0, 1.0):
            inner = logits[1] + 1.5 * first * logits[0]
            log_p = first * logits[0] - jax.nn.softplus(logits[0])
            log_p += second * inner - jax.nn.softplus(inner)
            cost = jnp.sin(1.0 + first + 2.0 * second) * logits[2]
            total += jnp.exp(log_p) * cost
    return total


@pytest.mark.slow
def test_expectations_nest_to_second_order():
    estimator = rj.ScoreFunction(baseline=jnp.asarray(0.4))
    with jax.enable_x64(True):
        logits = jnp.array([0.7, -0.4, 1.3])
        outcomes = exact.bits(2)

        def weight(first, second):
            inner = logits[1] + 1.5 * first * logits[0]
            log_p = first * logits[0] - jax.nn.softplus(logits[0])
            return jnp.exp(log_p + second * inner - jax.nn.softplus(inner))

        weights = jax.vmap(weight)(*outcomes.T)
        draws = outcomes[:, :1], outcomes[:, 1:]

        def estimate(logits, draws):
            return nested(estimator, estimator, draws, logits)

        for derivative, true in (
            (jax.grad(estimate), jax.grad(nested_sum)),
            (jax.hessian(estimate), jax.hessian(nested_sum)),
        ):
            found = jax.jit(jax.vmap(derivative, (None, 0)))(logits, draws)
            mean, _ = exact.moments(found, weights)
            np.testing.assert_allclose(mean, true(logits), rtol=1e-11, atol=1e-14)


def test_an_inner_expectation_closes_over_its_key():
    # Common noise: the inner draw is the same for every outer one.
    inner_key = jax.random.key(5)

    def cost(z):
        return rj.expectation(inner_key, lambda x: x, dist.Normal(z, 1.0))

    def loss(mean, key):
        return rj.expectation(key, cost, dist.Normal(mean, 2.0), num_samples=4)

    value, slope = jax.value_and_grad(loss)(0.5, jax.random.key(1))
    outer = rj.sample(jax.random.key(1), dist.Normal(0.5, 2.0), (4,))
    noise = jax.random.normal(jax.random.key(5), (1,))[0]
    np.testing.assert_allclose(value, outer.mean() + noise, rtol=1e-6)
    np.testing.assert_allclose(slope, 1.0, rtol=1e-6)


@dataclasses.dataclass(frozen=True)
class Smoothed:
    """A user's own estimator: the two-sided difference in the mean of a normal."""

    width: float = 0.5

    def draw(self, key, dist, num_samples):
        return jax.random.normal(key, (num_samples, *dist.shape()))

    def estimate(self, cost_fn, dist, draws, *args):
        fixed, width = jax.lax.stop_gradient(dist.loc), self.width

        def at(shift):
            return jnp.mean(
                jax.vmap(lambda e: cost_fn(fixed + shift + e, *args))(draws)
            )

        slope = (at(width) - at(-width)) / (2 * width)
        return at(0.0) + slope * (dist.loc - fixed)


def test_a_users_own_estimator_needs_only_the_two_methods():
    def loss(loc):
        key, law = jax.random.key(0), dist.Normal(loc, 1.0)
        return rj.expectation(
            key, lambda z: z**2, law, num_samples=3, estimator=Smoothed()
        )

    noise = jax.random.normal(jax.random.key(0), (3,))
    value, slope = jax.value_and_grad(loss)(0.7)
    np.testing.assert_allclose(value, jnp.mean((0.7 + noise) ** 2), rtol=1e-6)
    np.testing.assert_allclose(slope, jnp.mean(2 * (0.7 + noise)), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((0, BIT), {}, TypeError, r"jax\.random\.key\(0\)"),
        ((jax.random.split(jax.random.key(0)), BIT), {}, ValueError, "batch of keys"),
        ((jax.random.key(0), 0.5), {}, TypeError, "NumPyro distribution.*float"),
        ((jax.random.key(0), ()), {}, TypeError, "got none"),
        ((jax.random.key(0), {"a": BIT, "b": 1}), {}, TypeError, "got int"),
        ((jax.random.key(0), BIT), {"num_samples": 0}, ValueError, "at least 1, got 0"),
        (
            (jax.random.key(0), BIT),
            {"num_samples": 2.0},
            TypeError,
            r"integer, got 2\.0",
        ),
        ((jax.random.key(0), BIT), {"estimator": "arm"}, TypeError, "got str"),
        (
            (jax.random.key(0), BIT),
            {"estimator": rj.Pathwise},
            TypeError,
            r"rj\.Pathwise\(\)",
        ),
        ((jax.random.key(0), BIT), {"estimator": rj.Pathwise()}, TypeError, "DisARM"),
    ],
)
def test_mistakes_are_named(arguments, options, error, words):
    key, law = arguments
    with pytest.raises(error, match=words):
        rj.expectation(key, lambda b: 1.0 * b, law, **options)
