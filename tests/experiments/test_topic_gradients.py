"""Tests of ``experiments._topic_gradients``: exact numbers, and both arms by them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from experiments._topic_gradients import compare, exact_gradient, measured_gradients
from experiments._topic_law import ESTIMATORS

TOPICS = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
COUNTS = np.array([2.0, 0.0, 1.0])


def test_of_two_topics_it_is_the_slope_of_the_expectation():
    def expectation(own, rest):
        def integrand(share):
            words = share * TOPICS[0] + (1 - share) * TOPICS[1]
            return np.log(words) @ COUNTS * stats.beta.pdf(share, own, rest)

        return integrate.quad(integrand, 0, 1, epsabs=1e-12)[0]

    step = 1e-3
    expected = [
        expectation(2.5 + step, 1.5) - expectation(2.5 - step, 1.5),
        expectation(2.5, 1.5 + step) - expectation(2.5, 1.5 - step),
    ]
    mean, error = exact_gradient(
        np.array([2.5, 1.5]),
        TOPICS,
        COUNTS,
        num_directions=2,
        rng=np.random.default_rng(0),
    )
    np.testing.assert_allclose(mean, np.array(expected) / (2 * step), rtol=1e-5)
    np.testing.assert_allclose(error, 0, atol=1e-12)


def test_at_tiny_concentrations_it_is_that_of_a_choice_of_one_topic():
    topics = np.vstack([TOPICS, [[0.2, 0.6, 0.2]]])
    concentration = np.array([1e-4, 3e-4, 2e-4])
    total, costs = concentration.sum(), np.log(topics) @ COUNTS
    expected = (costs - concentration @ costs / total) / total
    mean, error = exact_gradient(
        concentration,
        topics,
        COUNTS,
        num_directions=4000,
        rng=np.random.default_rng(0),
    )
    assert (np.abs(mean - expected) < 5 * error + 1e-3 * np.abs(expected).max()).all()
    assert (error < 0.05 * np.abs(expected).max()).all()


def test_compare_measures_along_the_exact_gradient():
    exact = np.array([3.0, 4.0])
    along, across = 2 * exact, np.array([4.0, -3.0])
    gradients = np.array([along + across, along - across, [np.nan, 0.0]])
    values = compare(gradients, exact, np.array([0.0, 0.5]))
    np.testing.assert_allclose(values["ratio"], 2)
    np.testing.assert_allclose(values["ratio_error"], 0.5 * 4 / 25)
    np.testing.assert_allclose(values["noise"], 1)
    np.testing.assert_allclose(values["non_finite"], 1 / 3)


@pytest.mark.slow
def test_ours_is_right_where_jax_loses_most_of_the_gradient():
    concentration = np.array([1e-3, 1e-3])
    exact, error = exact_gradient(
        concentration,
        TOPICS,
        COUNTS,
        num_directions=2,
        rng=np.random.default_rng(0),
    )
    values = {}
    for arm, estimator in ESTIMATORS.items():
        gradients = measured_gradients(
            jax.random.key(0),
            jnp.asarray(concentration, jnp.float32),
            jnp.asarray(TOPICS, jnp.float32),
            jnp.asarray(COUNTS, jnp.float32),
            estimator=estimator,
            num_draws=100_000,
        )
        values[arm] = compare(np.asarray(gradients), exact, error)
    ours, theirs = values["ours"], values["jax"]
    assert abs(ours["ratio"] - 1) < 5 * ours["ratio_error"]
    assert ours["ratio_error"] < 0.1
    assert theirs["ratio"] + 5 * theirs["ratio_error"] < 0.5
