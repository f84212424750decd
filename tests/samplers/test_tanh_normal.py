"""Actions and log-probabilities, saturated ones too, against mpmath."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.stats

import reparam_jax as rj

# Points x = mean + std * noise from -100 to 100, saturated in float32 from 9 on.
RNG = np.random.default_rng(3)
X = np.concatenate([np.linspace(-100, 100, 41), [0.0, 1e-4, -8.5, 19.0]])
STD = np.float32(10 ** RNG.uniform(-3, 1, X.size))
NOISE = np.float32(RNG.uniform(-3, 3, X.size))
MEAN = np.float32(X - STD * NOISE)
SCALES = {
    "var": lambda std: std * std,
    "std": lambda std: std,
    "log_var": lambda std: 2 * np.log(std),
}


def exact(noise, mean, scale, scale_name):
    """Action, log-probability, and their first two derivatives in mean and scale."""
    std_of = {
        "var": lambda v: (mpmath.sqrt(v), 1 / (2 * mpmath.sqrt(v))),
        "std": lambda s: (s, mpmath.mpf(1)),
        "log_var": lambda x: (mpmath.exp(x / 2), mpmath.exp(x / 2) / 2),
    }
    std, slope = std_of[scale_name](scale)
    x = mean + std * noise
    tanh, sech2 = mpmath.tanh(x), 1 / mpmath.cosh(x) ** 2
    log_prob = -(noise**2) / 2 - mpmath.log(std * mpmath.sqrt(2 * mpmath.pi))
    log_prob -= mpmath.log(sech2)
    action_slopes = sech2, sech2 * noise * slope
    log_prob_slopes = 2 * tanh, (2 * tanh * noise - 1 / std) * slope
    size = 1 + abs(log_prob) + noise**2 + abs(mpmath.log(std)) + abs(mean)
    return (
        (tanh, *action_slopes, -2 * tanh * sech2),
        (log_prob, *log_prob_slopes, 2 * sech2),
        (size, abs(noise * slope) + slope / std),
        abs(mean) + abs(std * noise),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale_name", SCALES)
def test_values_and_derivatives_for_x_to_100(scale_name, dtype):
    scale = SCALES[scale_name](STD).astype(dtype)

    def both(which):
        def one(noise, mean, scale):
            def value(mean, scale):
                return rj.tanh_normal_from_noise(noise, mean, **{scale_name: scale})[
                    which
                ]

            slopes = jax.grad(value, (0, 1))(mean, scale)
            second = jax.grad(jax.grad(value))(mean, scale)
            return value(mean, scale), *slopes, second

        return jax.vmap(one)

    with jax.enable_x64(dtype == np.float64), mpmath.workdps(150):
        arguments = NOISE.astype(dtype), MEAN.astype(dtype), scale
        found = [jax.device_get(jax.jit(both(which))(*arguments)) for which in (0, 1)]
        eps = float(np.finfo(dtype).eps)
        tiny = float(np.finfo(dtype).tiny)
        for index, point in enumerate(zip(*arguments, strict=True)):
            noise, mean, scale_here = (mpmath.mpf(float(x)) for x in point)
            action, log_prob, sizes, size_of_x = exact(
                noise, mean, scale_here, scale_name
            )
            for part in found:
                assert all(np.isfinite(value[index]) for value in part)
            # x is rounded, which moves the action and every slope by as much.
            condition = 8 * eps * (1 + size_of_x)
            for value, truth in zip(found[0], action, strict=True):
                error = abs(mpmath.mpf(float(value[index])) - truth)
                size = abs(truth) + (truth in (action[0], action[3])) * action[1]
                assert error <= condition * size + 40 * tiny, point
            bounds = (
                8 * eps * sizes[0],
                condition * (abs(log_prob[1]) + abs(action[1])),
                condition * (sizes[1] * 2),
                condition * abs(log_prob[3]) + 40 * tiny,
            )
            for value, truth, bound in zip(found[1], log_prob, bounds, strict=True):
                error = abs(mpmath.mpf(float(value[index])) - truth)
                assert error <= bound, point


def test_the_density_is_that_of_the_actions():
    """In SciPy's words: a normal density over the slope of tanh."""
    with jax.enable_x64(True):
        mean, std = np.array([0.3, -1.0]), np.array([0.5, 1.2])
        action, log_prob = rj.tanh_normal(
            jax.random.key(0), mean, std=std, shape=(500, 2)
        )
    action, log_prob = np.asarray(action), np.asarray(log_prob)
    keep = np.abs(action) < 0.99
    x = np.arctanh(action)
    expected = scipy.stats.norm(mean, std).logpdf(x) - np.log1p(-(action**2))
    np.testing.assert_allclose(log_prob[keep], expected[keep], rtol=1e-10, atol=1e-10)
    # exp(-log p) is the inverse density: its mean is the length of the interval.
    inverse = np.exp(-log_prob) * (np.abs(x - mean) < 2 * std)
    length = np.tanh(mean + 2 * std) - np.tanh(mean - 2 * std)
    error = inverse.std(0) / np.sqrt(500)
    assert np.all(np.abs(inverse.mean(0) - length) < 4.9 * error)


def test_the_action_is_that_of_the_normal_draw():
    mean, log_var = np.linspace(-2, 2, 50, dtype=np.float32), np.float32(-1)
    key = jax.random.key(7)
    action, _ = rj.tanh_normal(jax.random.clone(key), mean, log_var=log_var)
    x = rj.normal(key, mean, log_var=log_var)
    np.testing.assert_allclose(action, np.tanh(x), rtol=3e-7)


@pytest.mark.parametrize("scale_name", ["var", "std"])
@pytest.mark.parametrize("scale", [0.0, 1e-40])
def test_at_standard_deviation_zero_the_density_is_infinite(scale_name, scale):
    def log_prob(mean, scale):
        return rj.tanh_normal_from_noise(0.7, mean, **{scale_name: scale})[1]

    assert float(log_prob(1.0, scale)) == np.inf

    def masked(mean, scale):
        value = log_prob(mean, scale)
        return jnp.where(jnp.isinf(value), 0, value)

    for function in (log_prob, masked):
        for_mean, for_scale = jax.grad(function, (0, 1))(1.0, scale)
        is_masked = function is masked
        wanted = 0 if is_masked else 2 * np.tanh(1)
        assert float(for_mean) == pytest.approx(wanted, rel=1e-6)
        # `std` keeps its slope through x, 2 tanh(x) noise.
        through_x = 0 if is_masked or scale_name == "var" else 1.4 * np.tanh(1)
        assert float(for_scale) == pytest.approx(through_x, rel=1e-6)


def test_exactly_one_scale_is_named():
    with pytest.raises(TypeError, match="`tanh_normal` takes exactly one of"):
        rj.tanh_normal(jax.random.key(0), 0.0)
    with pytest.raises(TypeError, match="`tanh_normal_from_noise` takes exactly one"):
        rj.tanh_normal_from_noise(0.0, 0.0, 1.0, std=1.0)
