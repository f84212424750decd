import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import flows

import reparam_jax as rj
from reparam_jax.distributions._log_prob import log_prob
from reparam_jax.objectives._model import (
    Model,
    at_shape,
    density,
    held_density,
    hold,
    parameters,
)

GUIDE = {
    "bit": dist.Bernoulli(logits=jnp.array([[0.3, -1.0], [0.5, 2.0]])).to_event(1),
    "z": dist.Normal(jnp.array([0.4, -0.2]), jnp.array([0.5, 1.5])),
}
PRIOR = {
    "bit": dist.Bernoulli(0.3 * jnp.ones(2)).to_event(1),
    "z": dist.Laplace(0.0, 2.0),
}
DRAW = {"bit": jnp.array([[0, 1], [1, 1]]), "z": jnp.array([0.1, 0.7])}


def log_joint(draw, x):
    return -((draw["z"] + jnp.sum(draw["bit"], -1) - x) ** 2)


X = jnp.array([1.0, -1.0])


def terms():
    own = {name: GUIDE[name].log_prob(DRAW[name]) for name in GUIDE}
    with jax.numpy_rank_promotion("allow"):
        prior = {name: PRIOR[name].log_prob(DRAW[name]) for name in GUIDE}
    return log_joint(DRAW, X), own, prior


def test_the_log_weight_is_joint_and_prior_over_the_guide():
    joint, own, prior = terms()
    wanted = joint + sum(prior.values()) - sum(own.values())

    def weight(prior, **options):
        model = Model("objective", log_joint, GUIDE, prior)
        return jax.jit(lambda x: model.log_weight(DRAW, x, **options))(X)

    found = weight(PRIOR)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    alone = weight(None)
    np.testing.assert_allclose(alone, joint - sum(own.values()), rtol=1e-6)
    # "bit" comes first: without its terms
    found = weight(PRIOR, without=[0])
    np.testing.assert_allclose(found, joint + prior["z"] - own["z"], rtol=1e-6)


@pytest.mark.slow
def test_one_number_for_all_has_the_sum_of_the_terms():
    joint, own, prior = terms()
    model = Model("objective", lambda *a: jnp.sum(log_joint(*a)), GUIDE, PRIOR)
    wanted = jnp.sum(joint + sum(prior.values()) - sum(own.values()))
    np.testing.assert_allclose(model.log_weight(DRAW, X), wanted, rtol=1e-6)


@pytest.mark.slow
def test_parts_that_serve_several_examples_need_one_number():
    guide = GUIDE | {"shared": dist.Normal()}

    def whole(draw, x):
        return jnp.sum(log_joint(draw, x)) + draw["shared"]

    draw = DRAW | {"shared": jnp.asarray(0.4)}
    joint, own, _ = terms()
    found = Model("objective", whole, guide, None).log_weight(draw, X)
    wanted = jnp.sum(joint - sum(own.values())) + 0.4 - dist.Normal().log_prob(0.4)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    model = Model("objective", log_joint, guide, None)
    with pytest.raises(ValueError, match=r"`objective`.*\(\) and \(2,\).*the sum"):
        model.log_weight(draw, X)


@pytest.mark.slow
def test_held_only_the_guides_density_is_constant():
    def weight(loc, scale, held):
        model = Model(
            "objective",
            lambda z, scale: -scale * z**2,
            dist.Normal(loc, 1.2),
            dist.Normal(loc, 2.0),
        )
        return model.log_weight(jnp.asarray(0.7), scale, held=held)

    slopes = jax.grad(weight, (0, 1))(0.3, 1.5, True)
    np.testing.assert_allclose(slopes, [0.4 / 4, -(0.7**2)], rtol=1e-6)
    slopes = jax.grad(weight, (0, 1))(0.3, 1.5, False)
    np.testing.assert_allclose(slopes[0], 0.4 / 4 - 0.4 / 1.44, rtol=1e-6)


