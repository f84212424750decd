"""Multivariate normal: what the table of samplers does not say of it."""

import re

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import reparam_jax as rj

RNG = np.random.default_rng(11)
FACTOR = np.tril(RNG.uniform(-1, 1, (4, 4))) + 1.5 * np.eye(4)
COVARIANCE = (FACTOR @ FACTOR.T).astype(np.float32)


def key():
    return jax.random.key(83)


def lower_half(matrix):
    return np.tril(matrix, -1) + np.diag(np.diag(matrix)) / 2


def slope_of_cholesky(covariance, direction):
    """The change of the Cholesky factor: A Phi(A^-1 dC A^-T), in float64."""
    factor = np.linalg.cholesky(np.asarray(covariance, np.float64))
    inner = np.linalg.solve(factor, np.linalg.solve(factor, direction).T)
    return factor @ lower_half(inner)


def jvp_of_draw(covariance, direction):
    noise = rj.noise.normal(key(), (len(covariance),))
    tangent = jax.jvp(
        lambda c: rj.multivariate_normal(key(), 0.0, covariance=c),
        (jnp.asarray(covariance),),
        (jnp.asarray(direction),),
    )[1]
    return np.asarray(tangent), np.asarray(noise, np.float64)


def test_all_four_forms_draw_from_one_law(alpha):
    inverse = np.linalg.inv(COVARIANCE.astype(np.float64)).astype(np.float32)
    tall, diagonal = FACTOR[:, :2], np.full(4, 0.5)
    low_rank = (tall.astype(np.float32), diagonal.astype(np.float32))
    mean = np.arange(4, dtype=np.float32)
    forms = {
        "covariance": (COVARIANCE, COVARIANCE),
        "scale_tril": (FACTOR.astype(np.float32), COVARIANCE),
        "precision": (inverse, COVARIANCE),
        "low_rank": (low_rank, tall @ tall.T + np.diag(diagonal)),
    }
    count = 40_000
    for form, (value, covariance) in forms.items():
        draws = rj.multivariate_normal(key(), mean, **{form: value}, shape=(count, 4))
        centred = np.asarray(draws, np.float64) - mean
        # Var of z_i z_j is c_ii c_jj + c_ij^2.
        variances = np.diag(covariance)
        error = np.sqrt((np.outer(variances, variances) + covariance**2) / count)
        assert np.all(abs(centred.T @ centred / count - covariance) < 5 * error)
        assert np.all(abs(centred.mean(0)) < 5 * np.sqrt(variances / count))


@pytest.mark.parametrize("size", [1e-30, 1e-6, 1.0, 1e6, 1e30])
def test_the_gradient_at_a_multiple_of_the_identity(size):
    # Equal eigenvalues, where a root by eigenvectors has no derivative.
    covariance = (size * np.eye(3)).astype(np.float32)
    direction = np.array([[1, 2, 3], [2, -1, 0.5], [3, 0.5, 4]]) * size
    tangent, noise = jvp_of_draw(covariance, direction.astype(np.float32))
    exact = lower_half(direction / size) @ noise * np.sqrt(size)
    np.testing.assert_allclose(tangent, exact, rtol=2e-6)
    slope = jax.grad(
        lambda c: jnp.sum(rj.multivariate_normal(key(), 0.0, covariance=c))
    )(jnp.asarray(covariance))
    total = np.sum(np.asarray(slope, np.float64) * direction)
    np.testing.assert_allclose(total, exact.sum(), rtol=2e-6)


@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6])
def test_the_gradient_of_a_nearly_singular_covariance_is_finite_and_right(gap):
    # The factor of [[1, r], [r, 1]] is [[1, 0], [r, s]], with s = sqrt(1 - r^2) and
    # ds/dr = -r / s.
    covariance = np.array([[1, 1 - gap], [1 - gap, 1]], np.float32)
    tangent, noise = jvp_of_draw(covariance, np.array([[0, 1], [1, 0]], np.float32))
    with mpmath.workprec(100):
        r = mpmath.mpf(float(covariance[0, 1]))
        s = mpmath.sqrt(1 - r**2)
        exact = float(noise[0] - r / s * noise[1])
    # The rounding of 1 - r^2 is magnified by 1 / (1 - r^2).
    np.testing.assert_allclose(tangent[1], exact, rtol=3e-7 / gap)
    with jax.enable_x64(True):
        wide = covariance.astype(np.float64)
        slope = jax.jvp(
            lambda c: rj.multivariate_normal_from_noise(noise, 0.0, covariance=c),
            (wide,),
            (np.array([[0.0, 1.0], [1.0, 0.0]]),),
        )[1]
        np.testing.assert_allclose(slope[1], exact, rtol=1e-15 / gap)


def test_the_gradient_of_an_ordinary_covariance_is_that_of_its_factor():
    direction = RNG.normal(size=(4, 4))
    direction = direction + direction.T
    tangent, noise = jvp_of_draw(COVARIANCE, direction.astype(np.float32))
    exact = slope_of_cholesky(COVARIANCE, direction) @ noise
    np.testing.assert_allclose(tangent, exact, rtol=1e-5)


def test_only_the_symmetric_part_of_a_covariance_is_used():
    skew = np.triu(np.ones((4, 4), np.float32), 1)
    skew = 0.1 * (skew - skew.T)
    draws = rj.multivariate_normal(key(), 0.0, covariance=COVARIANCE + skew)
    expected = rj.multivariate_normal(key(), 0.0, covariance=COVARIANCE)
    np.testing.assert_allclose(draws, expected, rtol=1e-5)


