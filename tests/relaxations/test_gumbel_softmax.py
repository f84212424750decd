"""The law of hard draws, saturation, and the Rao-Blackwell option."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj


def key():
    return jax.random.key(41)


def test_hard_draws_have_exactly_the_probabilities_of_the_softmax():
    """The first noise at which the draw flips, by bisection; then its chance."""
    logits = np.array([0.7, -0.4])
    nodes = np.arange(-6, 45, 0.125)  # the trapezoid rule is exact for these
    weights = 0.125 * np.exp(-nodes - np.exp(-nodes))
    with jax.enable_x64(True):
        other = jnp.asarray(nodes)

        @jax.jit
        def first_chosen(noise):
            noise = jnp.stack([noise, other], -1)
            draws = rj.gumbel_softmax_from_noise(noise, logits[None], 0.3, hard=True)
            return draws[:, 0]

        low, high = jnp.full(len(nodes), -60.0), jnp.full(len(nodes), 60.0)
        for _ in range(60):
            middle = (low + high) / 2
            chosen = first_chosen(middle)
            low, high = jnp.where(chosen, low, middle), jnp.where(chosen, middle, high)
    # P(g > x) for each other noise.
    chance = weights @ -np.expm1(-np.exp(-np.asarray(high)))
    expected = np.exp(logits[0]) / np.sum(np.exp(logits))
    np.testing.assert_allclose(chance, expected, rtol=1e-12)


def test_slopes_keep_their_digits_where_the_draw_rounds_to_one():
    logits = jnp.array([0.0, -30.0, -35.0])
    noise = jnp.zeros(3)

    def first(logits):
        return rj.gumbel_softmax_from_noise(noise, logits, 1.0)[0]

    assert first(logits) == 1
    small = np.exp(np.array([-30.0, -35.0]))
    expected = np.array([small.sum(), -small[0], -small[1]])
    np.testing.assert_allclose(jax.grad(first)(logits), expected, rtol=1e-5)
    forward = jax.jvp(first, (logits,), (jnp.array([1.0, 0.0, 0.0]),))[1]
    np.testing.assert_allclose(forward, expected[0], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [2e-38, 1e-30, 1e-19, 1e-5, 1e30])
def test_values_and_gradients_are_finite_at_any_temperature(temperature):
    logits = jnp.array([0.0, 1.0, -jnp.inf])

    def total(logits, temperature, hard):
        draws = rj.gumbel_softmax(key(), logits, temperature, hard=hard)
        return jnp.sum(draws * jnp.array([1.0, 2.0, 3.0])), draws

    gradients = jax.jit(jax.grad(total, (0, 1), has_aux=True), static_argnums=2)
    for hard in (False, True):
        slopes, draws = gradients(logits, temperature, hard)
        np.testing.assert_allclose(jnp.sum(draws), 1, rtol=1e-6)
        np.testing.assert_array_equal(slopes[0][2], 0)
        assert np.all(np.isfinite([*slopes[0], slopes[1]]))
        if temperature < 1e-4:
            np.testing.assert_array_equal(np.sort(draws), [0, 0, 1])


def test_one_temperature_for_each_draw():
    logits, temperatures = jnp.zeros((3, 4)), jnp.array([[0.1], [1.0], [9.0]])
    draws = rj.gumbel_softmax(key(), logits, temperatures)
    noise = rj.noise.gumbel(key(), (3, 4))
    expected = jax.nn.softmax(noise / temperatures)
    np.testing.assert_allclose(draws, expected, rtol=1e-5)


@pytest.mark.slow
def test_more_relaxations_leave_the_draw_and_change_its_slopes():
    logits = jnp.array([[0.0, 1.0, -0.5]] * 50)

    def reward(logits, samples):
        draws = rj.gumbel_softmax(
            key(), logits, 0.5, hard=True, rao_blackwell_samples=samples
        )
        return jnp.sum(draws * jnp.array([[1.0, 2.0, 4.0]])), draws

    slopes, draws = zip(
        *(jax.grad(reward, has_aux=True)(logits, samples) for samples in (1, 2, 64)),
        strict=True,
    )
    np.testing.assert_array_equal(draws[1], draws[0])
    np.testing.assert_array_equal(draws[2], draws[0])
    spreads = [float(jnp.std(each[:, 0])) for each in slopes]
    assert spreads[0] > spreads[1] > spreads[2] > 0


@pytest.mark.parametrize("samples", [0, -1, 2.0, True])
def test_the_number_of_relaxations_is_a_positive_integer(samples):
    with pytest.raises(ValueError, match="`rao_blackwell_samples` to be an integer"):
        rj.gumbel_softmax(
            key(), jnp.zeros(2), 1.0, hard=True, rao_blackwell_samples=samples
        )


def test_soft_draws_have_one_relaxation():
    with pytest.raises(ValueError, match="Pass `hard=True`"):
        rj.gumbel_softmax(key(), jnp.zeros(2), 1.0, rao_blackwell_samples=2)
