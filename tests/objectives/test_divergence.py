import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from reparam_jax.objectives._divergence import divergence, has_divergence

MEANS = jnp.array([[0.3, -1.0, 0.5], [2.0, 0.0, -0.4]])
KEEP = jnp.array([[True, False, True], [True, True, False]])
STANDARD = dist.Normal(jnp.zeros(3), 1.0)
# Of N(m, 1) from N(0, 1), of each element.
EACH = np.asarray(MEANS) ** 2 / 2

WRAPPED = {
    "batch": (dist.Normal(MEANS, 1.0), STANDARD, EACH),
    "event": (dist.Normal(MEANS, 1.0).to_event(1), STANDARD.to_event(1), EACH.sum(1)),
    "all": (
        dist.Normal(MEANS, 1.0).to_event(2),
        STANDARD.expand((2, 3)).to_event(2),
        EACH.sum(),
    ),
    "expanded": (
        dist.Normal(MEANS[0], 1.0).to_event(1).expand((2,)),
        dist.Normal().expand((3,)).to_event(1),
        EACH[[0, 0]].sum(1),
    ),
    "masked inside": (
        dist.Normal(MEANS, 1.0).mask(KEEP).to_event(1),
        STANDARD.expand((2, 3)).mask(KEEP).to_event(1),
        np.where(KEEP, EACH, 0).sum(1),
    ),
    "masked outside": (
        dist.Normal(MEANS, 1.0).to_event(1).mask(KEEP[:, 1]),
        STANDARD.expand((2, 3)).to_event(1).mask(KEEP[:, 1]),
        np.where(KEEP[:, 1], EACH.sum(1), 0),
    ),
    "vectors": (
        dist.MultivariateNormal(MEANS, jnp.eye(3)),
        dist.MultivariateNormal(jnp.zeros(3), jnp.eye(3)),
        EACH.sum(1),
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "vectors" else [])
        for name in WRAPPED
    ],
)
def test_wrappers_say_what_is_added_up(name):
    guide, prior, wanted = WRAPPED[name]
    assert has_divergence(guide, prior)
    found = divergence(guide, prior)
    assert found.shape == guide.batch_shape
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("guide", "prior"),
    [
        (dist.Laplace(), dist.Normal()),
        (dist.LogNormal(), dist.LogNormal()),
        (dist.Delta(1.0), dist.Normal()),
        (dist.Kumaraswamy(2.0, 3.0), dist.Beta(2.0, 3.0)),
        (dist.Normal().mask(KEEP), dist.Normal()),
        (dist.Normal(), dist.Normal().mask(KEEP)),
    ],
    ids=lambda law: type(law).__name__,
)
def test_the_others_come_from_the_draws(guide, prior):
    assert not has_divergence(guide, prior)


def of_prior(key, guide, prior, **options):
    """The bound without data: minus the divergence."""
    leaves = jax.tree.leaves(guide, is_leaf=lambda x: isinstance(x, dist.Distribution))
    zeros = jnp.zeros(leaves[0].batch_shape)
    return rj.elbo(key, lambda z: zeros, guide, prior=prior, **options)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("event", marks=pytest.mark.slow),
        "masked inside",
        pytest.param("masked outside", marks=pytest.mark.slow),
    ],
)
def test_the_bound_has_it_without_noise_and_from_draws_on_average(name):
    guide, prior, wanted = WRAPPED[name]
    keys = jax.random.split(jax.random.key(0))
    program = jax.jit(lambda key: of_prior(key, guide, prior))
    bounds = [program(key) for key in keys]
    np.testing.assert_allclose(bounds[0], -wanted, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(*bounds)

    # -log q + log p = m^2 / 2 + m e - ... is linear in the noise e: antithetic draws
    # have no variance.
    antithetic = of_prior(
        jax.random.key(1),
        guide,
        prior,
        num_samples=2,
        estimator=rj.Pathwise("antithetic"),
        sticking_the_landing=True,
    )
    np.testing.assert_allclose(antithetic, -wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_each_leaf_of_a_tree_by_itself():
    guide = {"a": dist.Normal(MEANS, 1.0).to_event(1), "b": dist.Laplace(jnp.ones(2))}
    prior = {"a": STANDARD.to_event(1), "b": dist.Normal()}
    found = of_prior(jax.random.key(0), guide, prior, num_samples=3)
    draws = rj.sample(jax.random.key(0), guide, (3,))["b"]
    with jax.numpy_rank_promotion("allow"):
        terms = prior["b"].log_prob(draws) - guide["b"].log_prob(draws)
    np.testing.assert_allclose(found, terms.mean(0) - EACH.sum(1), rtol=1e-5)


def test_one_number_for_all_has_the_sum():
    guide, prior, wanted = WRAPPED["event"]
    found = rj.elbo(jax.random.key(0), lambda z: jnp.zeros(()), guide, prior=prior)
    np.testing.assert_allclose(found, -wanted.sum(), rtol=1e-6)


@pytest.mark.slow
def test_a_point_has_the_priors_density_and_its_slope():
    def of(point):
        return of_prior(jax.random.key(0), dist.Delta(point), dist.Normal(1.0, 2.0))

    value, slope = jax.value_and_grad(of)(0.4)
    np.testing.assert_allclose(value, dist.Normal(1.0, 2.0).log_prob(0.4), rtol=1e-6)
    np.testing.assert_allclose(slope, 0.6 / 4, rtol=1e-6)


@pytest.mark.slow
def test_laws_without_it_have_it_on_average(alpha):
    guide, prior = dist.LogNormal(0.3, 0.5), dist.LogNormal(-0.2, 0.8)

    def of(loc, key):
        return of_prior(key, dist.LogNormal(loc, 0.5), prior)

    keys = jax.random.split(jax.random.key(0), 100_000)
    found = jax.jit(jax.vmap(jax.value_and_grad(of), (None, 0)))(0.3, keys)
    base = dist.kl_divergence(guide.base_dist, prior.base_dist)
    for each, wanted in zip(found, (-base, -0.5 / 0.64), strict=True):
        each = np.asarray(each, np.float64)
        error = each.std(ddof=1) / np.sqrt(len(each))
        assert abs(each.mean() - wanted) < error * np.sqrt(2 * np.log(4 / alpha))
