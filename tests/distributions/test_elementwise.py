import jax
import jax.numpy as jnp
import pytest

from reparam_jax.distributions._elementwise import elementwise


@elementwise
def total(x, y):
    assert x.shape == y.shape
    assert x.dtype == y.dtype
    assert jnp.finfo(x.dtype).bits >= 32
    return x + y


@pytest.mark.parametrize(
    ("x", "dtype", "result"),
    [
        (1, jnp.float32, jnp.float32),
        (jnp.int32(1), jnp.bfloat16, jnp.bfloat16),
        (jnp.bool_(True), jnp.int32, jnp.float32),
    ],
)
def test_arguments_have_one_shape_and_dtype_and_the_result_that_of_floats(
    x, dtype, result
):
    with jax.numpy_rank_promotion("allow"):
        value = total(x, jnp.arange(6).reshape(2, 3).astype(dtype))
    assert value.dtype == result
    assert value.tolist() == [[1, 2, 3], [4, 5, 6]]
