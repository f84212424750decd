import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import reparam_jax as rj


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.uint16, jnp.uint32])
def test_short_words_equal_jax_random_too(dtype):
    actual = rj.noise.bits(jax.random.key(5), (40, 500), dtype)
    assert actual.dtype == dtype
    np.testing.assert_array_equal(
        actual, jax.random.bits(jax.random.key(5), (40, 500), dtype)
    )


@pytest.mark.parametrize("shape", [(7,), (40, 500)], ids=str)
@pytest.mark.parametrize("dtype", [jnp.int32, jnp.float32])
def test_a_dtype_that_is_not_unsigned_raises(shape, dtype):
    with pytest.raises((TypeError, ValueError), match="unsigned"):
        rj.noise.bits(jax.random.key(5), shape, dtype)


def test_every_bit_is_a_fair_coin_and_independent_of_the_others(alpha):
    words = np.asarray(rj.noise.bits(jax.random.key(5), (2**16,)))
    coins = np.unpackbits(words.view(np.uint8)).reshape(-1, 32).astype(np.float64)
    normalized = (2 * coins - 1).T @ (2 * coins - 1) / np.sqrt(len(coins))
    ones = np.sum(2 * coins - 1, axis=0) / np.sqrt(len(coins))
    pairs = normalized[np.triu_indices(32, 1)]
    scores = np.abs(np.concatenate([ones, pairs]))
    assert np.max(scores) < scipy.stats.norm.isf(alpha / 2 / len(scores))
