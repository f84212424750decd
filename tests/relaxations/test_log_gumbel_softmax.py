"""The log-density: it integrates to 1, has the digits, and is finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj
from tests.relaxations.densities import grid, log_density

TEMPERATURES = [0.01, 0.5, 1.0, 10.0]
log_prob = jax.jit(rj.relaxations.log_gumbel_softmax_log_prob)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("classes", [2, 3])
def test_the_density_integrates_to_one(classes, temperature):
    logits = np.array([0.5, -1.0, 0.3])[:classes]
    points, volume = grid(classes - 1, temperature)
    with jax.enable_x64(True):
        # Draws are normalized; that only adds a constant, which does not count.
        log_draw = jax.nn.log_softmax(jnp.asarray(points))
        values = log_prob(log_draw, logits[None], temperature)
        total = float(jnp.sum(jnp.exp(values)) * volume)
    np.testing.assert_allclose(total, 1, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("temperature", [1e-30, *TEMPERATURES])
def test_values_at_draws_have_their_digits(temperature, dtype):
    temperature = dtype(temperature)
    logits = np.array([0.5, -8.0, 2.0, 0.0], dtype)
    with jax.enable_x64(dtype is np.float64):
        draws = rj.log_gumbel_softmax(
            jax.random.key(8), logits, temperature, shape=(20, 4)
        )
        values = np.asarray(log_prob(draws, logits[None], temperature))
    assert values.dtype == dtype
    expected = [log_density(draw, logits, temperature) for draw in np.asarray(draws)]
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(values, expected, rtol=16 * eps, atol=64 * eps)


def test_draws_of_equal_and_of_absent_classes():
    """An absent class leaves the density of the others, and has no gradient."""
    log_draw = jnp.log(jnp.array([0.2, 0.5, 0.3]))
    logits = jnp.array([0.4, -0.9, 0.1])
    expected = log_prob(log_draw, logits, 0.7)
    wider = jnp.array([0.4, -jnp.inf, -0.9, 0.1])
    padded = jnp.array([log_draw[0], -jnp.inf, log_draw[1], log_draw[2]])
    actual, slopes = jax.value_and_grad(log_prob, (0, 1, 2))(padded, wider, 0.7)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    truth = jax.grad(log_prob, (0, 1, 2))(log_draw, logits, 0.7)
    for mine, exact in zip(slopes[:2], truth[:2], strict=True):
        np.testing.assert_allclose(np.delete(mine, 1), exact, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(mine[1], 0)
    np.testing.assert_allclose(slopes[2], truth[2], rtol=1e-5)
    np.testing.assert_allclose(log_prob(log_draw + 3, logits, 0.7), expected, rtol=1e-6)


@pytest.mark.slow
def test_expectations_of_the_score_are_zero():
    """Derivatives of the integral of the density for its parameters."""
    points, volume = grid(2, 0.8)
    with jax.enable_x64(True):
        log_draw = jax.nn.log_softmax(jnp.asarray(points))

        @jax.jit
        @jax.jacfwd
        def slopes(parameters):
            logits, temperature = parameters[:3], parameters[3]
            values = log_prob(log_draw, logits[None], temperature)
            return jnp.stack([jnp.sum(jnp.exp(values) * f) for f in powers]) * volume

        powers = [jnp.ones(len(points)), jnp.exp(log_draw[:, 0])]
        at = jnp.array([0.5, -1.0, 0.3, 0.8])
        total, mean = slopes(at)
        noise = points[:, :] * 0.8 - np.array([0.5, -1.0, 0.3])

        # The same mean by draws from the density at `at`: d E f = E df.
        def draw(parameters):
            y = rj.gumbel_softmax_from_noise(noise, parameters[:3][None], parameters[3])
            return y[:, 0] @ weights * volume

        weights = jnp.exp(log_prob(log_draw, at[None, :3], at[3]))
        pathwise = jax.grad(draw)(at)
    np.testing.assert_allclose(total, 0, atol=1e-11)
    np.testing.assert_allclose(mean, pathwise, rtol=1e-10)


def test_bad_values_raise_or_are_nan():
    log_draw, logits = jnp.log(jnp.array([[0.5, 0.5]] * 2)), jnp.zeros((2, 2))
    name = "`log_gumbel_softmax_log_prob`"
    with pytest.raises(ValueError, match=f"{name} needs `temperature`"):
        log_prob.__wrapped__(log_draw, logits, -1.0)
    with pytest.raises(ValueError, match=f"{name} needs `logits`"):
        log_prob.__wrapped__(log_draw, logits.at[0, 0].set(jnp.nan), 1.0)
    with pytest.raises(ValueError, match=f"{name} needs a last axis"):
        log_prob.__wrapped__(0.0, 0.0, 1.0)
    bad = logits.at[1, 0].set(jnp.inf)
    np.testing.assert_array_equal(np.isnan(log_prob(log_draw, bad, 1.0)), [0, 1])
    slopes = jax.grad(lambda *args: log_prob(*args)[0], (0, 1))(log_draw, bad, 1.0)
    for slope in slopes:
        np.testing.assert_array_equal(np.isnan(slope), [[0, 0], [1, 1]])
