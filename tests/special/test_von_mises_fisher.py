"""The reference: mpmath at 30 digits, over the whole lower tail, at random points.

Concentrations are log-uniform from 1e-3 to 1e5, angles at quantiles from 1e-6 to
1 - 1e-6; ``second`` is the total second derivative along the path.
"""

import functools
import pathlib
import re

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import reparam_jax as rj
from reparam_jax.special._von_mises_fisher import one_minus_mean_cosine

REFERENCE = np.genfromtxt(
    pathlib.Path(__file__).parent / "reference" / "von_mises_fisher.csv",
    delimiter=",",
    names=True,
)
DIMENSIONS = (2, 3, 4, 32, 512)
slope = rj.special.von_mises_fisher_pathwise_grad
BOUNDS = {np.float32: (1e-5, 2e-4), np.float64: (1e-11, 1e-9)}


def reference(dimension, dtype):
    rows = REFERENCE[REFERENCE["dimension"] == dimension]
    assert len(rows) >= 20
    arguments = [rows[name].astype(dtype) for name in ("concentration", "angle")]
    return arguments, rows["slope"], rows["second"]


@functools.partial(jax.jit, static_argnums=0)
def value_and_partials(dimension, concentration, angle):
    along = functools.partial(slope, dimension)
    one, zero = jnp.ones_like(angle), jnp.zeros_like(angle)
    value, first = jax.jvp(along, (concentration, angle), (one, zero))
    _, second = jax.jvp(along, (concentration, angle), (zero, one))
    return value, first, second


@pytest.mark.slow
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_value_and_total_second_derivative_are_those_of_mpmath(dimension, dtype):
    first_bound, second_bound = BOUNDS[dtype]
    with jax.enable_x64(dtype == np.float64):
        arguments, exact, exact_second = reference(dimension, dtype)
        value, first, second = map(
            np.asarray, value_and_partials(dimension, *arguments)
        )
    assert value.dtype == dtype
    assert np.max(np.abs(value / exact - 1)) < first_bound
    terms = first, second * value
    size = np.maximum(np.abs(terms).max(0), np.abs(exact_second))
    # Near the median both terms cross zero together.
    size = np.maximum(size, 1e-2 * np.abs(exact) / arguments[0])
    assert np.max(np.abs(sum(terms) - exact_second) / size) < second_bound


def test_all_modes_give_the_same_second_derivatives():
    concentration, angle = np.float32([0.3, 2, 50, 900]), np.float32([2, 1.5, 1, 0.2])

    def total(concentration, angle):
        return jnp.sum(jnp.sin(slope(40, concentration, angle) * 9))

    def second(outer, inner):
        def along(concentration, angle):
            return jnp.sum(inner(total)(concentration, angle))

        return jax.jit(outer(along, (0, 1)))(concentration, angle)

    expected = second(jax.grad, jax.grad)
    for mine, truth in zip(second(jax.jacfwd, jax.grad), expected, strict=True):
        np.testing.assert_allclose(jnp.reshape(mine, (4,)), truth, rtol=1e-5)


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("dimension", [2, 3, 12, 34, 3000])
def test_the_mean_cosine_is_a_ratio_of_bessel_functions(dimension, dtype):
    points = np.logspace(-3, 6, 10, dtype=np.float32).astype(dtype)
    with jax.enable_x64(dtype == np.float64):
        actual = one_minus_mean_cosine(dimension, jnp.asarray(points))
        assert actual.dtype == dtype
        actual = np.asarray(actual)
    with mpmath.workdps(40):
        order = mpmath.mpf(dimension) / 2
        exact = [
            1 - mpmath.besseli(order, float(k)) / mpmath.besseli(order - 1, float(k))
            for k in points
        ]
        errors = [
            abs(mpmath.mpf(float(x)) / y - 1)
            for x, y in zip(actual, exact, strict=True)
        ]
    assert max(errors) < (4e-6 if dtype == np.float32 else 1e-13)


def test_on_the_uniform_circle_the_slope_is_minus_the_sine():
    angles = np.linspace(0, np.pi, 50, dtype=np.float32)
    np.testing.assert_allclose(
        slope(2, 0.0, angles[1:-1]), -np.sin(angles[1:-1]), rtol=2e-6
    )
    # The ends stay where they are.
    assert abs(float(slope(2, 1.0, angles[0]))) < 1e-14
    assert abs(float(slope(2, 1.0, angles[-1]))) < 1e-14


@pytest.mark.parametrize("dimension", [1, 2.0, True])
def test_a_dimension_that_is_none_is_named(dimension):
    sentence = (
        "`special.von_mises_fisher_pathwise_grad` needs `dimension` to be an integer "
        f"of 2 or more, got {dimension!r}."
    )
    with pytest.raises(ValueError, match=re.escape(sentence)):
        slope(dimension, 1.0, 1.0)
