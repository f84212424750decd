import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reparam_jax.special._elementwise import elementwise, evaluate, hold


@elementwise
def sine_and_product(first, second):
    return jnp.sin(first) * second, first * second**2


def call(first, second):
    return evaluate(
        "special.test",
        sine_and_product,
        lambda first, second: second > 0,
        first=first,
        second=second,
    )


FIRST, SECOND = np.float32([0.3, 1.0, 2.0]), np.float32([0.5, 1.5, 3.0])


def total(first, second):
    sine, product = call(first, second)
    return jnp.sum(sine + 2 * product)


def plain(first, second):
    return jnp.sum(jnp.sin(first) * second + 2 * first * second**2)


@pytest.mark.slow
@pytest.mark.parametrize("outer", [jax.jacfwd, jax.jacrev])
@pytest.mark.parametrize("inner", [jax.jacfwd, jax.jacrev])
def test_all_modes_and_orders_are_those_of_the_plain_function(inner, outer):
    @jax.jit
    def derivatives(first, second):
        functions, found = [total, plain], []
        for derive in (inner, outer, outer):
            functions = [derive(function, (0, 1)) for function in functions]
            found.append([function(first, second) for function in functions])
        return found

    for pair in derivatives(FIRST, SECOND):
        for mine, truth in zip(*map(jax.tree.leaves, pair), strict=True):
            np.testing.assert_allclose(mine, truth, rtol=2e-6, atol=1e-6)


def test_outside_the_domain_value_and_derivatives_are_nan_exactly_there():
    second = np.float32([0.5, -1.5, 3.0])
    bad = np.array([False, True, False])
    sine, product = call(FIRST, second)
    np.testing.assert_array_equal(np.isnan(sine), bad)
    np.testing.assert_array_equal(np.isnan(product), bad)
    for slope in jax.grad(total, (0, 1))(FIRST, second):
        np.testing.assert_array_equal(np.isnan(slope), bad)


def test_arguments_broadcast_and_promote():
    sine, _ = call(np.float32(1), np.ones((2, 1), np.float16))
    assert sine.shape == (2, 1)
    assert sine.dtype == jnp.float32
    sine, _ = call(1, jnp.ones(3, jnp.bfloat16))
    assert sine.dtype == jnp.bfloat16
    np.testing.assert_array_equal(sine, np.sin(np.float32(1)).astype(jnp.bfloat16))
    with jax.enable_x64(True):
        sine, _ = call(np.float64(1), 2)
        assert sine.dtype == jnp.float64
    with pytest.raises(ValueError, match=r"`special\.test` cannot broadcast"):
        call(np.ones(2), np.ones(3))


def test_held_values_keep_their_derivatives():
    def held(x):
        first, second = hold((jnp.sin(x), jnp.float32(2)))
        return first * second

    for derive in (jax.grad, lambda f: lambda x: jax.jvp(f, (x,), (1.0,))[1]):
        slope, curve = derive(held), derive(derive(held))
        np.testing.assert_allclose(slope(0.3), 2 * np.cos(0.3), rtol=1e-6)
        np.testing.assert_allclose(curve(0.3), -2 * np.sin(0.3), rtol=1e-6)
    text = jax.jit(held).lower(0.3).as_text()
    assert "optimization_barrier" in text
