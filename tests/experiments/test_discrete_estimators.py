"""Tests of ``experiments._discrete_estimators`` on a latent of few outcomes."""

import functools
import math

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

import reparam_jax as rj
from experiments import _runs
from experiments._discrete_estimators import NAMES, make_estimator
from experiments._discrete_model import DiscreteVae

SHAPES = {"bernoulli": (3,), "categorical": (2, 3)}
BIASED = ("straight_through", "relaxed")
OPTIONS = {"num_pixels": 4, "temperature": 0.5, "learning_rate": 0.03}
IMAGES = jnp.array([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]).reshape(2, 2, 2, 1)


def make(name, shape=(20,), evaluations=2, **changes):
    options = OPTIONS | changes
    return make_estimator(name, evaluations=evaluations, logits_shape=shape, **options)


@functools.cache
def model(latent, seed=0):
    """A model whose decoder and encoder depend strongly on all they see."""
    vae = DiscreteVae(
        2,
        latent=latent,
        latents=SHAPES[latent][0],
        num_classes=3,
        network="linear",
        width=1,
        rngs=nnx.Rngs(seed),
    )
    graphdef, params = nnx.split(vae)
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    leaves = [
        0.7 * jax.random.normal(key, leaf.shape)
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    return graphdef, structure.unflatten(leaves)


def gradient_of(latent, bounds):
    """The gradient of the mean of ``bounds(vae, *args)`` for all parameters."""
    graphdef, params = model(latent)

    @jax.jit
    def gradient(*args):
        def bound(params):
            return jnp.mean(bounds(nnx.merge(graphdef, params), *args))

        return jax.flatten_util.ravel_pytree(jax.grad(bound)(params))[0]

    return gradient


@functools.cache
def exact_gradient(latent, num_samples):
    """Of the bound with so many samples, by summing over all outcomes."""

    def bounds(vae, key):
        model = vae.log_likelihood, vae.guide(IMAGES), IMAGES
        options = {"prior": vae.prior(), "estimator": rj.Enumerate()}
        if num_samples == 1:
            return rj.elbo(key, *model, **options)
        return rj.iwae_bound(key, *model, num_samples=num_samples, **options)

    return np.asarray(gradient_of(latent, bounds)(jax.random.key(0)), np.float64)


@pytest.mark.parametrize(
    ("name", "evaluations", "samples", "spent"),
    [
        ("score_function", 2, 2, 2),
        ("score_function", 1, 1, 1),
        ("moving_average", 6, 6, 6),
        ("leave_one_out", 1, 2, 2),
        ("leave_one_out", 6, 6, 6),
        ("arm", 2, 1, 2),
        ("disarm", 1, 1, 2),
        ("disarm", 7, 3, 6),
        ("rebar", 2, 1, 3),
        ("rebar", 6, 2, 6),
        ("relax", 2, 2, 2),
        ("straight_through", 2, 2, 2),
        ("relaxed", 3, 3, 3),
        ("measure_valued", 2, 1, 21),
        ("measure_valued", 42, 2, 42),
        ("vimco", 1, 2, 2),
        ("vimco", 5, 5, 5),
    ],
)
def test_each_takes_the_most_estimates_within_the_evaluations_or_one(
    name, evaluations, samples, spent
):
    estimator = make(name, evaluations=evaluations)
    assert (estimator.num_samples, estimator.evaluations) == (samples, spent)
    assert estimator.tuning == {"rebar": 3, "relax": 1}.get(name, 0)


def test_categories_cost_one_evaluation_for_each_value_or_outcome():
    assert make("measure_valued", (5, 4)).evaluations == 1 + 5 * 4
    assert make("enumerate", (5, 4)).evaluations == 4**5
    assert make("enumerate", (12,)).evaluations == 2**12


@pytest.mark.parametrize("shape", [(13,), (20,), (7, 4)])
def test_enumerate_refuses_too_many_outcomes(shape):
    with pytest.raises(_runs.OptionsError, match=r"Choose fewer `--latents`, or"):
        make("enumerate", shape)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "latent"),
    [(name, "bernoulli") for name in NAMES]
    + [
        (name, "categorical")
        for name in ("disarm", "rebar", "relax", "relaxed", "measure_valued", "vimco")
    ],
)
def test_mean_gradient_is_exact_unless_said_to_be_biased(name, latent, alpha):
    estimator = make(name, SHAPES[latent], evaluations=2)
    state = estimator.init(jax.random.key(1))

    def bounds(vae, key):
        return estimator.bounds(key, state, vae, IMAGES)

    exact = exact_gradient(latent, 2 if name == "vimco" else 1)
    gradient = gradient_of(latent, bounds)
    if name == "enumerate":
        np.testing.assert_allclose(gradient(jax.random.key(2)), exact, rtol=1e-5)
        return
    keys = jax.random.split(jax.random.key(2), 4000)
    gradients = np.asarray(jax.vmap(gradient)(keys), np.float64)
    errors = gradients.std(0, ddof=1) / math.sqrt(len(keys))
    # Rounding, where an estimator is exact in every draw.
    errors = np.hypot(errors, 1e-6)
    worst = np.max(np.abs(gradients.mean(0) - exact) / errors)
    limit = stats.norm.isf(alpha / 2 / len(exact))
    assert (worst > limit) == (name in BIASED), (worst, limit)


def second_moment(estimator, state, vae, key):
    return rj.gradient_second_moment(
        key,
        vae.log_likelihood,
        vae.guide(IMAGES),
        IMAGES,
        num_samples=2000,
        estimator=estimator.rule_at(state, IMAGES),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "at_most"), [("rebar", 0.4), ("relax", 0.4)])
def test_tuning_lowers_the_second_moment(name, at_most):
    estimator = make(name, SHAPES["bernoulli"], learning_rate=0.1)
    vae = nnx.merge(*model("bernoulli"))
    first = estimator.init(jax.random.key(3))
    if name == "rebar":
        first["params"]["scale"] = jnp.array(5.0)

    @jax.jit
    def tune(state, keys):
        def step(state, key):
            return estimator.update(key, state, vae, IMAGES, None), None

        return jax.lax.scan(step, state, keys)[0]

    @jax.jit
    def moment(state, key):
        return second_moment(estimator, state, vae, key)

    last = tune(first, jax.random.split(jax.random.key(4), 200))
    before, after = (moment(state, jax.random.key(5)) for state in (first, last))
    assert after < at_most * before


@pytest.mark.slow
def test_moving_average_follows_the_log_likelihoods_not_the_bounds():
    estimator = make("moving_average", SHAPES["bernoulli"])
    vae = nnx.merge(*model("bernoulli"))
    # Without weights in the decoder, the log-likelihood is known without a draw.
    vae.decoder.kernel[...] = jnp.zeros((3, 4))
    graphdef, params = nnx.split(vae)
    bias = np.asarray(vae.decoder.bias[...], np.float64)
    log_probs = np.asarray(IMAGES).reshape(2, 4) * bias - np.logaddexp(0, bias)
    expected = log_probs.sum(-1).mean()

    @jax.jit
    def step(state, key):
        vae = nnx.merge(graphdef, params)
        bounds = estimator.bounds(key, state, vae, IMAGES)
        return bounds, estimator.update(key, state, vae, IMAGES, bounds)

    state = estimator.init(jax.random.key(0))
    for key in jax.random.split(jax.random.key(1), 3):
        bounds, state = step(state, key)
        assert abs(float(bounds.mean()) - expected) > 0.05 * abs(expected)
        np.testing.assert_allclose(state.value, expected, rtol=1e-5)
