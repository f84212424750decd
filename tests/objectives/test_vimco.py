import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from tests.estimators.precisions import precision
from tests.objectives.given import GivenNoise, GivenValues, mean, normal_nodes, tuples

LAWS = {
    "bits": (
        lambda logits: dist.Bernoulli(logits=logits).to_event(1),
        np.array([[0, 0], [0, 1], [1, 0], [1, 1]]),
        np.array([0.4, -0.7]),
    ),
    "category": (
        lambda logits: dist.Categorical(logits=logits),
        np.array([0, 1, 2]),
        np.array([0.5, -0.8, 0.1]),
    ),
}
X, SCALE = 0.7, 0.9


def log_joint(z, x, scale):
    z = z if z.ndim == 0 else z @ jnp.array([1.0, -2.0], x.dtype)
    return -((x - z) ** 2) / (2 * scale**2) - jnp.log(scale) - 0.3 * z


def exact_bound(law, outcomes, draws, weights):
    """The bound as a sum over all tuples, given those and without their chances."""

    def bound(logits, scale):
        x = jnp.asarray(X, logits.dtype)
        own = jax.vmap(law(logits).log_prob)(outcomes)
        joint = jax.vmap(lambda z: log_joint(1.0 * z, x, scale))(outcomes)
        terms = (joint - own)[weights]
        value = jax.nn.logsumexp(terms, 1) - jnp.log(draws.shape[1])
        return jnp.sum(jnp.exp(own[weights].sum(1)) * value)

    return bound


def cases(kind, count):
    """All tuples of outcomes, their places in the list, and the bound by their sum."""
    law, outcomes, logits = LAWS[kind]
    draws, _ = tuples(outcomes, count)
    places, _ = tuples(np.arange(len(outcomes)), count)
    return law, draws, exact_bound(law, outcomes, draws, places), logits


def chances(law, draws, logits):
    own = jax.jit(lambda logits: jax.vmap(jax.vmap(law(logits).log_prob))(draws))
    return np.exp(np.asarray(own(logits)).sum(1))


def estimate(law, logits, scale, values):
    guide, options = law(logits), {"num_samples": values.shape[0]}
    options["estimator"] = GivenValues(values=values)
    x = jnp.asarray(X, logits.dtype)
    return rj.vimco(
        jax.random.key(0),
        lambda z, x, scale: log_joint(1.0 * z, x, scale),
        guide,
        x,
        scale,
        **options,
    )


def plain_score(law, logits, scale, values):
    x = jnp.asarray(X, logits.dtype)
    own = jax.vmap(law(logits).log_prob)(values)
    joint = jax.vmap(lambda z: log_joint(1.0 * z, x, scale))(values)
    value = jax.nn.logsumexp(joint - own) - jnp.log(values.shape[0])
    return value + jax.lax.stop_gradient(value) * own.sum()


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("bits", 2),
        pytest.param("bits", 3, marks=pytest.mark.slow),
        pytest.param("category", 2, marks=pytest.mark.slow),
        pytest.param("category", 4, marks=pytest.mark.slow),
    ],
)
def test_the_gradient_has_the_mean_of_the_bounds_derivative(kind, count):
    law, draws, bound, at = cases(kind, count)
    at = jnp.asarray(at, jnp.float32)
    weights = chances(law, draws, at)
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-6)

    def moments_of(function):
        slope = jax.value_and_grad(function, (0, 1))
        every = jax.jit(jax.vmap(slope, (None, None, 0)))(at, SCALE, draws)
        means = jax.tree.map(lambda leaf: mean(leaf, weights), every)
        squares = mean(np.square(every[1][0], dtype=np.float64), weights)
        return means, np.sum(squares - means[1][0] ** 2)

    (value, slopes), variance = moments_of(lambda *given: estimate(law, *given))
    wanted = jax.jit(jax.value_and_grad(bound, (0, 1)))(at, SCALE)
    np.testing.assert_allclose(value, wanted[0], rtol=2e-6)
    np.testing.assert_allclose(slopes[0], wanted[1][0], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(slopes[1], wanted[1][1], rtol=2e-5)
    plain, its_variance = moments_of(lambda *given: plain_score(law, *given))
    np.testing.assert_allclose(plain[1][0], wanted[1][0], rtol=2e-5, atol=1e-6)
    assert variance < 0.85 * its_variance


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("bits", 2), ("category", 3)])
def test_the_hessian_has_the_mean_of_the_bounds(kind, count):
    with precision(np.float64):
        law, draws, bound, at = cases(kind, count)
        at, scale = jnp.asarray(at), jnp.asarray(SCALE)
        weights = chances(law, draws, at)

        def given(logits, scale, values):
            return estimate(law, logits, scale, values)

        hessian = jax.hessian(given, (0, 1))
        every = jax.jit(jax.vmap(hessian, (None, None, 0)))(at, scale, draws)
        wanted = jax.jit(jax.hessian(bound, (0, 1)))(at, scale)
        for found, exact in zip(*map(jax.tree.leaves, (every, wanted)), strict=True):
            np.testing.assert_allclose(
                mean(found, weights), exact, rtol=1e-10, atol=1e-12
            )
        assert np.max(np.abs(wanted[0][1])) > 0.05