LAWS = {
    "normal": lambda x: dist.Normal(x, jnp.exp(x)).expand((2,)).to_event(1),
    "affine": lambda x: dist.TransformedDistribution(
        dist.Normal(x, 1.0), dist.transforms.AffineTransform(x, jnp.exp(x))
    ),
    "mixture": lambda x: dist.MixtureSameFamily(
        dist.Categorical(logits=jnp.stack([x, -x])),
        dist.Normal(jnp.stack([x, 2 * x]), 1.0),
    ),
    "truncated": lambda x: dist.TruncatedNormal(x, jnp.exp(x), low=-5.0),
    "vectors": lambda x: dist.MultivariateNormal(
        jnp.stack([x, -x]), jnp.exp(x) * jnp.eye(2)
    ),
    "masked": lambda x: dist.Gamma(jnp.exp(x), 1.0).mask(True),
    "bit": lambda x: dist.Bernoulli(logits=x),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_held_laws_have_no_parameters(name):
    def value_at(x, change):
        law = LAWS[name](x)
        value = jnp.full(law.shape(), 1.0)
        return jnp.sum(log_prob(change(law), value))

    assert jax.grad(value_at)(0.3, hold) == 0
    assert abs(jax.grad(value_at)(0.3, lambda law: law)) > 1e-2
    np.testing.assert_array_equal(value_at(0.3, hold), value_at(0.3, lambda law: law))


def test_masked_elements_count_0():
    keep = jnp.array([[True, False], [True, True]])
    law = dist.Normal(jnp.zeros((2, 2)), 1.0).mask(keep).to_event(1)
    value = jnp.array([[0.5, 9.0], [1.0, 2.0]])
    found = density(law, value, one_hot=False)
    wanted = np.where(keep, dist.Normal().log_prob(value), 0).sum(-1)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("event", [0, 1])
def test_one_hot_categories_have_the_density_of_their_index(event):
    probs = jnp.array([[0.3, 0.1, 0.6], [0.25, 0.75, 0.0]])
    law = dist.Categorical(probs=probs).to_event(event)
    index = jnp.array([2, 1])
    found = density(law, jax.nn.one_hot(index, 3), one_hot=True)
    wanted = np.log([0.6, 0.75])
    np.testing.assert_allclose(found, wanted.sum() if event else wanted, rtol=1e-6)
    # What broadcasts to it, a prior, has one of its own.
    prior = dist.Categorical(probs=jnp.array([0.2, 0.5, 0.3]))
    found = density(prior, jax.nn.one_hot(index, 3), one_hot=True)
    np.testing.assert_allclose(found, np.log([0.3, 0.5]), rtol=1e-6)


def test_parameters_are_all_that_is_real():
    laws = [dist.Normal(jnp.array([1.0, 2.0]), 3.0), dist.Binomial(4, logits=0.5)]
    found = [float(jnp.sum(each)) for each in parameters(laws)]
    assert sorted(found)[-1] >= 3.0
    assert {3.0, 0.5} <= set(found)
    assert all(jnp.issubdtype(each.dtype, jnp.floating) for each in parameters(laws))


def test_terms_are_added_up_for_one_number_only():
    np.testing.assert_array_equal(at_shape((), jnp.array([1.0, 2.0])), 3.0)
    np.testing.assert_array_equal(at_shape((2,), jnp.array([1.0, 2.0])), [1.0, 2.0])


@pytest.mark.parametrize(
    ("prior", "error", "words"),
    [
        (dist.Normal(), ValueError, "prior in the tree of the guide"),
        (PRIOR | {"more": dist.Normal()}, ValueError, "prior in the tree"),
        (PRIOR | {"z": 1.0}, TypeError, "got float"),
        (PRIOR | {"bit": dist.Bernoulli(0.3)}, ValueError, r"event shape, \(2,\)"),
        (
            PRIOR | {"z": dist.Normal(jnp.zeros(3))},
            ValueError,
            r"batch \(3,\)",
        ),
        (PRIOR | {"z": dist.Normal(jnp.zeros((1, 2)))}, ValueError, r"\(1, 2\)"),
    ],
)
def test_priors_that_do_not_fit_are_named(prior, error, words):
    with pytest.raises(error, match=words):
        Model("objective", log_joint, GUIDE, prior)


def make_flow(weights):
    """An autoregressive flow, whose network is hidden from the tree of parameters."""

    def network(x):
        one = jnp.ones_like(x[..., 0])
        means = jnp.stack([weights[0] * one, weights[1] * x[..., 0]], -1)
        log_scales = jnp.stack([weights[2] * one, weights[3] * x[..., 0]], -1)
        return means, log_scales

    base = dist.Normal(jnp.zeros(2), 1.0).to_event(1)
    transform = flows.InverseAutoregressiveTransform(network)
    return dist.TransformedDistribution(base, [transform])


@pytest.mark.slow
def test_what_a_flow_closes_over_is_held_too():
    weights = jnp.array([0.1, 0.2, 0.3, 0.4])
    value = jnp.array([0.5, -1.0])

    def log_density(weights, value):
        return held_density(make_flow(weights), value, one_hot=False)

    by_weights, by_value = jax.jit(jax.grad(log_density, (0, 1)))(weights, value)
    np.testing.assert_array_equal(by_weights, np.zeros(4))
    flow = make_flow(weights)
    np.testing.assert_allclose(by_value, jax.grad(flow.log_prob)(value), rtol=1e-6)

    def bound(guide_weights):
        return rj.elbo(
            jax.random.key(0),
            flow.log_prob,
            make_flow(guide_weights),
            sticking_the_landing=True,
        )

    # About 1 without it: the largest term of the score.
    slopes = jax.jit(jax.grad(bound))(weights)
    np.testing.assert_allclose(slopes, np.zeros(4), atol=1e-5)


@pytest.mark.parametrize("sticks", [False, True])
def test_outcomes_of_probability_0_count_nothing(sticks):
    def bound(law, parameter):
        def of(parameter):
            return rj.elbo(
                jax.random.key(0),
                lambda z: 2.0 * z,
                law(parameter),
                sticking_the_landing=sticks,
            )

        return jax.jit(jax.value_and_grad(of))(jnp.asarray(parameter))

    # Of two equally likely outcomes: the mean, and the entropy log 2.
    value, slopes = bound(dist.CategoricalLogits, [0.5, -jnp.inf, 0.5])
    np.testing.assert_allclose(value, 2 + np.log(2), rtol=1e-6)
    np.testing.assert_allclose(slopes, [-1, 0, 1], rtol=1e-6)
    value, slope = bound(dist.BernoulliProbs, 1.0)
    assert value == 2
    assert np.isfinite(slope)
    value, slope = bound(lambda x: dist.Bernoulli(probs=jax.nn.sigmoid(x)), 40.0)
    assert value == 2
    np.testing.assert_allclose(slope, 0, atol=1e-15)


@pytest.mark.slow
def test_outcomes_that_guide_and_prior_rule_out_count_nothing():
    logits = jnp.array([[0.5, -jnp.inf, 0.5], [-jnp.inf, 1.0, -jnp.inf]])
    law = dist.CategoricalLogits(logits, validate_args=False).to_event(1)
    value = rj.elbo(
        jax.random.key(0), lambda z: 0.0, law, prior=law, estimator=rj.Enumerate()
    )
    np.testing.assert_allclose(value, 0, atol=1e-6)
    value = rj.elbo(
        jax.random.key(0),
        lambda z: 0.0,
        law,
        prior=law,
        estimator=rj.Enumerate(),
        sticking_the_landing=True,
    )
    np.testing.assert_allclose(value, 0, atol=1e-6)


def test_one_hot_draws_have_the_density_of_what_they_mark():
    logits = jnp.array([[0.3, -0.2, 0.5], [0.6, -jnp.inf, 1.0]])
    mask = jnp.array([True, False])
    index = jnp.array([1, 2])
    value = jax.nn.one_hot(index, 3)
    whole = dist.CategoricalLogits(logits, validate_args=False)
    for law in (
        whole,
        whole.mask(mask),
        whole.mask(mask).to_event(1),
        whole.to_event(1),
    ):
        of = jax.value_and_grad(
            lambda value, law=law: density(law, value, one_hot=True).sum()
        )
        log_prob, slopes = jax.jit(of)(value)
        expected = density(law, index, one_hot=False).sum()
        np.testing.assert_allclose(log_prob, expected, rtol=1e-6)
        assert np.isfinite(slopes).all()


def test_a_one_hot_draw_needs_a_categorical_prior():
    guide = dist.Categorical(logits=jnp.zeros(4))
    prior = dist.Binomial(3, 0.5)
    with pytest.raises(TypeError, match=r"`elbo` needs a categorical.*Binomial"):
        rj.elbo(
            jax.random.key(0),
            lambda draw: jnp.zeros(()),
            guide,
            prior=prior,
            estimator=rj.StraightThrough(),
        )
