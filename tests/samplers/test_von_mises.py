import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import reparam_jax as rj
from reparam_jax.samplers._von_mises import _proposals
from reparam_jax.special._von_mises import von_mises_slope

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow

CONCENTRATIONS = (0.0, 1e-3, 0.3, 2.0, 40.0, 1e3, 1e6)
COUNT = 20_000


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draws_follow_the_law_from_the_uniform_to_the_narrowest(dtype, alpha):
    with jax.enable_x64(dtype is np.float64):
        concentration = np.repeat(dtype(CONCENTRATIONS), COUNT)
        draws = rj.von_mises(jax.random.key(5), dtype(0), concentration)
        assert draws.dtype == dtype
        rows = np.asarray(draws).reshape(-1, COUNT)
        uniforms = np.asarray(
            rj.special.von_mises_cdf(concentration, draws), np.float64
        ).reshape(-1, COUNT)
    for row, uniform in zip(rows, uniforms, strict=True):
        assert len(np.unique(row)) > 0.99 * COUNT
        tails = -np.log(2 * np.minimum(uniform, 1 - uniform))
        for values, law in ((uniform, "uniform"), (tails, "expon")):
            pvalue = scipy.stats.kstest(values, law).pvalue
            assert pvalue > alpha / (2 * len(rows))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_angles_are_wrapped_around_any_loc(dtype):
    with jax.enable_x64(dtype is np.float64):

        def draw(loc, concentration):
            key, parameters = jax.random.key(1), (dtype(loc), dtype(concentration))
            return np.asarray(rj.von_mises(key, *parameters, shape=(4000,)))

        around_0 = draw(0.0, 0.5)
        for loc in (3.0, -2.5, 40.0):
            draws = draw(loc, 0.5)
            wide = np.float64(draws)
            assert np.all((-np.pi <= wide) & (wide < np.pi))
            off = np.exp(1j * wide) - np.exp(1j * (np.float64(dtype(loc)) + around_0))
            assert np.max(np.abs(off)) < 2 * abs(loc) * np.finfo(dtype).eps
        ends = draw(np.pi, 1e6)
        assert np.all((-np.pi <= np.float64(ends)) & (np.float64(ends) < np.pi))
        assert np.any(ends > 0)
        assert np.any(ends < 0)


def test_slopes_are_1_in_loc_and_implicit_in_the_concentration():
    concentration = np.repeat(np.float32(CONCENTRATIONS), 50)
    loc = np.full_like(concentration, 2.0)

    def total(loc, concentration):
        draws = rj.von_mises(jax.random.key(2), loc, concentration)
        return jnp.sum(draws), draws

    slopes, _ = jax.grad(total, (0, 1), has_aux=True)(loc, concentration)
    _, draws = total(0 * loc, concentration)
    np.testing.assert_array_equal(slopes[0], 1)
    expected = rj.special.von_mises_pathwise_grad(concentration, draws)
    np.testing.assert_allclose(slopes[1], expected, rtol=1e-6)


def test_second_derivatives_in_the_concentration_follow_the_path():
    concentration = np.repeat(np.float64(CONCENTRATIONS[1:]), 20)
    with jax.enable_x64(True):

        def draw(concentration):
            return rj.von_mises(jax.random.key(3), 0.0, concentration)

        def slope(concentration):
            return jax.grad(lambda c: jnp.sum(draw(c)))(concentration)

        slope = jax.jit(slope)
        x, ones = draw(concentration), jnp.ones_like(concentration)
        expected = jax.jvp(
            von_mises_slope, (concentration, x), (ones, slope(concentration))
        )[1]
        forward_over_reverse = jax.jit(lambda c: jax.jvp(slope, (c,), (ones,))[1])(
            concentration
        )
        reverse_over_reverse = jax.jit(jax.grad(lambda c: jnp.sum(slope(c))))(
            concentration
        )
    np.testing.assert_allclose(forward_over_reverse, expected, rtol=1e-10)
    np.testing.assert_allclose(reverse_over_reverse, expected, rtol=1e-10)


def test_the_slope_of_the_mean_cosine_is_that_of_bessel_functions(alpha):
    """E cos x = A, and dA/dkappa = 1 - A / kappa - A^2."""
    exact = {0.1: 0.4981301958, 1.0: 0.3543460325, 10.0: 0.0052983876}
    for number, (concentration, slope) in enumerate(exact.items()):
        key = jax.random.key(number)

        def draw(concentration, key=key):
            return rj.von_mises(key, 0.0, concentration, shape=(COUNT,))

        draws, tangents = jax.jvp(draw, (concentration,), (1.0,))
        terms = -np.sin(np.float64(draws)) * tangents
        assert scipy.stats.ttest_1samp(terms, slope).pvalue > alpha / 3


def test_two_thirds_of_all_proposals_are_accepted():
    concentration = jnp.repeat(jnp.float32(jnp.array(CONCENTRATIONS)), COUNT)
    _, accepted = _proposals(concentration)(jax.random.key(4))
    rates = np.mean(np.reshape(accepted, (-1, COUNT)), axis=1)
    assert rates[0] == 1
    assert np.all(rates > 0.64)


def test_the_largest_concentrations_end_and_are_finite():
    draws = rj.von_mises(jax.random.key(6), 0.0, np.float32([1e12, 1e20, 1e38]))
    assert np.all(np.abs(draws) < np.float32([1e-5, 1e-9, 1e-17]))


def test_outside_the_domain_is_nan_exactly_there_with_nan_gradients():
    loc = np.float32([0.0, 0, 0, np.inf, 1])
    concentration = np.float32([1.0, -1, np.nan, 2, 0])
    bad = np.array([False, True, True, True, False])
    with pytest.raises(ValueError, match=r"`von_mises` needs `loc` to be finite"):
        rj.von_mises(jax.random.key(0), loc, concentration)
    with pytest.raises(ValueError, match="`von_mises` needs `concentration` to be"):
        rj.von_mises(jax.random.key(0), 0.0, concentration)

    def total(loc, concentration):
        draws = rj.von_mises(jax.random.key(0), loc, concentration)
        return jnp.sum(jnp.where(bad, 0, draws)), draws

    gradients, draws = jax.jit(jax.grad(total, (0, 1), has_aux=True))(
        loc, concentration
    )
    for values in (draws, *gradients):
        np.testing.assert_array_equal(np.isnan(values), bad)
