"""Measure-valued gradients of several elements and laws, and their programs."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import special

import reparam_jax as rj
from tests.estimators import exact
from tests.estimators.exact import moments
from tests.estimators.precisions import both_in_time, precision

ESTIMATOR = rj.MeasureValued()


def slopes_at(*args, **draws):
    return exact.slopes_at(ESTIMATOR, *args, **draws)


def normal(parameters):
    return dist.Normal(parameters["loc"], parameters["scale"])


def non_separable(bits):
    weights = jnp.array([1.0, 2.0, 4.0])
    return (jnp.sum(weights * bits) - 1.5) ** 2 + 3.0 * bits[0] * bits[1] * bits[2]


@both_in_time
def test_bits_that_do_not_separate(dtype, rtol):
    logits = np.array([0.0, 0.5, -1.0])
    outcomes = np.array(list(itertools.product([0, 1], repeat=3)))
    probs = special.expit(logits)
    weights = np.prod(np.where(outcomes, probs, 1 - probs), 1)

    def law(p):
        return dist.Bernoulli(logits=p["logits"])

    slopes = slopes_at(dtype, non_separable, law, {"logits": logits}, value=outcomes)
    mean, _ = moments(slopes["logits"], weights)
    with precision(dtype):

        def summed(x):
            law = dist.Bernoulli(logits=x)
            return rj.Enumerate().estimate(non_separable, law, jnp.zeros((1, 0)))

        truth = np.asarray(jax.jit(jax.grad(summed))(jnp.asarray(logits, dtype)))
    np.testing.assert_allclose(mean, truth, rtol=0, atol=4 * rtol * np.max(truth))


@both_in_time
def test_several_elements_move_one_at_a_time(dtype, rtol):
    """For the product of two draws: the slope of each holds the other's draw."""
    loc, scale = np.array([1.0, -0.5]), np.array([0.5, 2.0])
    value, moved = np.array([[0.7, 3.0]]), np.array([[0.9, 1.3]])
    draws = {
        "value": value,
        "rayleigh": moved,
        "maxwell": np.array([[2.0, -1.5]]),
        "uniform": np.array([[0.25, 0.5]]),
    }
    slopes = slopes_at(dtype, jnp.prod, normal, {"loc": loc, "scale": scale}, **draws)
    others = value[:, ::-1]
    by_loc = 2 * moved / np.sqrt(2 * np.pi) * others
    by_scale = draws["maxwell"] * (1 - draws["uniform"]) * others
    np.testing.assert_allclose(slopes["loc"], by_loc, rtol=2 * rtol)
    np.testing.assert_allclose(slopes["scale"], by_scale, rtol=2 * rtol)


def test_a_cost_of_the_batch_moves_its_elements_at_once():
    """A batch of 2, events of 3, and a law without the batch's axis."""
    probs = jnp.array([[0.25, 0.5, 0.75], [0.5, 0.25, 0.5]])
    point = {"own": probs, "shared": jnp.array(0.5)}

    def law(p):
        return {
            "own": dist.Bernoulli(probs=p["own"]).to_event(1),
            "shared": dist.Poisson(p["shared"]),
        }

    def cost(z):
        return (
            jnp.array([1.0, 10.0]) * jnp.prod(1.0 + z["own"], 1) * (1.0 + z["shared"])
        )

    draws = {
        "own": {"value": jnp.array([[[0, 1, 1], [0, 0, 1]]])},
        "shared": {"value": jnp.array([2])},
    }
    slopes = jax.jit(jax.jacobian(lambda p: ESTIMATOR.estimate(cost, law(p), draws)))(
        point
    )
    own = np.zeros((2, 2, 3))
    own[0, 0] = np.array([4.0, 2.0, 2.0]) * 3
    own[1, 1] = 10 * np.array([2.0, 2.0, 1.0]) * 3
    np.testing.assert_allclose(slopes["own"], own, rtol=1e-6)
    np.testing.assert_allclose(slopes["shared"], [4.0, 20.0], rtol=1e-6)