@pytest.mark.slow
def test_a_tree_of_bits_and_normals():
    bits, bit_weights = tuples([0.0, 1.0], 2)
    nodes, node_weights = normal_nodes(24)
    noise, noise_weights = tuples(nodes, 2, node_weights)
    pairs = np.indices((len(bits), len(noise))).reshape(2, -1)
    draws = {"bit": bits[pairs[0]], "z": noise[pairs[1]]}
    with precision(np.float64):
        at = {"logit": jnp.asarray(0.4), "loc": jnp.asarray(-0.3)}
        at["log_std"] = jnp.asarray(-0.2)

        def model(draw):
            center = draw["z"] + 1.5 * draw["bit"]
            return dist.Normal(center, 0.8).log_prob(1.1)

        prior = {"bit": dist.Bernoulli(0.3), "z": dist.Normal()}

        def guide_of(at):
            z = dist.Normal(at["loc"], jnp.exp(at["log_std"]))
            return {"bit": dist.Bernoulli(logits=at["logit"]), "z": z}

        def given(at, draw):
            bit = GivenValues(values=draw["bit"])
            estimator = {"bit": bit, "z": GivenNoise(noise=draw["z"])}
            options = {"prior": prior, "num_samples": 2, "estimator": estimator}
            return rj.vimco(jax.random.key(0), model, guide_of(at), **options)

        def bound(at):
            law = guide_of(at)
            z = at["loc"] + jnp.exp(at["log_std"]) * draws["z"]
            own = law["bit"].log_prob(draws["bit"])
            terms = model({"bit": draws["bit"], "z": z}) - own
            terms += prior["bit"].log_prob(draws["bit"])
            terms += prior["z"].log_prob(z) - law["z"].log_prob(z)
            values = jax.nn.logsumexp(terms, 1) - jnp.log(2)
            chance = noise_weights[pairs[1]] * jnp.exp(own.sum(1))
            return jnp.sum(chance * values), chance

        every = jax.jit(jax.vmap(jax.grad(given), (None, 0)))(at, draws)
        wanted, chance = jax.grad(bound, has_aux=True)(at)
        for name in at:
            found = mean(every[name], chance)
            np.testing.assert_allclose(found, wanted[name], rtol=1e-9)
    assert bit_weights.sum() == len(bits)


def model_of_batch(bits, x):
    return -((bits @ jnp.array([1.0, -2.0]) - x) ** 2)


@pytest.mark.slow
def test_each_example_is_credited_with_its_own_bound():
    x, logits = jnp.array([0.5, -1.0, 2.0]), jnp.zeros((3, 2)) + 0.2

    def bounds(logits, whole):
        def model(bits, x):
            terms = model_of_batch(bits, x)
            return jnp.sum(terms) if whole else terms

        guide = dist.Bernoulli(logits=logits).to_event(1)
        return rj.vimco(jax.random.key(1), model, guide, x, num_samples=4)

    jacobian = jax.jit(jax.jacrev(lambda logits: bounds(logits, False)))(logits)
    own = np.eye(3, dtype=bool)
    np.testing.assert_array_equal(np.asarray(jacobian)[~own], 0)
    assert np.all(np.abs(np.asarray(jacobian)[own]).max(-1) > 1e-3)
    # One number for all: the draws together are one draw of the whole batch.
    guide = dist.Bernoulli(logits=logits).to_event(1)
    draws = rj.sample_and_log_prob(
        jax.random.key(1), guide, (4,), reparameterized=False
    )
    terms = jax.vmap(lambda bits: model_of_batch(1.0 * bits, x))(draws[0]) - draws[1]
    for whole, each in ((False, terms), (True, terms.sum(1))):
        wanted = jax.nn.logsumexp(each, 0) - jnp.log(4)
        np.testing.assert_allclose(bounds(logits, whole), wanted, rtol=2e-5)


@pytest.mark.slow
def test_impossible_draws_leave_a_finite_gradient():
    def given(logits, values):
        def model(bit):
            return jnp.where(bit == 1, -0.5, -jnp.inf)

        options = {"num_samples": 3, "estimator": GivenValues(values=values)}
        return rj.vimco(
            jax.random.key(0), model, dist.Bernoulli(logits=logits), **options
        )

    # With p the chance of a 1, log w = -0.5 - log p of each of n ones: the bound is
    # log(n / 3) - 0.5 - log p; without a one it is log((n - 1) / 3) - 0.5 - log p, or 0
    # if there is no other; without a zero, its geometric mean is 0: unless that is the
    # only zero, and then all three are alike.
    p, weight = 1 / (1 + np.exp(-0.3)), -0.5 - np.log(1 / (1 + np.exp(-0.3)))
    value, slope = jax.value_and_grad(given)(0.3, jnp.array([1, 0, 0]))
    np.testing.assert_allclose(value, np.log(1 / 3) + weight, rtol=1e-6)
    gain = value - 0  # of the only one; none of the others
    np.testing.assert_allclose(slope, -(1 - p) + gain * (1 - p), rtol=1e-5)
    _, slope = jax.value_and_grad(given)(0.3, jnp.array([1, 1, 0]))
    bound, one = np.log(2 / 3) + weight, np.log(1 / 3) + weight
    wanted = -(1 - p) + 2 * (bound - one) * (1 - p) + (bound - weight) * -p
    np.testing.assert_allclose(slope, wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"num_samples": 1}, ValueError, "`vimco` compares.*at least 2, got 1"),
        ({"num_samples": 0}, ValueError, "at least 1"),
        ({"estimator": rj.DisARM()}, TypeError, r"`rj\.iwae_bound` takes all others"),
        ({"key": jnp.ones(3)}, TypeError, "`vimco`.*swapped"),
        ({"prior": {"bit": dist.Normal()}}, ValueError, "`vimco` needs a prior in"),
    ],
)
def test_mistakes_are_named(options, error, words):
    arguments = {"key": jax.random.key(0), "num_samples": 3} | options
    key, guide = arguments.pop("key"), dist.Bernoulli(0.3)
    with pytest.raises(error, match=words):
        rj.vimco(key, lambda bit: -1.0 * bit, guide, **arguments)