def test_what_stands_above_the_diagonal_of_scale_tril_is_not_read():
    noise = np.arange(1, 5, dtype=np.float32)

    def draw(factor):
        return rj.multivariate_normal_from_noise(noise, 0.0, scale_tril=factor)

    filled = FACTOR.astype(np.float32) + 100 * np.triu(np.ones((4, 4), np.float32), 1)
    np.testing.assert_allclose(draw(filled), FACTOR @ noise, rtol=1e-6)
    slope = jax.grad(lambda factor: jnp.sum(draw(factor)))(jnp.asarray(filled))
    np.testing.assert_array_equal(slope, np.tril(np.tile(noise, (4, 1))))


def test_a_low_rank_covariance_may_be_singular():
    factor = np.array([[1.0], [2.0]], np.float32)
    noise = np.array([[0.5, -1.0, 3.0]], np.float32)

    def draw(diagonal):
        return rj.multivariate_normal_from_noise(
            noise, 1.0, low_rank=(factor, diagonal)
        )

    diagonal = jnp.array([0.0, 4.0])
    np.testing.assert_array_equal(draw(diagonal), [[1.5, 8.0]])
    slope = jax.grad(lambda d: jnp.sum(draw(d)))(diagonal)
    np.testing.assert_array_equal(slope, [0.0, 0.75])


def test_leading_axes_broadcast():
    means = np.zeros((5, 1, 4), np.float32)
    covariances = np.stack([COVARIANCE, 4 * COVARIANCE, 9 * COVARIANCE])
    draws = rj.multivariate_normal(key(), means, covariance=covariances)
    assert draws.shape == (5, 3, 4)
    noise = rj.noise.normal(key(), (5, 3, 4))
    factors = np.linalg.cholesky(covariances.astype(np.float64))
    expected = np.einsum("mij,bmj->bmi", factors, np.asarray(noise, np.float64))
    size = np.max(np.abs(expected))
    np.testing.assert_allclose(draws, expected, rtol=1e-6, atol=1e-6 * size)


@pytest.mark.parametrize("split", ["mean", "factor"])
def test_draws_are_split_where_either_parameter_is(split):
    arrays = {
        "mean": np.arange(32, dtype=np.float32).reshape(8, 4),
        "factor": np.broadcast_to(np.float32(FACTOR), (8, 4, 4)),
    }
    noise = rj.noise.normal(key(), (8, 4))
    wanted = rj.multivariate_normal_from_noise(
        noise, arrays["mean"], scale_tril=arrays["factor"]
    )
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    with jax.set_mesh(mesh):
        arrays[split] = jax.device_put(arrays[split], rows)
        mean, factor = arrays["mean"], arrays["factor"]
        draws = [
            rj.multivariate_normal(key(), mean, scale_tril=factor),
            rj.multivariate_normal_from_noise(noise, mean, scale_tril=factor),
        ]
    for each in draws:
        assert each.sharding.is_equivalent_to(rows, 2)
        np.testing.assert_allclose(each, wanted, rtol=1e-5, atol=1e-6)


def test_products_are_not_taken_in_less_than_float32():
    lowered = jax.jit(
        lambda c: rj.multivariate_normal(key(), 0.0, covariance=c, shape=(8, 4))
    ).lower(COVARIANCE)
    assert "precision = [HIGHEST, HIGHEST]" in lowered.as_text()


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        (
            {},
            TypeError,
            "takes exactly one of `covariance`, `scale_tril`, `precision` ",
        ),
        (
            {"covariance": COVARIANCE, "precision": COVARIANCE},
            TypeError,
            "got `covariance` and `precision`.",
        ),
        (
            {"low_rank": FACTOR},
            TypeError,
            "takes `low_rank` as a tuple (factor, diagonal), got ndarray.",
        ),
        (
            {"covariance": np.ones(4)},
            ValueError,
            "needs `covariance` to be of shape (..., dim, dim), got (4,).",
        ),
        (
            {"scale_tril": np.ones((4, 3))},
            ValueError,
            "needs `scale_tril` to be of shape (..., dim, dim), got (4, 3).",
        ),
        (
            {"covariance": np.eye(3)},
            ValueError,
            "cannot broadcast `mean` of shape (4,) with `covariance[..., 0]` of shape "
            "(3,).",
        ),
        (
            {"covariance": np.eye(1)},
            ValueError,
            "draws vectors of 1 elements for `covariance` of shape (1, 1), got 4",
        ),
        (
            {"covariance": COVARIANCE, "shape": (3, 5)},
            ValueError,
            "cannot broadcast `mean` of shape (4,) to shape=(3, 5)",
        ),
        (
            {"covariance": np.diag([1.0, 2.0, -3.0, 4.0])},
            ValueError,
            "needs `covariance` to be positive definite, but 1 of its 1 matrices are "
            "not; the smallest eigenvalue of those is -3.0 at index (). Add to its "
            "diagonal, or pass `scale_tril=` or `low_rank=`, which may be singular.",
        ),
    ],
)
def test_mistakes_are_named(options, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        rj.multivariate_normal(key(), np.zeros(4), **options)


def test_noise_of_another_length_is_named():
    sentence = "needs `noise` to have 6 elements along its last axis, got shape (4,)."
    with pytest.raises(ValueError, match=re.escape(sentence)):
        rj.multivariate_normal_from_noise(
            np.zeros(4), 0.0, low_rank=(FACTOR[:, :2], np.ones(4))
        )
