"""Laws of a caller's own, by their distribution function alone."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from tests.distributions.table import Bump


class WithoutCdf(Bump):
    def cdf(self, value):
        raise NotImplementedError


class OnIntegers(Bump):
    support = dist.constraints.nonnegative_integer


class MixedWithCdf(dist.HurdleGamma):
    def cdf(self, value):
        return value / (1 + value)


def key():
    return jax.random.key(73)


# scale is a scale: dz/dscale = z / scale, to second order 0.
def test_the_gradient_is_implicit_at_the_laws_own_draw():
    def draw(scale):
        return rj.sample(key(), Bump(scale), (100,))

    scale = jnp.array([0.5, 3.0])
    draws, slopes = jax.jit(lambda s: jax.jvp(draw, (s,), (jnp.ones(2),)))(scale)
    np.testing.assert_array_equal(draws, jax.jit(draw)(scale))
    np.testing.assert_allclose(slopes, draws / scale[None], rtol=1e-4, atol=1e-5)
    inner = lambda s: jax.jvp(draw, (s,), (jnp.ones(2),))[1]  # noqa: E731
    _, second = jax.jit(lambda s: jax.jvp(inner, (s,), (jnp.ones(2),)))(scale)
    largest = np.abs(draws / scale[None] ** 2).max(0)
    assert np.all(np.abs(second) < 1e-3 * largest)


@pytest.mark.slow
def test_the_draw_itself_passes_no_gradient():
    def total(scale):
        return jnp.sum(rj.sample(key(), Bump(scale).expand((4,)).to_event(1), (3,)))

    found = jax.grad(total)(2.0)
    expected = jnp.sum(rj.sample(key(), Bump(2.0).expand((4,)), (3,))) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("law", "reason"),
    [
        (WithoutCdf(1.0), "it has no `cdf`"),
        (OnIntegers(1.0), "its draws are discrete"),
        (MixedWithCdf(0.2, 2.0, 1.0), "one value with a positive probability"),
    ],
)
def test_others_are_refused(law, reason):
    with pytest.raises(TypeError, match=reason):
        rj.sample(key(), law)


class Disc(dist.Distribution):
    """A caller's own law of vectors: uniform in a disc, by its own map."""

    support = dist.constraints.real_vector

    def __init__(self, radius):
        self.radius = radius
        super().__init__(jnp.shape(radius), (2,))

    def sample(self, key, sample_shape=()):
        keys = jax.random.split(key)
        shape = (*sample_shape, *self.batch_shape)
        part = jnp.sqrt(jax.random.uniform(keys[0], shape))
        turn = 2 * jnp.pi * jax.random.uniform(keys[1], shape)
        unit = jnp.stack([jnp.cos(turn), jnp.sin(turn)], -1)
        return (self.radius * part)[..., None] * unit

    def pathwise(self, draws):
        held = jax.lax.stop_gradient(self.radius)
        return draws * (self.radius / held)[..., None]


# radius is a scale here too.
def test_a_callers_law_of_vectors_gives_its_draws_their_gradient():
    def draw(radius):
        law = Disc(radius).expand((3, 2)).to_event(1)
        return rj.sample(key(), law, (100,))

    radius = jnp.array([0.5, 3.0])
    draws, slopes = jax.jit(lambda r: jax.jvp(draw, (r,), (jnp.ones(2),)))(radius)
    assert draws.shape == (100, 3, 2, 2)
    assert len(np.unique(draws)) == draws.size
    np.testing.assert_allclose(slopes, draws / radius[None, None, :, None], rtol=1e-6)
