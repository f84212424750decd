import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import reparam_jax as rj
from tests.estimators import conditional, exact


@pytest.mark.slow
def test_it_is_the_mean_square_of_single_estimates():
    def dist_of(parameters):
        return {
            "bits": dist.Bernoulli(probs=parameters["bits"]).to_event(1),
            "kind": dist.Categorical(logits=parameters["kind"]),
        }

    def cost_fn(draw, weight):
        return weight * jnp.sum(draw["bits"], -1) * (draw["kind"] @ jnp.arange(3.0))

    parameters = {
        "bits": jnp.array([[0.3, 0.8]]),
        "kind": jnp.array([[0.1, -0.4, 0.6]]),
    }
    rebar, law = rj.Rebar(0.7), dist_of(parameters)
    moment = functools.partial(
        rj.gradient_second_moment, num_samples=5, estimator=rebar
    )
    found = jax.jit(moment, static_argnums=1)(jax.random.key(0), cost_fn, law, 1.5)
    draws = rebar.draw(jax.random.key(0), law, 5)

    def cost_of_one(draw):
        return cost_fn(draw, 1.5)[0]

    slopes = exact.gradients(rebar, cost_of_one, dist_of, parameters, draws)
    expected = sum(np.sum(np.square(slope)) for slope in slopes.values()) / 5
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_other_estimators_have_one_too():
    noise = rj.noise.normal(jax.random.key(2), (50,))
    found = rj.gradient_second_moment(
        jax.random.key(2),
        lambda z: (z - 0.3) ** 2,
        dist.Normal(1.0, 0.5),
        num_samples=50,
        estimator=rj.Pathwise(),
    )
    slope = 2 * (0.7 + 0.5 * noise)
    expected = np.mean(slope**2 + (slope * noise) ** 2)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def control_variate(params, draws):
    constant, slope = params
    return constant + slope * jax.nn.sigmoid(draws)


def cost_fn(bit):
    return (bit - 0.45) ** 2


@pytest.mark.slow
def test_its_slopes_for_the_estimator_are_those_of_differences():
    def moment(estimator):
        return rj.gradient_second_moment(
            jax.random.key(1),
            lambda bits: jnp.exp(bits[0] * bits[1] - bits[2]),
            dist.Bernoulli(logits=jnp.array([0.3, -1.1, 0.8])),
            num_samples=3,
            estimator=estimator,
        )

    def summed(params, draws):
        return jnp.sum(control_variate(params, draws))

    with jax.enable_x64(True):
        for estimator in (
            rj.Rebar(jnp.array(0.7), jnp.array(1.3)),
            rj.Relax(summed, jnp.array([0.2, 0.6])),
        ):
            flat, unravel = jax.flatten_util.ravel_pytree(estimator)

            def along(flat, unravel=unravel):
                return moment(unravel(flat))

            steps = 1e-5 * jnp.eye(2)
            points = jnp.concatenate([flat[None] + steps, flat[None] - steps])
            slopes, moments = jax.jit(
                lambda flat, points, along=along: (
                    jax.grad(along)(flat),
                    jax.vmap(along)(points),
                )
            )(flat, points)
            expected = (moments[:2] - moments[2:]) / 2e-5
            np.testing.assert_allclose(slopes, expected, rtol=1e-7)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Given:
    """An estimator at draws that it is given."""

    estimator: Any
    draws: Any

    def draw(self, key, dist, num_samples):
        del key, dist, num_samples
        return self.draws

    def estimate(self, cost_fn, dist, draws, *args):
        return self.estimator.estimate(cost_fn, dist, draws, *args)


def test_its_slope_has_the_slope_of_the_variance_as_its_mean():
    """Of a constant control variate, over both outcomes of a fair bit."""
    with jax.enable_x64(True):
        draws = jnp.array([-1.0, 1.0]), jnp.zeros(2)

        @jax.jit
        @jax.grad
        def slope(baseline):
            relax = rj.Relax(lambda params, draws: params, baseline)
            return rj.gradient_second_moment(
                jax.random.key(0),
                cost_fn,
                dist.Bernoulli(logits=jnp.array(0.0)),
                num_samples=2,
                estimator=Given(relax, draws),
            )

        # Var = q ((1 - theta) f1 + theta f0 - baseline)^2.
        expected = -2 * 0.25 * ((0.55**2 + 0.45**2) / 2 - 0.1)
        np.testing.assert_allclose(slope(jnp.array(0.1)), expected, rtol=1e-12)


def test_descent_lowers_the_exact_variance():
    logit = 0.4
    nodes, weights = conditional.one_bit_product(logit, *conditional.logistic(1.0, 15))
    optimizer = optax.adam(0.05)

    def step(carry, key):
        relax, state = carry
        slopes = jax.grad(
            lambda relax: rj.gradient_second_moment(
                key,
                cost_fn,
                dist.Bernoulli(logits=logit),
                num_samples=20,
                estimator=relax,
            )
        )(relax)
        updates, state = optimizer.update(slopes, state)
        return (optax.apply_updates(relax, updates), state), None

    @jax.jit
    def train(relax):
        keys = jax.random.split(jax.random.key(0), 40)
        (relax, _), _ = jax.lax.scan(step, (relax, optimizer.init(relax)), keys)
        return relax

    @jax.jit
    def slopes(relax):
        def estimate(logit, draw):
            draw = jax.tree.map(lambda x: x[None], draw)
            return relax.estimate(cost_fn, dist.Bernoulli(logits=logit), draw)

        draws = jax.tree.map(jnp.asarray, nodes)
        return jax.vmap(jax.grad(estimate), (None, 0))(logit, draws)

    def variance(relax):
        return exact.moments(slopes(relax), weights)[1]

    first = rj.Relax(control_variate, jnp.zeros(2))
    theta = conditional.sigmoid(logit)
    start = variance(first)
    score = theta * (1 - theta) * ((1 - theta) * 0.55**2 + theta * 0.45**2) ** 2
    np.testing.assert_allclose(start, score, rtol=1e-3)
    assert variance(train(first)) < 0.05 * start
