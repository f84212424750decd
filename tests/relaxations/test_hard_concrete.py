"""Gates that are exactly 0 and 1, and how often."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj

nonzero_prob = rj.relaxations.hard_concrete_nonzero_prob


@pytest.mark.parametrize("stretch", [(-0.1, 1.1), (-0.5, 1.2)])
def test_the_chance_of_an_open_gate_is_where_the_draw_leaves_zero(stretch):
    """The noise at which it does, by bisection; and the other end by symmetry."""
    low_end, high_end = stretch
    logits = np.linspace(-4, 4, 5)
    with jax.enable_x64(True):
        options = {"stretch_low": low_end, "stretch_high": high_end}
        low, high = jnp.full(5, -60.0), jnp.full(5, 60.0)
        for _ in range(70):
            middle = (low + high) / 2
            gates = rj.hard_concrete_from_noise(middle, logits, 0.4, **options)
            low, high = (
                jnp.where(gates > 0, low, middle),
                jnp.where(gates > 0, middle, high),
            )
        chances = nonzero_prob(logits, 0.4, **options)
        slopes = jax.vmap(jax.grad(lambda x: nonzero_prob(x, 0.4, **options)))(logits)
    expected = 1 / (1 + np.exp(np.asarray(high)))
    np.testing.assert_allclose(chances, expected, rtol=1e-12)
    np.testing.assert_allclose(slopes, expected * (1 - expected), rtol=1e-12)


def test_the_mean_gradient_is_that_of_the_mean_gate():
    """By quadrature between the noises at which the gate closes and opens."""
    logits, temperature, low, high = 0.3, 0.7, -0.1, 1.1
    ends = temperature * np.log([-low / high, (1 - low) / (high - 1)])

    def mean(logits):
        nodes, weights = np.polynomial.legendre.leggauss(60)
        x = np.diff(ends) / 2 * nodes + np.mean(ends)  # logits + noise
        y = 1 / (1 + np.exp(-x / temperature))
        noise = x - logits
        density = np.exp(-noise) / (1 + np.exp(-noise)) ** 2
        inside = np.diff(ends) / 2 * weights * density
        open_fully = 1 / (1 + np.exp(ends[1] - logits))
        return inside @ (low + (high - low) * y) + open_fully, noise, inside

    step = 1e-100j
    truth = mean(logits + step)[0].imag / step.imag
    _, noise, weights = mean(logits)
    with jax.enable_x64(True):
        outside = np.array([ends[0] - logits - 1e-9, ends[1] - logits + 1e-9])
        slope = jax.jit(
            jax.vmap(
                jax.grad(lambda x, noise: rj.hard_concrete_from_noise(noise, x, 0.7)),
                (None, 0),
            )
        )
        np.testing.assert_array_equal(slope(logits, outside), 0)
        actual = weights @ np.asarray(slope(logits, jnp.asarray(noise)))
    np.testing.assert_allclose(actual, truth, rtol=1e-12)


def test_no_stretch_is_the_relaxed_draw():
    noise = jnp.linspace(-8, 8, 9)
    gates = rj.hard_concrete_from_noise(noise, 0.2, stretch_low=0.0, stretch_high=1.0)
    expected = rj.relaxed_bernoulli_from_noise(noise, 0.2, 2 / 3)
    np.testing.assert_array_equal(gates, expected)
    assert nonzero_prob(0.2, stretch_low=0.0) == 1
    assert jax.grad(lambda x: nonzero_prob(x, stretch_low=0.0))(0.2) == 0


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("stretch_low", 0.1, "at most 0"),
        ("stretch_high", 0.9, "at least 1"),
        ("stretch_high", np.inf, "finite"),
        ("temperature", 0.0, "positive"),
    ],
)
def test_a_stretch_holds_the_unit_interval(name, value, words):
    for function in (
        lambda **options: rj.hard_concrete(jax.random.key(0), 0.0, **options),
        lambda **options: nonzero_prob(0.0, **options),
    ):
        with pytest.raises(ValueError, match=f"needs `{name}` to be .*{words}"):
            function(**{name: value})
        result = jax.jit(function)(**{name: value})
        assert np.isnan(result)


@pytest.mark.parametrize("logits", [-jnp.inf, jnp.inf])
def test_certain_gates(logits):
    gate, slope = jax.value_and_grad(lambda x: rj.hard_concrete_from_noise(0.3, x))(
        logits
    )
    assert gate == nonzero_prob(logits) == (logits > 0)
    assert slope == jax.grad(nonzero_prob)(logits) == 0
