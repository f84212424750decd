"""Pathwise gradients of expectations: what test_gaussian.py does not hold."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj


def test_it_is_the_mean_of_costs_of_samples():
    law = dist.Laplace(jnp.array([0.3, -1.0]), 2.0)

    def by_hand(loc, key):
        draws = rj.sample(key, dist.Laplace(loc, 2.0), (7,))
        return jnp.mean(jax.vmap(lambda z: jnp.sum(jnp.cos(z)))(draws))

    def by_expectation(loc, key):
        return rj.expectation(
            key,
            lambda z: jnp.sum(jnp.cos(z)),
            dist.Laplace(loc, 2.0),
            num_samples=7,
            estimator=rj.Pathwise(),
        )

    found, wanted = (
        jax.jit(jax.value_and_grad(f))(law.loc, jax.random.key(1))
        for f in (by_expectation, by_hand)
    )
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-6)
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-6)


@pytest.mark.parametrize(
    "law",
    [dist.Poisson(2.0), dist.Categorical(logits=jnp.zeros(3)), dist.Binomial(3, 0.2)],
    ids=lambda law: type(law).__name__,
)
def test_what_has_no_gradient_is_refused(law):
    for estimate in (
        lambda: rj.Pathwise().draw(jax.random.key(0), law, 2),
        lambda: rj.Pathwise().estimate(lambda z: 1.0 * z, law, jnp.ones(2)),
        lambda: rj.sample(jax.random.key(0), law),
    ):
        with pytest.raises(TypeError, match=type(law).__name__):
            estimate()
