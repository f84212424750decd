from fractions import Fraction

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from reparam_jax.special import _two_floats as two

DTYPES = [np.float32, np.float64]


def numbers(dtype, seed):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=200) * 10.0 ** rng.uniform(-4, 4, 200)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrap", [jax.jit, lambda f: f], ids=["jit", "eager"])
@pytest.mark.parametrize("name", ["two_sum", "two_product"])
def test_value_and_error_add_up(dtype, wrap, name):
    exact = {"two_sum": Fraction.__add__, "two_product": Fraction.__mul__}[name]
    with jax.enable_x64(True):
        a, b = numbers(dtype, 0), numbers(dtype, 1)
        high, low = wrap(getattr(two, name))(jnp.asarray(a), jnp.asarray(b))
        assert high.dtype == low.dtype == dtype
        assert np.any(np.asarray(low) != 0)
        for row in zip(a, b, np.asarray(high), np.asarray(low), strict=True):
            x, y, h, l = (Fraction(float(v)) for v in row)  # noqa: E741
            # Halves of 53 bits have 26 and 27: the product of the low ones is rounded.
            slack = 2**-104 * (name == "two_product" and dtype == np.float64)
            assert abs(h + l - exact(x, y)) <= slack * abs(exact(x, y))


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_and_what_it_lacks_to_1(dtype):
    logs = -(10 ** np.linspace(-10, 1.9, 400)).astype(dtype)
    with jax.enable_x64(True):
        found = jax.jit(two.exp_and_expm1)(jnp.asarray(logs))
    found = [[np.asarray(v) for v in pair] for pair in found]
    truth = np.exp(logs.astype(float)), -np.expm1(logs.astype(float))
    for (high, low), true in zip(found, truth, strict=True):
        total = high.astype(float) + low.astype(float)
        bound = 2e-9 if dtype == np.float32 else 1e-15
        np.testing.assert_allclose(total, true, rtol=bound)


def test_far_logs_give_0_and_1():
    (x, _), (y, _) = two.exp_and_expm1(jnp.float32([-200.0, -1e8]))
    assert np.all(np.asarray(x) < float(mpmath.exp(-86)))
    np.testing.assert_array_equal(y, 1)
