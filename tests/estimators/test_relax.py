import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from tests.estimators import conditional, exact

TEMPERATURE = 0.7
LOGITS = np.array([0.3, -1.1, 0.8])
PARAMS = {"constant": 0.4, "linear": np.array([1.0, -2.0, 0.5]), "product": 3.0}


def bernoulli(logits):
    return dist.Bernoulli(logits=logits)


def cost_of(bits):
    """Not separable; not a number between the outcomes."""
    first, second, third = bits[0] > 0.5, bits[1] > 0.5, bits[2] > 0.5
    cost = 2.0 * (first & second & third) - (first ^ second) + 0.5 * third
    return jnp.where(jnp.all((bits == 0) | (bits == 1)), cost, jnp.nan)


def control_variate(params, draws):
    relaxed = jax.nn.sigmoid(draws / TEMPERATURE)
    linear = jnp.sum(params["linear"] * relaxed)
    return params["constant"] + linear + params["product"] * jnp.prod(relaxed)


@pytest.mark.parametrize("x64", [False, True])
def test_the_mean_over_three_bits_is_exact(x64):
    draws, weights = conditional.several_bits(LOGITS, TEMPERATURE)
    with jax.enable_x64(x64):
        relax = rj.Relax(control_variate, jax.tree.map(jnp.asarray, PARAMS))
        draws = jax.tree.map(jnp.asarray, draws)
        slopes = exact.gradients(relax, cost_of, bernoulli, jnp.asarray(LOGITS), draws)
        outcomes = np.asarray(exact.bits(3))
        costs = np.asarray(jax.jit(jax.vmap(cost_of))(exact.bits(3)))
    theta = conditional.sigmoid(LOGITS)
    chances = np.where(outcomes == 1, theta, 1 - theta).prod(1)
    expected = (costs * chances) @ (outcomes - theta)
    mean, variance = exact.moments(slopes, weights)
    assert (variance > 0.01).all()
    tolerance = 1e-12 if x64 else 1e-6
    np.testing.assert_allclose(mean, expected, rtol=0, atol=tolerance)


def test_the_mean_over_three_categories_is_exact():
    probs = np.array([0.2, 0.5, 0.3])
    costs = np.array([1.0, 4.0, 0.25])
    draws, weights = conditional.three_categories(probs)

    def control_variate(slopes, draws):
        relaxed = jax.nn.softmax(draws)
        return slopes @ relaxed + relaxed[0] * relaxed[1] ** 2

    with jax.enable_x64(True):
        relax = rj.Relax(control_variate, jnp.array([0.5, 3.0, -1.0]))
        slopes = exact.gradients(
            relax,
            lambda one_hot: jnp.asarray(costs)[jnp.argmax(one_hot)],
            lambda logits: dist.Categorical(logits=logits),
            jnp.log(probs),
            jax.tree.map(jnp.asarray, draws),
        )
    mean, _ = exact.moments(slopes, weights)
    np.testing.assert_allclose(
        mean, probs * (costs - costs @ probs), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("batched", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_relaxed_cost_as_control_variate_is_rebar(batched):
    logits = {"bits": jnp.array([0.3, -0.6]), "kinds": jnp.arange(6.0).reshape(2, 3)}

    def dist_of(logits):
        return {
            "bits": dist.Bernoulli(logits=logits["bits"]),
            "kinds": dist.Categorical(logits=logits["kinds"]),
        }

    def cost_fn(draw):
        costs = jnp.exp(draw["bits"] * (draw["kinds"] @ jnp.array([0.2, -1, 0.7])))
        return costs if batched else jnp.prod(costs)

    def control_variate(params, draws):
        bits = jax.nn.sigmoid(draws["bits"] / params["temperature"])
        kinds = jax.nn.softmax(draws["kinds"] / params["temperature"])
        return params["scale"] * cost_fn({"bits": bits, "kinds": kinds})

    rebar = rj.Rebar(0.4, 0.8)
    relax = rj.Relax(control_variate, {"temperature": 0.4, "scale": 0.8})
    draws = {
        "bits": conditional.noise(0, (6, 2)),
        "kinds": conditional.noise(1, (6, 2, 3)),
    }

    @jax.jit
    def slopes(logits):
        def estimate(logits, estimator):
            costs = estimator.estimate(cost_fn, dist_of(logits), draws)
            return jnp.sum(costs * jnp.arange(1.0, 3)) if batched else costs

        return [jax.grad(estimate)(logits, one) for one in (rebar, relax)]

    expected, found = slopes(logits)
    for name in logits:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


def test_a_constant_control_variate_is_a_baseline():
    law = dist.Bernoulli(logits=jnp.asarray(LOGITS, jnp.float32))
    relax = rj.Relax(lambda baseline, draws: baseline, 0.3)
    draws = conditional.noise(1, (4, 3))
    bits = LOGITS + draws[0] > 0
    costs = np.asarray(jax.jit(jax.vmap(cost_of))(jnp.asarray(bits, jnp.float32)))

    @jax.jit
    @jax.grad
    def slope(logits):
        return relax.estimate(cost_of, dist.Bernoulli(logits=logits), draws)

    expected = (costs - 0.3) @ (bits - conditional.sigmoid(LOGITS)) / 4
    np.testing.assert_allclose(slope(law.logits), expected, rtol=1e-5)


def test_the_cost_is_evaluated_once_and_the_control_variate_twice():
    calls = {"cost": 0, "control variate": 0}

    def count(name, value):
        def add(_):
            calls[name] += 1

        jax.debug.callback(add, value)
        return value

    relax = rj.Relax(lambda params, draws: count("control variate", draws), None)
    draws = conditional.noise(0, (1,))

    def estimate(logits):
        law = dist.Bernoulli(logits=logits)
        return relax.estimate(lambda bit: count("cost", bit), law, draws)

    jax.block_until_ready(jax.jit(jax.grad(estimate))(0.5))
    jax.effects_barrier()
    assert calls == {"cost": 1, "control variate": 2}


def test_control_variates_of_another_shape_are_refused():
    law = dist.Bernoulli(logits=jnp.zeros(2))
    relax = rj.Relax(lambda params, draws: draws, None)
    draws = conditional.noise(0, (3, 2))
    with pytest.raises(ValueError, match=r"shape of the cost, \(\), got \(2,\)"):
        relax.estimate(jnp.sum, law, draws)
    assert relax.estimate(lambda bits: bits, law, draws).shape == (2,)


def test_other_laws_are_refused():
    relax = rj.Relax(lambda params, draws: 0.0, None)
    with pytest.raises(TypeError, match=r"`Relax` takes Bernoulli"):
        relax.draw(jax.random.key(0), dist.Normal(), 3)


@pytest.mark.slow
def test_the_control_variate_is_the_relaxed_cost_by_default():
    def cost(bits):
        return jnp.sin(bits @ jnp.arange(1.0, 4.0))

    def slope(estimator):
        def loss(logits):
            return rj.expectation(
                jax.random.key(3),
                cost,
                dist.Bernoulli(logits=logits),
                num_samples=4,
                estimator=estimator,
            )

        return jax.grad(loss)(jnp.array([0.3, -1.0, 2.0]))

    rebar = rj.Rebar(temperature=1.0, scale=1.0)
    np.testing.assert_allclose(slope(rj.Relax()), slope(rebar), rtol=1e-6)
