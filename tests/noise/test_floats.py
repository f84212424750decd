"""What holds for all noise of floating dtype: one rounding, and the dtypes refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.noise.test_fold import every_law


@pytest.mark.slow
@every_law
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_short_dtypes_are_rounded_once_from_float32(noise, dtype):
    draws = noise(jax.random.key(5), (2**13,), dtype)
    assert draws.dtype == dtype
    exact = noise(jax.random.key(5), (2**13,))
    np.testing.assert_array_equal(draws, exact.astype(dtype))
    assert len(np.unique(np.asarray(draws, np.float32))) > 500


@every_law
def test_float64_draws_are_not_float32_ones(noise):
    with jax.enable_x64(True):
        draws = np.asarray(noise(jax.random.key(5), (100,), jnp.float64))
    assert draws.dtype == np.float64
    assert np.mean(draws.astype(np.float32).astype(np.float64) == draws) < 0.1


@every_law
@pytest.mark.parametrize("dtype", [jnp.int32, jnp.complex64])
def test_a_dtype_that_is_not_floating_raises(noise, dtype):
    sentence = f"`noise.{noise.__name__}` draws floats, got dtype="
    with pytest.raises(TypeError, match=sentence):
        noise(jax.random.key(5), (3,), dtype)
