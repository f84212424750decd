"""What the table of laws does not hold; that is in ``test_log_prob.py``."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from reparam_jax.distributions._log_prob import log_prob


def slope(law, value, *parameters):
    return jax.grad(lambda *given: log_prob(law(*given), value), 0)(*parameters)


@pytest.mark.parametrize(
    ("law", "value", "expected"),
    [
        (dist.BernoulliLogits, 0, -0.5),
        (dist.BernoulliLogits, 1, 0.5),
        (lambda logits: dist.BinomialLogits(logits, 10), 3, -2),
        (dist.GeometricLogits, 3, -1),
    ],
)
def test_scores_at_logits_of_0(law, value, expected):
    assert slope(law, value, 0.0) == expected


@pytest.mark.slow
def test_impossible_categories_of_others_leave_the_score():
    logits = jnp.array([-jnp.inf, 0.5, 0.0])

    def law(logits):
        return dist.CategoricalLogits(logits, validate_args=False)

    def one_hot(logits):
        return dist.MultinomialLogits(logits, validate_args=False)

    want = jax.nn.one_hot(1, 3) - jax.nn.softmax(logits)
    np.testing.assert_allclose(slope(law, 1, logits), want, rtol=1e-6)
    alone = jnp.array([-jnp.inf, 0.5])
    assert slope(law, 1, alone).tolist() == [0, 0]
    assert log_prob(law(alone), 1) == 0
    assert log_prob(law(alone), 0) == -jnp.inf
    counts = jnp.array([0, 1, 0])
    np.testing.assert_allclose(slope(one_hot, counts, logits), want, rtol=1e-6)


def test_infinite_logits_give_certain_draws():
    def law(logits):
        return dist.BernoulliLogits(logits, validate_args=False)

    for logit, value, expected in ((jnp.inf, 1, 0), (jnp.inf, 0, -jnp.inf)):
        assert log_prob(law(logit), value) == expected
        assert log_prob(law(-logit), 1 - value) == expected
    assert slope(law, 1, jnp.inf) == 0


@pytest.mark.slow
def test_integer_parameters_and_values_with_sample_axes():
    law = dist.BinomialProbs(jnp.array([0.25, 0.5]), jnp.array([4, 3]))
    values = jnp.array([[0, 1], [4, 3], [2, 0]])
    with jax.numpy_rank_promotion("allow"):
        want = law.log_prob(values)
    np.testing.assert_allclose(log_prob(law, values), want, rtol=1e-5)
