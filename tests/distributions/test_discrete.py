import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from reparam_jax.distributions._discrete import (
    bernoulli_logits,
    categorical_logits,
    is_one_hot,
)

PROBS = np.array([0.2, 0.5, 0.9])
WEIGHTS = np.array([0.2, 0.3, 0.5])


def wrapped(law):
    return law.expand((2, 3)).to_event(1).mask(jnp.ones(2, bool))


@pytest.mark.parametrize(
    "law",
    [
        dist.Bernoulli(probs=jnp.asarray(PROBS)),
        dist.Bernoulli(logits=jnp.asarray(np.log(PROBS / (1 - PROBS)))),
    ],
    ids=["probs", "logits"],
)
def test_logits_of_bits_have_the_whole_shape(law):
    expected = np.log(PROBS / (1 - PROBS))
    np.testing.assert_allclose(bernoulli_logits(law), expected, rtol=1e-6, atol=1e-7)
    found = bernoulli_logits(wrapped(law))
    np.testing.assert_allclose(found, [expected, expected], rtol=1e-6, atol=1e-7)


def test_certain_bits_have_infinite_logits():
    law = dist.Bernoulli(probs=jnp.array([0.0, 1.0]))
    np.testing.assert_array_equal(bernoulli_logits(law), [-np.inf, np.inf])


def test_the_gradient_reaches_probabilities():
    slope = jax.grad(lambda p: bernoulli_logits(dist.Bernoulli(probs=p)))(0.3)
    np.testing.assert_allclose(slope, 1 / 0.21, rtol=1e-6)


@pytest.mark.parametrize(
    "law",
    [
        dist.Categorical(probs=jnp.asarray(WEIGHTS)),
        dist.Categorical(logits=jnp.asarray(np.log(WEIGHTS) + 3.0)),
        dist.Multinomial(1, probs=jnp.asarray(WEIGHTS)),
        dist.Multinomial(1, logits=jnp.asarray(np.log(WEIGHTS) - 1.0)),
    ],
    ids=lambda law: type(law).__name__,
)
def test_logits_of_categories_are_normalized(law):
    found = categorical_logits(law.expand((2,)))
    np.testing.assert_allclose(found, np.log([WEIGHTS, WEIGHTS]), rtol=1e-6)
    assert is_one_hot(law) is ("Multinomial" in type(law).__name__)


def test_other_laws_have_none():
    for law in dist.Poisson(2.0), dist.Binomial(3, 0.2), dist.Normal(0.0, 1.0):
        assert bernoulli_logits(law) is None
        assert categorical_logits(law) is None
    assert categorical_logits(dist.Multinomial(2, logits=jnp.zeros(3))) is None
