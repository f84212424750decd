"""Continuous draws given an outcome, against the formulas of the paper in uniforms."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from reparam_jax.estimators._thresholds import (
    SeveralOutcomes,
    TwoOutcomes,
    threshold_of,
)

NOISE = np.linspace(-10.0, 10.0, 21)
LOGITS = np.array([-3.0, -0.4, 0.0, 1.7])


def paper_bit(logit, outcome, v):
    """Tucker et al. 2017, appendix C: v' from v, and z from v'."""
    theta = jax.nn.sigmoid(logit)
    v = jnp.where(outcome, v * theta + 1 - theta, v * (1 - theta))
    return logit + jnp.log(v / (1 - v))


def paper_categories(logits, outcome, v):
    probs = jax.nn.softmax(logits)
    top = -jnp.log(-jnp.log(v[outcome]))
    others = -jnp.log(-jnp.log(v) / probs - jnp.log(v[outcome]))
    return jnp.where(jnp.arange(len(v)) == outcome, top, others)


@pytest.mark.parametrize("outcome", [False, True])
def test_a_bit_given_its_outcome_and_its_slope_are_those_of_the_paper(outcome):
    def ours(logit, noise):
        draw = noise[None], noise[None]
        return TwoOutcomes(logit).given(jnp.array([outcome]), draw)[0]

    def paper(logit, noise):
        return paper_bit(logit, outcome, jax.nn.sigmoid(noise))

    with jax.enable_x64(True):
        logits, noise = (jnp.asarray(x.ravel()) for x in np.meshgrid(LOGITS, NOISE))
        for function in (lambda f: f, jax.grad):
            found, expected = jax.jit(
                lambda *args, function=function: [
                    jax.vmap(function(of))(*args) for of in (ours, paper)
                ]
            )(logits, noise)
            # The paper's formula loses digits next to v = 1.
            np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize("outcome", [0, 1, 2])
def test_categories_given_the_outcome_and_their_slopes_are_those_of_the_paper(outcome):
    def ours(logits, noise):
        law = SeveralOutcomes(jax.nn.log_softmax(logits))
        hard = jax.nn.one_hot(outcome, 3, dtype=bool)
        return law.given(hard[None], (noise[None], noise[None]))[0]

    def paper(logits, noise):
        return paper_categories(logits, outcome, jnp.exp(-jnp.exp(-noise)))

    with jax.enable_x64(True):
        logits = jnp.array([0.3, -1.2, 2.0])
        noise = jnp.asarray(np.random.default_rng(0).gumbel(size=(50, 3)))
        for function in (lambda f: f, jax.jacfwd):
            found, expected = jax.jit(
                lambda *args, function=function: [
                    jax.vmap(function(of), (None, 0))(*args) for of in (ours, paper)
                ]
            )(logits, noise)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("outcome", [False, True])
def test_a_bit_given_its_outcome_has_the_law_of_the_free_draw_there(outcome):
    with jax.enable_x64(True):
        logit, noise = jnp.array(0.7), jnp.asarray(NOISE)
        hard = jnp.full(noise.shape, outcome)
        z = TwoOutcomes(logit).given(hard, (noise, noise))
        assert ((z > 0) == outcome).all()
        below, at_zero = jax.nn.sigmoid(z - logit), jax.nn.sigmoid(-logit)
        cdf = (below - at_zero) / (1 - at_zero) if outcome else below / at_zero
        np.testing.assert_allclose(cdf, jax.nn.sigmoid(noise), rtol=1e-10)


def test_categories_given_the_outcome_have_the_law_of_free_draws_there():
    with jax.enable_x64(True):
        logits = jax.nn.log_softmax(jnp.array([0.3, -1.2, 2.0]))
        noise = jnp.asarray(np.random.default_rng(1).gumbel(size=(50, 3)))
        hard = jax.nn.one_hot(jnp.arange(50) % 3, 3, dtype=bool)
        z = SeveralOutcomes(logits).given(hard, (noise, noise))
        assert (jnp.argmax(z, -1) == jnp.arange(50) % 3).all()
        # The largest of all is standard Gumbel, the others are truncated at it.
        top = jnp.max(z, -1, keepdims=True)
        exponent = jnp.exp(logits[None] - z)
        exponent -= jnp.where(hard, 0, jnp.exp(logits[None] - top))
        exponent = jnp.where(hard, jnp.exp(-z), exponent)
        np.testing.assert_allclose(exponent, jnp.exp(-noise), rtol=1e-8)


@pytest.mark.parametrize("logit", [-100.0, -30.0, 0.0, 30.0, 100.0, -np.inf, np.inf])
def test_extreme_logits_and_noise_stay_on_their_side_without_nan(logit):
    noise = jnp.array([-22.9, 0.0, 22.9])
    draw = noise, noise
    hard = TwoOutcomes(jnp.float32(logit)).hard(draw)

    @jax.jit
    def relaxed(logit):
        return TwoOutcomes(logit).relaxed(TwoOutcomes(logit).given(hard, draw), 0.5)

    value, slope = jax.jvp(relaxed, (jnp.float32(logit),), (jnp.float32(1),))
    assert not jnp.isnan(value).any()
    assert ((value >= 0.5) == hard).all()
    # 0 <= dy / dl <= 1 / (4 temperature).
    assert ((slope >= 0) & (slope <= 0.5)).all()


def test_impossible_categories_are_never_drawn_and_give_no_nan():
    logits = jnp.array([-jnp.inf, jnp.log(0.25), jnp.log(0.75)])
    noise = jnp.asarray(np.random.default_rng(2).gumbel(size=(200, 3)), jnp.float32)
    law = SeveralOutcomes(logits)
    hard = law.hard((noise, noise))
    assert not hard[:, 0].any()
    assert hard[:, 1].any()

    @jax.jit
    def terms(logits):
        law = SeveralOutcomes(logits)
        points = law.given(hard, (noise, noise))
        return jnp.sum(law.log_prob(hard), -1), law.relaxed(points, 0.5)

    (log_prob, value), slopes = jax.jvp(terms, (logits,), (jnp.ones(3),))
    expected = np.where(hard[:, 1], np.log(0.25), np.log(0.75))
    np.testing.assert_allclose(log_prob, expected, rtol=1e-6)
    assert (value[:, 0] == 0).all()
    np.testing.assert_array_equal(slopes[0], 1)
    # A softmax does not change with a common shift; a draw given the outcome does.
    assert (jnp.abs(slopes[1]) <= 0.5).all()


@pytest.mark.parametrize(
    ("law", "kind", "shape"),
    [
        (dist.Bernoulli(logits=jnp.zeros((2, 1))).expand([2, 3]), TwoOutcomes, (2, 3)),
        (dist.Bernoulli(probs=0.5).mask(False), TwoOutcomes, ()),
        (dist.Categorical(logits=jnp.zeros((2, 3))), SeveralOutcomes, (2, 3)),
        (dist.Multinomial(1, probs=jnp.ones(4) / 4), SeveralOutcomes, (4,)),
    ],
)
def test_noise_has_the_shape_of_the_logits(law, kind, shape):
    threshold = threshold_of("Rebar", law)
    assert isinstance(threshold, kind)
    free, given = threshold.draw(jax.random.key(0), 5)
    assert free.shape == given.shape == (5, *shape)
    assert (free != given).all()


@pytest.mark.parametrize(
    "law", [dist.Poisson(1.0), dist.Multinomial(2, logits=jnp.zeros(3)), dist.Normal()]
)
def test_other_laws_are_refused_with_what_works(law):
    with pytest.raises(TypeError, match=r"`Rebar` takes Bernoulli.*`ScoreFunction`"):
        threshold_of("Rebar", law)
