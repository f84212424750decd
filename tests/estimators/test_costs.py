"""What a cost may return, and which of it each distribution is credited with."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from reparam_jax.estimators._costs import spread, sum_events
from tests.estimators import exact


def test_terms_are_summed_for_a_scalar_cost():
    terms = jnp.arange(12.0).reshape(2, 3, 2)
    np.testing.assert_array_equal(spread(terms, jnp.zeros(2)), [15.0, 51.0])


def test_terms_keep_their_place_for_costs_of_the_batch():
    terms = jnp.arange(6.0).reshape(2, 3)
    wide = spread(terms, jnp.zeros((2, 4, 3))) + jnp.zeros((2, 4, 3))
    np.testing.assert_array_equal(wide[:, 2], terms)


def test_terms_are_added_up_over_the_event_and_its_categories():
    terms = jnp.arange(48.0).reshape(4, 2, 3, 2)
    law = dist.Normal(jnp.zeros((2, 3)), 1.0)
    np.testing.assert_array_equal(sum_events(terms, law), terms.sum(-1))
    np.testing.assert_array_equal(
        sum_events(terms, law.to_event(1)), terms.sum((-2, -1))
    )


BATCH = dist.Normal(jnp.zeros((2, 3)), 1.0)


@pytest.mark.parametrize(
    ("cost_fn", "words"),
    [
        (lambda z: z[0], r"\(\) or \(2, 3\).*got \(3,\)"),
        (lambda z: z[None], r"got \(1, 2, 3\)"),
    ],
)
@pytest.mark.parametrize("estimator", [rj.Pathwise(), rj.ScoreFunction()], ids=repr)
def test_costs_of_other_shapes_are_refused(cost_fn, words, estimator):
    with pytest.raises(ValueError, match=words):
        rj.expectation(jax.random.key(0), cost_fn, BATCH, estimator=estimator)


@pytest.mark.parametrize(
    ("cost_fn", "words"), [(lambda z: (z, z), "tuple"), (lambda z: 1j * z, "complex64")]
)
def test_costs_that_are_not_real_numbers_are_refused(cost_fn, words):
    with pytest.raises(TypeError, match=words):
        rj.expectation(jax.random.key(0), cost_fn, BATCH)


def test_whole_numbers_are_costs_too():
    law = dist.Bernoulli(logits=jnp.zeros(3))
    estimator = rj.ScoreFunction()
    value = estimator.estimate(lambda b: jnp.sum(b > 0), law, exact.bits(3))
    assert value.dtype == jnp.float32
    assert value == 1.5


@pytest.mark.slow
def test_a_law_that_lacks_an_axis_is_credited_with_the_sum_along_it():
    # One switch for three examples, each with a bit of its own, by enumeration.
    scale = jnp.array([1.0, 2.0, 0.5])

    def cost(draw):
        return scale * (1.0 + draw["switch"]) * (draw["bits"] - 0.3) ** 2

    def dist_of(parameters):
        return {
            "switch": dist.Bernoulli(logits=parameters["switch"]),
            "bits": dist.Bernoulli(logits=parameters["bits"]),
        }

    parameters = {"switch": jnp.asarray(0.6), "bits": jnp.array([0.4, -1.1, 0.7])}
    outcomes = exact.bits(4)
    draws = {"switch": outcomes[:, 0], "bits": outcomes[:, 1:]}
    p = jax.tree.map(lambda x: np.asarray(jax.nn.sigmoid(x), np.float64), parameters)
    weights = np.where(outcomes[:, 0] == 1, p["switch"], 1 - p["switch"])
    weights = weights * np.where(outcomes[:, 1:] == 1, p["bits"], 1 - p["bits"]).prod(1)

    def total(parameters, draw):
        draw = jax.tree.map(lambda x: x[None], draw)
        estimator = rj.ScoreFunction()
        return jnp.sum(estimator.estimate(cost, dist_of(parameters), draw))

    slopes = jax.vmap(jax.grad(total), (None, 0))(parameters, draws)
    found = jax.tree.map(lambda x: exact.moments(x, weights)[0], slopes)
    of_bits = np.asarray(scale) * (p["bits"] * 0.49 + (1 - p["bits"]) * 0.09)
    q = p["switch"] * (1 - p["switch"])
    np.testing.assert_allclose(found["switch"], q * of_bits.sum(), rtol=1e-5)
    q = p["bits"] * (1 - p["bits"])
    expected = (1 + p["switch"]) * np.asarray(scale) * q * (0.49 - 0.09)
    np.testing.assert_allclose(found["bits"], expected, rtol=1e-5)


def test_laws_whose_batches_do_not_fit_take_a_scalar_cost():
    tree = dist.Normal(jnp.zeros(2), 1.0), dist.Normal(jnp.zeros(3), 1.0)
    key = jax.random.key(0)
    assert rj.expectation(key, lambda z: z[0].sum() + z[1].sum(), tree).shape == ()
    with pytest.raises(ValueError, match=r"shape \(\): one number"):
        rj.expectation(jax.random.key(0), lambda z: z[0], tree)
