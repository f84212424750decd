import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj


def test_antithetic_draws_come_in_pairs():
    draws = rj.Pathwise(coupling="antithetic").draw(
        jax.random.key(0), dist.Normal(jnp.zeros(3), 1.0), 8
    )
    np.testing.assert_array_equal(draws[:4], -draws[4:])
    assert len(np.unique(np.abs(draws))) == 12


def test_stratified_draws_lie_in_their_strata():
    draws = rj.Pathwise(coupling="stratified").draw(
        jax.random.key(0), dist.Exponential(jnp.full(3, 2.0)), 8
    )
    strata = np.floor(8 * (1 - np.exp(-np.asarray(draws, np.float64))))
    np.testing.assert_array_equal(
        np.sort(strata, 0), np.arange(8)[:, None] + 0 * strata
    )


def test_values_are_coupled_like_the_noise():
    law = dist.Normal(jnp.full(3, 2.0), 0.5)
    values = rj.ScoreFunction(coupling="antithetic").draw(jax.random.key(0), law, 8)
    np.testing.assert_allclose(values[:4] + values[4:], 4.0, rtol=1e-6)


@pytest.mark.parametrize("coupling", ["antithetic", "stratified"])
@pytest.mark.parametrize("estimator", [rj.Pathwise, rj.ScoreFunction])
@pytest.mark.parametrize(
    "law",
    [dist.Bernoulli(logits=0.3), dist.Poisson(2.0), dist.Gamma(2.0, 1.0)],
    ids=lambda law: type(law).__name__,
)
def test_coupling_what_is_no_map_of_noise_is_refused(law, estimator, coupling):
    with pytest.raises(TypeError, match=type(law).__name__):
        estimator(coupling=coupling).draw(jax.random.key(0), law, 4)


@pytest.mark.parametrize("estimator", [rj.Pathwise, rj.ScoreFunction])
def test_other_couplings_are_refused(estimator):
    with pytest.raises(ValueError, match="sobol"):
        estimator(coupling="sobol")
