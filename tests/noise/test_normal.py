import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import reparam_jax as rj


def test_bfloat16_draws_are_not_on_a_lattice_of_128_values():
    draws = rj.noise.normal(jax.random.key(5), (2**14,), jnp.bfloat16)
    lattice = jax.random.normal(jax.random.key(5), (2**14,), jnp.bfloat16)
    assert len(np.unique(np.asarray(lattice, np.float32))) <= 128
    assert len(np.unique(np.asarray(draws, np.float32))) > 1000


# From jax 0.12 on, XLA rounds the inverse error function otherwise in rows of 3 to 6
# elements.
@pytest.mark.parametrize("shape", [(100, 5), (300, 4), (600, 3)], ids=str)
def test_short_rows_equal_jax_random_bit_for_bit(shape):
    draws = rj.noise.normal(jax.random.key(3), shape)
    np.testing.assert_array_equal(draws, jax.random.normal(jax.random.key(3), shape))


@pytest.mark.parametrize("shape", [(300, 3), (10, 10, 10)], ids=str)
def test_short_rows_are_the_same_beside_other_uses_of_the_noise(shape):
    @jax.jit
    def program(key):
        noise = rj.noise.normal(key, shape)
        return noise, jnp.sum(jnp.sin(noise) * noise)

    noise, _ = program(jax.random.key(3))
    np.testing.assert_array_equal(noise, rj.noise.normal(jax.random.key(3), shape))


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [(jnp.float32, (1000,)), (jnp.float32, (2**17,)), (jnp.bfloat16, (2**12,))],
    ids=str,
)
def test_follows_the_normal_law(dtype, shape, alpha):
    draws = np.asarray(rj.noise.normal(jax.random.key(5), shape, dtype), np.float64)
    assert scipy.stats.kstest(draws, "norm").pvalue > alpha
