"""Draws around a mean direction: geometry, shapes and bad values."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj
from reparam_jax.samplers import _sphere

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow

ANGLES = np.float64([0.0, 0.3, 1.5, 3.0, np.pi])


def key():
    return jax.random.key(97)


def directions(count, dimension):
    vectors = np.random.default_rng(dimension).normal(size=(count, dimension))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def poles(dimension):
    """Where the reflections begin, and where the one gives way to the other."""
    unit = np.eye(dimension)
    edge = unit[1] + 1e-12 * np.array([[1.0], [-1.0]]) * unit[0]
    return np.concatenate([unit, -unit, edge])


@pytest.mark.parametrize("dimension", [2, 3, 6])
def test_a_draw_is_a_unit_vector_at_its_angle_from_the_mean(dimension):
    means = np.concatenate([directions(20, dimension), poles(dimension)])[:, None]
    side = directions(1, dimension - 1)[0]
    with jax.enable_x64(True):
        cosine = np.cos(ANGLES)[:, None] + 0 * means
        sideways = np.sin(ANGLES)[:, None] * side + 0 * means[..., 1:]
        draws = np.asarray(_sphere._at(means + 0 * cosine, cosine[..., :1], sideways))
    np.testing.assert_allclose(np.linalg.norm(draws, axis=-1), 1, rtol=1e-15 * 8)
    np.testing.assert_allclose(np.sum(draws * means, -1), cosine[..., 0], atol=1e-15)


def test_directions_across_are_as_many_to_all_sides(alpha):
    # E t t^T = (I - m m^T) / (D - 1): with t's own covariance as error.
    for mean in (*directions(2, 4), *poles(4)[[0, 4, 8]]):
        draws = rj.von_mises_fisher(
            key(), mean.astype(np.float32), 0.0, shape=(40_000, 4)
        )
        draws = np.asarray(draws, np.float64)
        across = draws - (draws @ mean)[:, None] * mean
        across /= np.linalg.norm(across, axis=-1, keepdims=True)
        products = across[:, :, None] * across[:, None, :]
        error = products.std(0) / 200
        expected = (np.eye(4) - np.outer(mean, mean)) / 3
        assert np.max(np.abs(products.mean(0) - expected) / (error + 1e-9)) < 6


@pytest.mark.parametrize("dimension", [2, 5])
def test_the_gradient_for_the_mean_is_that_of_the_draw_and_tangential(dimension):
    mean = directions(3, dimension)
    step = np.random.default_rng(1).normal(size=mean.shape)
    with jax.enable_x64(True):

        def draw(mean):
            return rj.von_mises_fisher(key(), mean, 3.0)

        _, slope = jax.jvp(draw, (mean,), (step,))
        near, back, far, far_back = (
            draw(mean + h * step) for h in (3e-4, -3e-4, 6e-4, -6e-4)
        )
        _, outward = jax.jvp(draw, (mean,), (mean,))
        weights = np.arange(mean.size).reshape(mean.shape)
        gradient = jax.grad(lambda mean: jnp.sum(weights * draw(mean)))(mean)
        slope, gradient, outward = jax.device_get((slope, gradient, outward))
        near, back, far, far_back = jax.device_get((near, back, far, far_back))
    difference = (8 * (near - back) - (far - far_back)) / 36e-4
    np.testing.assert_allclose(slope, difference, rtol=1e-8, atol=1e-8)
    assert np.max(np.abs(outward)) < 1e-14
    assert np.max(np.abs(np.sum(gradient * mean, -1))) < 1e-13
    np.testing.assert_allclose(np.sum(gradient * step), np.sum(weights * slope))


def test_only_the_direction_of_the_mean_counts():
    mean = directions(1, 3)[0].astype(np.float32)
    expected = rj.von_mises_fisher(key(), mean, 5.0)
    for size in (1 - 1 / 300, 1 + 1 / 300):
        draws = rj.von_mises_fisher(key(), (size * mean).astype(np.float32), 5.0)
        np.testing.assert_allclose(draws, expected, atol=4e-7)
    rounded = jnp.asarray(directions(200, 3), jnp.bfloat16)
    draws = rj.von_mises_fisher(key(), rounded, 5.0)
    assert draws.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        np.linalg.norm(draws.astype(np.float32), axis=-1), 1, atol=1 / 200
    )


def test_zero_noise_has_a_direction():
    vectors = np.array([[0.0, 0.0, 0.0], [0.0, 3.0, 4.0]], np.float32)
    expected = [[3**-0.5] * 3, [0, 0.6, 0.8]]
    np.testing.assert_allclose(_sphere._normalized(vectors), expected, rtol=1e-6)


def test_leading_axes_broadcast():
    means = directions(3, 4).astype(np.float32)
    draw = rj.von_mises_fisher
    assert draw(key(), means[0], 1.0).shape == (4,)
    assert draw(key(), means, np.ones((5, 1))).shape == (5, 3, 4)
    spread = draw(key(), np.broadcast_to(means, (5, 3, 4)), np.full((5, 3), 9.0))
    np.testing.assert_array_equal(draw(key(), means, 9.0, shape=(5, 3, 4)), spread)


@pytest.mark.parametrize(
    ("mean", "concentration", "options", "sentence"),
    [
        (1.0, 1.0, {}, "`mean_direction` to be of shape (..., dim), with dim of 2 or "),
        (np.ones((3, 1)), 1.0, {}, "2 or more, got (3, 1)."),
        (
            np.eye(3),
            np.ones(2),
            {},
            "cannot broadcast `mean_direction` of shape (3, 3) with "
            "`concentration[..., None]` of shape (2, 1).",
        ),
        (np.eye(3), 1.0, {"shape": (3,)}, "cannot broadcast `mean_direction` of shape"),
        (
            np.diag([1, 1.01, 0.5]),
            1.0,
            {},
            "needs `mean_direction` to be of length 1, but 2 of its 3 vectors are not; "
            "the smallest length of those is 0.5 at index (2). Divide it by `jnp.lin",
        ),
        (np.array([np.nan, 1]), 1.0, {}, "1 of its 1 vectors are not; the smallest le"),
        (
            np.eye(3),
            np.float32([1, -2, np.inf]),
            {},
            "`concentration` to be finite and non-negative, but 2 of its 3 elements ar",
        ),
    ],
)
def test_mistakes_are_named(mean, concentration, options, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        rj.von_mises_fisher(key(), mean, concentration, **options)


def test_a_bad_vector_or_concentration_is_nan_throughout_and_nowhere_else():
    means = np.array([[1, 0], [0.6, 0.8], [3, 0], [0, 1], [0, np.nan]], np.float32)
    concentrations = np.float32([1, -1, 2, 3, 4])
    bad = np.array([False, True, True, False, True])

    @jax.jit
    def slopes(means, concentrations):
        def total(*parameters):
            draws = rj.von_mises_fisher(key(), *parameters)
            return jnp.sum(jnp.where(bad[:, None], 0, draws)), draws

        return jax.grad(total, (0, 1), has_aux=True)(means, concentrations)

    (for_means, for_concentrations), draws = slopes(means, concentrations)
    for found in (draws, for_means):
        np.testing.assert_array_equal(
            np.isnan(found), bad[:, None] | np.zeros((1, 2), bool)
        )
    np.testing.assert_array_equal(np.isnan(for_concentrations), bad)
