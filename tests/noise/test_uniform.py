import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj


def test_draws_are_multiples_of_a_power_of_two_below_one():
    draws = np.asarray(rj.noise.uniform(jax.random.key(5), (2**16,)), np.float64)
    multiples = draws * 2**23
    np.testing.assert_array_equal(multiples, np.round(multiples))
    assert draws.min() >= 0
    assert draws.max() < 1
    # All 23 bits of the fraction occur.
    assert np.bitwise_or.reduce(multiples.astype(np.int64)) == 2**23 - 1


def test_float64_draws_use_all_52_bits():
    with jax.enable_x64(True):
        draws = np.asarray(rj.noise.uniform(jax.random.key(5), (2**12,), jnp.float64))
    multiples = draws * 2**52
    np.testing.assert_array_equal(multiples, np.round(multiples))
    assert np.bitwise_or.reduce(multiples.astype(np.int64)) == 2**52 - 1


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_short_dtypes_are_rounded_once_from_float32(dtype):
    draws = rj.noise.uniform(jax.random.key(5), (2**14,), dtype)
    assert draws.dtype == dtype
    exact = rj.noise.uniform(jax.random.key(5), (2**14,))
    np.testing.assert_array_equal(draws, exact.astype(dtype))
    # `jax.random.uniform` has 128 distinct values in bfloat16, 1024 in float16.
    lattice = {jnp.bfloat16: 128, jnp.float16: 1024}[dtype]
    assert len(np.unique(np.asarray(draws, np.float32))) > 2 * lattice
