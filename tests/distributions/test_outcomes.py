"""The outcomes of finite laws and their probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

from reparam_jax.distributions._outcomes import (
    count_outcomes,
    outcomes,
    part_shape,
    probabilities,
)

PROBS = np.array([0.2, 0.5, 0.3])
LOGITS = np.log(PROBS)
# A law, its outcomes, and their probabilities.
LAWS = {
    "bernoulli": (dist.Bernoulli(probs=0.3), [0, 1], [0.7, 0.3]),
    "bernoulli_logits": (dist.Bernoulli(logits=np.log(3.0)), [0, 1], [0.25, 0.75]),
    "categorical": (dist.Categorical(probs=PROBS), [0, 1, 2], PROBS),
    "categorical_logits": (dist.Categorical(logits=LOGITS + 5), [0, 1, 2], PROBS),
    "one_hot": (dist.Multinomial(1, probs=PROBS), np.eye(3), PROBS),
    "one_hot_logits": (dist.Multinomial(1, logits=LOGITS - 5), np.eye(3), PROBS),
    "binomial": (
        dist.Binomial(10, probs=0.3),
        range(11),
        stats.binom.pmf(range(11), 10, 0.3),
    ),
    "binomial_logits": (
        dist.Binomial(jnp.array(3), logits=0.0),
        range(4),
        [0.125, 0.375, 0.375, 0.125],
    ),
    "discrete_uniform": (dist.DiscreteUniform(2, 4), [2, 3, 4], [1 / 3] * 3),
    "beta_binomial": (
        dist.BetaBinomial(2.0, 3.0, 4),
        range(5),
        stats.betabinom.pmf(range(5), 4, 2, 3),
    ),
    "ordered_logistic": (
        dist.OrderedLogistic(0.5, jnp.array([-1.0, 2.0])),
        [0, 1, 2],
        np.diff([0, *stats.logistic.cdf([-1.5, 1.5]), 1]),
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_outcomes_have_their_probabilities(name):
    law, values, chances = LAWS[name]
    assert count_outcomes(law) == len(values)
    np.testing.assert_array_equal(outcomes(law), np.array(values))
    np.testing.assert_allclose(probabilities(law), chances, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("trials", [64, 65, 400])
def test_many_trials_do_not_overflow(trials):
    probs = jnp.array([0.1, 0.3, 0.5])
    table = probabilities(dist.Binomial(trials, probs=probs))
    expected = stats.binom.pmf(np.arange(trials + 1)[:, None], trials, [0.1, 0.3, 0.5])
    np.testing.assert_allclose(table, expected, rtol=2e-3, atol=1e-19)


def test_a_law_in_wrappers_has_parts():
    law = dist.Bernoulli(probs=jnp.array([[0.1], [0.2]])).expand([2, 3]).to_event(1)
    law = law.mask(False)
    assert (law.batch_shape, law.event_shape) == ((2,), (3,))
    assert count_outcomes(law) == 2**3
    assert part_shape(law) == (2, 3)
    assert part_shape(law, of_event=True) == (3,)
    expected = np.broadcast_to(np.array([[0.1], [0.2]]), (2, 3))
    np.testing.assert_allclose(probabilities(law)[1], expected, rtol=1e-6)
    one_hot = dist.Multinomial(1, probs=jnp.full((2, 3, 4), 0.25)).to_event(1)
    assert count_outcomes(one_hot) == 4**3
    assert part_shape(one_hot, of_event=True) == (3,)
    assert probabilities(one_hot).shape == (4, 2, 3)


@pytest.mark.parametrize(
    "law",
    [
        dist.Poisson(2.0),
        dist.Normal(),
        dist.Multinomial(2, probs=PROBS),
        dist.DiscreteUniform(0, jnp.array([2, 3])),
        dist.MixtureSameFamily(
            dist.Categorical(probs=PROBS), dist.Poisson(jnp.ones(3))
        ),
    ],
)
def test_other_laws_have_no_count(law):
    assert count_outcomes(law) is None


def test_a_traced_number_of_outcomes_is_not_known():
    seen = []

    trials_of_two = jnp.array([3, 3])

    def look(trials):
        seen.append(count_outcomes(dist.Binomial(trials, probs=0.5)))
        seen.append(count_outcomes(dist.Binomial(trials_of_two, probs=0.5)))
        return trials

    jax.jit(look)(3)
    assert seen == [None, 4]


# At these points a logarithm of the probability has no derivative to recover them from.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "point", "slopes"),
    [
        (lambda p: dist.Bernoulli(probs=p), 0.0, [-1, 1]),
        (lambda p: dist.Bernoulli(probs=p), 1.0, [-1, 1]),
        (lambda p: dist.Binomial(3, probs=p), 0.0, [-3, 3, 0, 0]),
        (lambda p: dist.Binomial(3, probs=p), 1.0, [0, 0, -3, 3]),
        (lambda x: dist.Bernoulli(logits=x), 0.0, [-0.25, 0.25]),
        (lambda x: dist.Bernoulli(logits=x), 200.0, [0, 0]),
        (lambda x: dist.Binomial(2, logits=x), 0.0, [-0.25, 0, 0.25]),
        (
            lambda x: dist.Binomial(2, logits=x, validate_args=False),
            -jnp.inf,
            [0, 0, 0],
        ),
        (
            lambda p: dist.Categorical(probs=jnp.array([p, 1.0, 0.0])),
            0.0,
            [1, -1, 0],
        ),
        (
            lambda x: dist.Categorical(
                logits=jnp.array([x, 0.0, -jnp.inf]), validate_args=False
            ),
            0.0,
            [0.25, -0.25, 0],
        ),
    ],
)
def test_derivatives_are_right_at_special_points(make, point, slopes):
    for derivative in jax.jacfwd, jax.jacrev:
        jacobian = derivative(lambda x: probabilities(make(x)))(point)
        np.testing.assert_allclose(jacobian, slopes, rtol=1e-6, atol=1e-30)


def test_the_second_derivative_of_a_binomial_at_an_end():
    # p_1 = 3 p (1 - p)^2 and p_2 = 3 p^2 (1 - p).
    table = jax.hessian(lambda p: probabilities(dist.Binomial(3, probs=p)))(0.0)
    np.testing.assert_allclose(table, [6, -12, 6, 0], rtol=1e-6)
