"""Transforms of laws: of numbers, of vectors, and of each other."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import transforms

import reparam_jax as rj
from reparam_jax.distributions._paths import find_path
from reparam_jax.distributions._transformed import is_monotone

AFFINE = transforms.AffineTransform(1.0, jnp.array([-2.0, 3.0]))
EXP = transforms.ExpTransform()


def key():
    return jax.random.key(53)


def test_folding_takes_the_absolute_value_and_its_sign():
    loc = jnp.array([-1.0, 0.5])

    def draw(loc):
        law = dist.FoldedDistribution(dist.Normal(loc, 2.0))
        return rj.sample(key(), law, (50,))

    whole = rj.normal(key(), loc, std=2.0, shape=(50, 2))
    draws, slopes = jax.jvp(draw, (loc,), (jnp.ones(2),))
    assert (whole < 0).any(0).all()
    np.testing.assert_array_equal(draws, np.abs(whole))
    np.testing.assert_array_equal(slopes, np.sign(whole))


def test_a_map_of_vectors_is_applied_to_whole_vectors():
    loc, factor = jnp.array([1.0, -2.0]), jnp.array([[2.0, 0.0], [0.7, 0.5]])

    def draw(loc, factor):
        law = dist.TransformedDistribution(
            dist.Normal(jnp.zeros(2), 1.0), transforms.LowerCholeskyAffine(loc, factor)
        )
        return rj.sample(key(), law.expand((3,)), (4,))

    noise = rj.noise.normal(key(), (4, 3, 2))
    draws, slopes = jax.jvp(draw, (loc, factor), (jnp.zeros(2), jnp.eye(2)))
    expected = loc[None, None] + jnp.einsum("ij,abj->abi", factor, noise)
    np.testing.assert_allclose(draws, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(slopes, noise, rtol=1e-6)


@pytest.mark.parametrize(
    ("transform", "monotone"),
    [
        (EXP, True),
        (AFFINE, True),
        (EXP.inv, True),
        (transforms.ComposeTransform([AFFINE, EXP]), True),
        (transforms.IndependentTransform(EXP, 1), True),
        (transforms.AbsTransform(), False),
        (transforms.StickBreakingTransform(), False),
        (transforms.ComposeTransform([EXP, transforms.OrderedTransform()]), False),
    ],
)
def test_only_monotone_maps_of_numbers_keep_the_noise(transform, monotone):
    assert is_monotone(transform) is monotone


def test_the_noise_of_the_base_is_that_of_its_transform():
    base = dist.Gumbel(jnp.zeros(2), 1.0)
    kept = find_path(dist.TransformedDistribution(base, [AFFINE, EXP]))
    assert kept.noise is rj.noise.gumbel
    lost = find_path(dist.TransformedDistribution(base, transforms.OrderedTransform()))
    assert lost.noise is None
