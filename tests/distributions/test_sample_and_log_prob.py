"""Draws and their log-densities, before they saturate."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import transforms

import reparam_jax as rj
from reparam_jax.distributions._log_prob import log_prob

TANH = [
    transforms.AffineTransform(0.0, 2.0),
    transforms.SigmoidTransform(),
    transforms.AffineTransform(-1.0, 2.0),
]
MEAN = jnp.array([0.25, 20.0, -100.0, 3e3])
STD = jnp.array([1.0, 2.0, 0.5, 1.0])


def tanh_normal(mean, std):
    return dist.TransformedDistribution(dist.Normal(mean, std), TANH)


LAWS = {
    "normal": dist.Normal(jnp.array([0.5, 1.0]), 2.0),
    "tanh": tanh_normal(jnp.array([0.5, -1.0]), 0.5),
    "log-normal": dist.LogNormal(0.5, jnp.array([0.5, 1.0])),
    "stick": dist.TransformedDistribution(
        dist.Normal(jnp.zeros((2, 3)), 1.0).to_event(1),
        transforms.StickBreakingTransform(),
    ),
    "power": dist.TransformedDistribution(
        dist.Exponential(jnp.array([0.5, 2.0])), transforms.PowerTransform(-0.5)
    ),
    "nested": dist.TransformedDistribution(
        dist.TransformedDistribution(
            dist.Normal(jnp.zeros((2, 3)), 1.0), transforms.ExpTransform()
        ).to_event(1),
        transforms.ComposeTransform(
            [transforms.AffineTransform(0.5, 2.0), transforms.ExpTransform().inv]
        ),
    )
    .mask(jnp.array([True, False]))
    .expand([4, 2]),
}


@pytest.mark.parametrize("reparameterized", [True, False])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "tanh" else pytest.mark.slow)
        for name in LAWS
    ],
)
def test_draws_are_those_of_sample_and_densities_those_of_the_draws(
    name, reparameterized
):
    with jax.enable_x64(True):
        law = jax.tree.map(lambda x: jnp.asarray(x, float), LAWS[name])
        draws, densities = rj.sample_and_log_prob(
            jax.random.key(0), law, (3,), reparameterized=reparameterized
        )
        same = rj.sample(jax.random.key(0), law, (3,))
        assert densities.shape == (3, *law.batch_shape)
        np.testing.assert_array_equal(draws, same)
        # The draw is rounded, and the density is steep where it is next to an end.
        want = log_prob(law, same, masked=True)
        np.testing.assert_allclose(densities, want, rtol=1e-9)


def of_tanh(index, reparameterized):
    def total(mean, std):
        law = tanh_normal(mean, std)
        result = rj.sample_and_log_prob(
            jax.random.key(0), law, reparameterized=reparameterized
        )
        return jnp.sum(result[index])

    return jax.jit(jax.value_and_grad(total, (0, 1)))


def test_a_saturated_action_has_the_density_of_tanh_normal():
    def total(mean, std):
        return jnp.sum(rj.tanh_normal(jax.random.key(0), mean, std=std)[1])

    got = of_tanh(1, True)(MEAN, STD)
    want = jax.jit(jax.value_and_grad(total, (0, 1)))(MEAN, STD)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, want)


# At a fixed action its pre-image is fixed: the score is that of the normal law.
def test_a_saturated_action_has_the_score_of_the_normal_law():
    noise = rj.noise.normal(jax.random.key(0), MEAN.shape)
    _, slopes = of_tanh(1, False)(MEAN, STD)
    # x - mean is rounded to the last place of x
    slack = 2e-7 * np.abs(MEAN) / STD**2 + 1e-6 * np.abs(noise) / STD
    assert np.all(np.abs(slopes[0] - noise / STD) <= slack)
    want, slack = (noise**2 - 1) / STD, 2 * np.abs(noise) * slack
    assert np.all(np.abs(slopes[1] - want) <= slack + 1e-6 * np.abs(want) + 1e-6)


@pytest.mark.slow
def test_draws_of_a_score_carry_no_gradient():
    _, slopes = of_tanh(0, False)(jnp.array([0.25, 1.0]), jnp.array([1.0, 2.0]))
    assert all(np.all(slope == 0) for slope in slopes)
    _, slopes = of_tanh(0, True)(jnp.array([0.25, 1.0]), jnp.array([1.0, 2.0]))
    assert all(np.all(slope != 0) for slope in slopes)


def moving(loc, scale):
    """A logistic-normal law by a transform with parameters before another."""
    return dist.TransformedDistribution(
        dist.Normal(0.0, 1.0).expand([3]),
        [transforms.AffineTransform(loc, scale), transforms.SigmoidTransform()],
    )


def moving_after(loc, scale):
    return dist.TransformedDistribution(
        dist.Normal(0.0, 1.0).expand([3]),
        [transforms.SigmoidTransform(), transforms.AffineTransform(loc, scale)],
    )


@pytest.mark.parametrize(
    "law", [moving, pytest.param(moving_after, marks=pytest.mark.slow)]
)
def test_parameters_of_transforms_move_the_value_before_them(law):
    with jax.enable_x64(True):
        draw = rj.sample(jax.random.key(0), law(0.5, 2.0))

        def ours(loc, scale):
            _, terms = rj.sample_and_log_prob(
                jax.random.key(0), law(loc, scale), reparameterized=False
            )
            return jnp.sum(terms)

        def at_draw(loc, scale):
            return jnp.sum(log_prob(law(loc, scale), draw))

        for derivative in (
            lambda f: jax.grad(f, (0, 1)),
            lambda f: jax.hessian(f, (0, 1)),
        ):
            got, want = (jax.jit(derivative(f))(0.5, 2.0) for f in (ours, at_draw))
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), got, want
            )


@pytest.mark.slow
def test_second_derivatives_of_pathwise_densities():
    with jax.enable_x64(True):
        noise = rj.noise.normal(jax.random.key(0), (), jnp.float64)

        def ours(mean, std):
            return rj.sample_and_log_prob(jax.random.key(0), tanh_normal(mean, std))[1]

        def by_hand(mean, std):
            x = mean + std * noise
            log_slope = 2 * (jnp.log(2) - x - jax.nn.softplus(-2 * x))
            return -(noise**2) / 2 - jnp.log(std * jnp.sqrt(2 * jnp.pi)) - log_slope

        got, want = (
            jax.jit(jax.hessian(f, (0, 1)))(0.25, 0.5) for f in (ours, by_hand)
        )
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11), got, want
        )


def test_sticks_broken_near_their_ends_keep_their_density():
    def density(mean):
        law = dist.TransformedDistribution(
            dist.Normal(mean, 1.0).to_event(1), transforms.StickBreakingTransform()
        )
        return rj.sample_and_log_prob(jax.random.key(0), law)[1]

    noise = rj.noise.normal(jax.random.key(0), (3,))
    mean = jnp.array([60.0, -50.0, 70.0])
    value, slope = jax.jit(jax.value_and_grad(density))(mean)
    # The sticks left are exp(-x_1), and exp(-x_1) exp(0), with x less log(4 - k).
    x = np.asarray(mean + noise, np.float64) - np.log([3, 2, 1])
    terms = -x[0] - x[0] + x[1] - x[0] - x[2]
    want = (
        np.sum(-(np.asarray(noise, np.float64) ** 2) / 2 - np.log(2 * np.pi) / 2)
        - terms
    )
    np.testing.assert_allclose(value, want, rtol=1e-6)
    np.testing.assert_allclose(slope, [3, -1, 1], rtol=1e-6)


def test_masked_elements_count_as_nothing():
    mask = jnp.array([True, False])

    # A draw of so small a concentration is 0, where the density is infinite.
    def total(concentration):
        law = dist.Gamma(concentration, 1.0).mask(mask)
        draw, terms = rj.sample_and_log_prob(jax.random.key(0), law)
        return jnp.sum(terms), (draw, terms)

    concentration = jnp.array([2.0, 1e-4])
    slopes, (draw, terms) = jax.jit(jax.grad(total, has_aux=True))(concentration)
    assert draw[1] == 0
    assert terms[1] == 0
    assert slopes[1] == 0
    assert slopes[0] != 0


@pytest.mark.slow
def test_trees_have_densities_of_each_distribution():
    def both(logits, reparameterized=False):
        tree = {"bits": dist.Bernoulli(logits=logits).to_event(1), "x": dist.Normal()}
        return rj.sample_and_log_prob(
            jax.random.key(0), tree, (2,), reparameterized=reparameterized
        )

    draws, terms = both(jnp.zeros(3))
    assert {name: term.shape for name, term in terms.items()} == {
        "bits": (2,),
        "x": (2,),
    }
    np.testing.assert_allclose(terms["bits"], 3 * np.log(0.5), rtol=1e-6)
    slopes = jax.jit(jax.jacobian(lambda logits: both(logits)[1]["bits"]))(jnp.zeros(3))
    np.testing.assert_allclose(slopes, draws["bits"] - 0.5, rtol=1e-6)
    with pytest.raises(TypeError, match="sample_and_log_prob"):
        both(jnp.zeros(3), reparameterized=True)


@pytest.mark.slow
def test_discrete_bases_of_transforms_have_scores():
    def density(rate):
        law = dist.TransformedDistribution(
            dist.Poisson(rate),
            transforms.AffineTransform(1.0, 2.0, domain=dist.constraints.real),
        )
        return rj.sample_and_log_prob(jax.random.key(0), law, reparameterized=False)

    (draw, _), slope = density(3.0), jax.grad(lambda rate: density(rate)[1])(3.0)
    np.testing.assert_allclose(slope, (draw - 1) / 2 / 3.0 - 1, rtol=1e-6)


@pytest.mark.slow
def test_it_is_one_function_under_jit_and_vmap():
    law = functools.partial(tanh_normal, STD[:2] * 0.5)

    def draw(key, std):
        return rj.sample_and_log_prob(key, law(std))

    keys = jax.random.split(jax.random.key(0), 3)
    many = jax.jit(jax.vmap(draw, (0, None)))(keys, STD[:2])
    for i in range(3):
        one = draw(jax.random.split(jax.random.key(0), 3)[i], STD[:2])
        for got, want in zip(many, one, strict=True):
            np.testing.assert_allclose(got[i], want, rtol=1e-5, atol=1e-7)
