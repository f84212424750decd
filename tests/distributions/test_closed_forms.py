"""Closed forms in float32, against the same maps in float64 at the same noise."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from reparam_jax.distributions._paths import find_path
from tests.distributions.table import TABLE, parametrized

FORMS = (
    "AsymmetricLaplace",
    "AsymmetricLaplaceQuantile",
    "Dagum",
    "Gompertz",
    "Levy",
    "SoftLaplace",
    "DoublyTruncatedPowerLaw",
)
ROWS = [row for row in TABLE if row.name in FORMS or row.name.startswith("truncated")]


def noise_of(path):
    """Noise from one end of its law to the other."""
    draws = np.sort(path.draw(jax.random.key(61), (400, 3)), 0)
    return np.asarray(draws, np.float32)


def at_noise(row, noise, dtype):
    parameters = row.in_dtype(dtype)

    def draw(shifts):
        moved = [x + h for x, h in zip(parameters, shifts, strict=True)]
        return find_path(row.at(moved)).at(jnp.asarray(noise, dtype))

    def along(direction):
        return jax.jvp(draw, (jnp.zeros_like(direction),), (direction,))

    draws, slopes = jax.jit(jax.vmap(along))(jnp.eye(len(parameters), dtype=dtype))
    return np.asarray(draws[0], np.float64), np.asarray(slopes, np.float64)


@parametrized(
    [row for row in ROWS if row.name != "truncated StudentT"],
    ("AsymmetricLaplace",),
)
def test_float32_keeps_its_digits(row):
    noise = noise_of(find_path(row.at(row.in_dtype(np.float32))))
    single = at_noise(row, noise, np.float32)
    with jax.enable_x64(True):
        double = at_noise(row, noise, np.float64)
    # Rounding a parameter alone moves draws by as much as their gradients say.
    rounding = sum(
        np.abs(slope) * np.abs(value)
        for slope, value in zip(double[1], row.parameters, strict=True)
    )
    error = np.abs(single[0] - double[0])
    assert np.all(error <= 8e-7 * (np.abs(double[0]) + rounding))
    # Between bounds, slopes in loc and scale cancel: they have the digits of 1 and of
    # the distance in scales, their size without bounds.
    without_bounds = 0.0
    if row.name.startswith("truncated"):
        loc, scale, *_ = row.parameters
        without_bounds = 1 + np.abs(double[0] - loc) / scale
    for found, expected in zip(single[1], double[1], strict=True):
        size = np.abs(expected) + np.abs(expected).max(0) + without_bounds
        assert np.all(np.abs(found - expected) <= 1e-5 * size)


# At alpha = -1 the law of the logarithm is uniform: x = low (high / low)^u.
def test_the_power_law_is_smooth_where_its_formula_is_not():
    noise = jnp.linspace(-4.0, 4.0, 9, dtype=jnp.float32)[:, None]
    with jax.enable_x64(True):
        noise = noise.astype(np.float64)

        def draw(alpha):
            low, high = jnp.full_like(alpha, 0.5), jnp.full_like(alpha, 4.0)
            return find_path(dist.DoublyTruncatedPowerLaw(alpha, low, high)).at(noise)

        # On both sides of the switch to the series, and at the point itself.
        alpha = jnp.array([-1 - 1e-9, -1.0, -1 + 1e-9])
        draws, slopes = jax.jvp(draw, (alpha,), (jnp.ones(3),))
        u, length = jax.nn.sigmoid(noise), np.log(8.0)
        expected = 0.5 * 8.0**u
        np.testing.assert_allclose(draws[:, 1:2], expected, rtol=1e-14)
        # d h / dc = u (1 - u) / 2 at c = 0, and d log x = length^2 dh.
        slope = expected * length**2 * u * (1 - u) / 2
        np.testing.assert_allclose(slopes[:, 1:2], slope, rtol=1e-13)
        np.testing.assert_allclose(slopes, np.broadcast_to(slope, (9, 3)), rtol=1e-8)
        edge = 3e-3 / length
        alpha = jnp.array([edge * (1 - 1e-9), edge * (1 + 1e-9)]) - 1
        _, slopes = jax.jvp(draw, (alpha,), (jnp.ones(2),))
        np.testing.assert_allclose(slopes[:, 0], slopes[:, 1], rtol=1e-10)


def test_what_lies_outside_the_domain_raises_or_is_nan():
    law = dist.Gompertz(jnp.array([1.0, -1.0]), 1.0, validate_args=False)
    with pytest.raises(ValueError, match="`sample` needs `concentration`"):
        rj.sample(jax.random.key(0), law)
    swapped = dist.DoublyTruncatedPowerLaw(1.0, 3.0, 2.0, validate_args=False)
    with pytest.raises(ValueError, match="Were they swapped"):
        rj.sample(jax.random.key(0), swapped)

    def total(concentration):
        law = dist.Gompertz(concentration, 1.0, validate_args=False)
        return jnp.sum(rj.sample(jax.random.key(0), law))

    slopes = jax.jit(jax.grad(total))(jnp.array([1.0, -1.0]))
    np.testing.assert_array_equal(np.isnan(slopes), [False, True])