def test_the_value_and_other_parameters_are_those_at_the_draw():
    draws = {"value": jnp.array([1.0, 2.0]), "rayleigh": jnp.ones(2)}
    draws |= {"maxwell": jnp.array([1.5, -2.0]), "uniform": jnp.full(2, 0.25)}

    def mean(loc, power):
        law = dist.Normal(loc, 0.5)
        return ESTIMATOR.estimate(lambda z, power: z**2 * power, law, draws, power)

    value, slope = jax.jit(jax.value_and_grad(mean, 1))(1.0, 3.0)
    np.testing.assert_allclose([value, slope], [7.5, 2.5], rtol=1e-6)
    # The slope's own derivative for the power: the slope is linear in it.
    by_loc, mixed = jax.jit(jax.value_and_grad(jax.grad(mean), 1))(1.0, 3.0)
    np.testing.assert_allclose(3 * mixed, by_loc, rtol=1e-6)
    assert abs(by_loc) > 1


def test_second_derivatives_raise_across_laws_too():
    def mean(x, y):
        law = dist.Normal(x, 1.0), dist.Bernoulli(probs=y)
        return rj.expectation(
            jax.random.key(0), lambda z: z[0] * z[1], law, estimator=ESTIMATOR
        )

    for argnum in 0, 1:
        with pytest.raises(NotImplementedError, match="no second derivatives"):
            jax.eval_shape(jax.grad(jax.grad(mean), argnum), 0.5, 0.5)


@pytest.mark.slow
def test_programs_agree():
    def keys():
        return jax.random.split(jax.random.key(3), 3)

    def slope(key, loc):
        def mean(loc):
            law = dist.Normal(loc, 0.5), dist.Bernoulli(probs=(2 + loc) / 4)

            def cost(z):
                return jnp.sum((z[0] - z[1]) ** 2)

            return rj.expectation(key, cost, law, num_samples=4, estimator=ESTIMATOR)

        return jax.grad(mean)(loc)

    loc = jnp.array([0.5, -1.0])
    compiled = jax.jit(slope)
    one_by_one = np.stack([compiled(key, loc) for key in keys()])
    assert np.ptp(one_by_one, 0).min() > 0.01
    batched = jax.jit(jax.vmap(slope, (0, None)))(keys(), loc)
    np.testing.assert_allclose(batched, one_by_one, rtol=1e-5)

    @jax.jit
    def scan(keys, loc):
        return jax.lax.scan(lambda carry, key: (carry, slope(key, loc)), 0, keys)[1]

    np.testing.assert_allclose(scan(keys(), loc), one_by_one, rtol=1e-5)


@pytest.mark.parametrize(
    ("law", "evaluations"),
    [
        (dist.Normal(jnp.zeros(2), 1.0), 1 + 8),
        (dist.Gamma(jnp.ones(3), 1.0), 1 + 6),
        (dist.Poisson(jnp.ones(3)), 1 + 3),
        (dist.Categorical(probs=jnp.full((2, 4), 0.25)), 1 + 8),
    ],
)
def test_evaluations_of_the_cost(law, evaluations):
    seen = []

    def counted(z):
        jax.debug.callback(lambda _: seen.append(0), z)
        return jnp.sum(z) * 1.0

    names = "value", "rayleigh", "maxwell", "uniform", "exponential", "log_factor"
    draws = dict.fromkeys(names, jnp.full((1, *law.shape()), 0.5))
    draws["value"] = draws["value"].astype(int if law.is_discrete else float)
    estimate = jax.jit(lambda draws: ESTIMATOR.estimate(counted, law, draws))
    estimate(draws).block_until_ready()
    jax.effects_barrier()
    assert len(seen) == evaluations


def test_what_is_refused():
    for law, message in [
        (dist.Laplace(), "got Laplace: `Pathwise` works"),
        (dist.Geometric(0.5), "got GeometricProbs: `ScoreFunction` works"),
        (dist.Multinomial(2, probs=jnp.full(2, 0.5)), "got MultinomialProbs"),
    ]:
        with pytest.raises(TypeError, match=message):
            ESTIMATOR.draw(jax.random.key(0), law, 1)
