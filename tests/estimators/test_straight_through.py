"""The straight-through estimator, by enumeration of its draws."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from tests.estimators.exact import bits, gradients, moments

CASES = {(0.5, 0.499): 1.0, (0.3, 0.45): -3.0, (0.9, 0.499): 401.0, (0.2, 0.6): None}


@pytest.mark.parametrize(("prob", "middle"), CASES)
@pytest.mark.parametrize("parameter", ["logits", "probs"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_one_bit(dtype, parameter, prob, middle):
    logit = np.log(prob / (1 - prob))
    value = {"logits": logit, "probs": prob}[parameter]
    with jax.enable_x64(dtype is np.float64):
        slopes = gradients(
            rj.StraightThrough(),
            lambda draw: (draw - middle) ** 2,
            lambda value: dist.Bernoulli(**{parameter: value}),
            dtype(value),
            jnp.array([0, 1]),
        )
    assert slopes.dtype == dtype
    spread = prob * (1 - prob)
    slopes = np.asarray(slopes, np.float64) * (1 if parameter == "logits" else spread)
    mean, variance = moments(slopes, [1 - prob, prob])
    tolerance = 1e-12 if dtype is np.float64 else 1e-6
    expected = 2 * spread * (prob - middle)
    np.testing.assert_allclose(mean, expected, atol=tolerance * spread / 4, rtol=0)
    np.testing.assert_allclose(variance, 4 * spread**3, rtol=4 * tolerance)
    factor = CASES[prob, middle]
    if factor is not None and dtype is np.float64:
        np.testing.assert_allclose(
            mean / (spread * (1 - 2 * middle)), factor, rtol=1e-9
        )


def test_a_linear_cost_of_classes_has_the_exact_gradient_at_every_draw():
    """Uniform over 5 classes, costs 0 to 4: p_i (w_i - w . p)."""
    costs = jnp.arange(5.0)
    for make, outcomes in (
        (lambda logits: dist.Categorical(logits=logits), jnp.arange(5)),
        (lambda logits: dist.Multinomial(1, logits=logits), jnp.eye(5, dtype=int)),
    ):
        with jax.numpy_rank_promotion("allow"):
            slopes = gradients(
                rj.StraightThrough(),
                lambda draw: jnp.dot(costs, draw),
                make,
                jnp.zeros(5),
                outcomes,
            )
        expected = np.broadcast_to([-0.4, -0.2, 0, 0.2, 0.4], (5, 5))
        np.testing.assert_allclose(slopes, expected, atol=4e-7)


def test_three_bits_at_once_by_enumeration():
    """Each slope of a cost that does not separate, times p (1 - p); the cost's too."""
    with jax.enable_x64(True):
        logits, scale = jnp.array([0.2, -0.7, 1.1]), jnp.array(1.3)
        draws = bits(3)
        value = jax.vmap(
            lambda draw: rj.StraightThrough().estimate(
                lambda b: scale * jnp.prod(b + 0.5),
                dist.Bernoulli(logits=logits),
                draw[None],
            )
        )(draws)

        slopes = gradients(
            rj.StraightThrough(),
            lambda b, scale: scale * jnp.prod(b + 0.5),
            lambda logits: dist.Bernoulli(logits=logits),
            logits,
            draws,
            scale,
        )
    half = np.asarray(draws) + 0.5
    np.testing.assert_allclose(value, 1.3 * half.prod(-1), rtol=1e-14)
    p = 1 / (1 + np.exp(-np.asarray(logits)))
    expected = 1.3 * half.prod(-1, keepdims=True) / half * p * (1 - p)
    np.testing.assert_allclose(slopes, expected, rtol=1e-13)


def test_draws_are_those_of_the_law_and_the_cost_sees_floats():
    seen = {}

    def cost(draw):
        seen.update({name: (x.shape, x.dtype) for name, x in draw.items()})
        return sum(jnp.sum(x) for x in draw.values())

    with jax.numpy_rank_promotion("allow"):
        laws = {
            "bit": dist.Bernoulli(probs=jnp.array([0.2, 0.7])),
            "class": dist.Categorical(probs=jnp.array([[0.2, 0.3, 0.5]] * 2)),
            "one": dist.Multinomial(1, probs=jnp.array([0.2, 0.8])).expand([2]),
        }
    draws = rj.StraightThrough().draw(jax.random.key(2), laws, 6)
    shapes = {name: draw.shape for name, draw in draws.items()}
    assert shapes == {"bit": (6, 2), "class": (6, 2), "one": (6, 2, 2)}
    value = rj.StraightThrough().estimate(cost, laws, draws)
    assert seen == {
        "bit": ((2,), jnp.float32),
        "class": ((2, 3), jnp.float32),
        "one": ((2, 2), jnp.float32),
    }
    np.testing.assert_allclose(value, np.mean(np.sum(draws["bit"], -1)) + 4, rtol=1e-6)


@pytest.mark.slow
def test_programs_agree():
    def expectation(logits, key):
        return rj.expectation(
            key,
            lambda draw: jnp.sin(draw[0] + 2 * draw[1]),
            dist.Bernoulli(logits=logits),
            num_samples=3,
            estimator=rj.StraightThrough(),
        )

    def keys():
        return jax.random.split(jax.random.key(4), 3)

    logits = jnp.array([0.3, -0.4])
    value_and_grad = jax.value_and_grad(expectation)
    one_by_one = [value_and_grad(logits, key) for key in keys()]
    values, slopes = (np.stack(each) for each in zip(*one_by_one, strict=True))
    mapped = jax.jit(jax.vmap(value_and_grad, (None, 0)))(logits, keys())
    np.testing.assert_allclose(mapped[0], values, rtol=1e-6)
    np.testing.assert_allclose(mapped[1], slopes, rtol=1e-6)

    def total(logits, keys):
        def body(total, key):
            return total + expectation(logits, key), None

        return jax.lax.scan(body, 0.0, keys)[0]

    scanned = jax.jit(jax.grad(total))(logits, keys())
    np.testing.assert_allclose(scanned, slopes.sum(0), rtol=1e-5)
