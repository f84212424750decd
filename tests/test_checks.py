"""Keys, shapes and dtypes: refused in any program, traced or not."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import reparam_jax as rj

VECTOR = np.zeros(3, np.float32)


def refuses(error, sentence, call):
    """``call()`` raises the sentence, eagerly and while a program is traced."""
    with pytest.raises(error, match=re.escape(sentence)):
        call()
    with pytest.raises(error, match=re.escape(sentence)):
        jax.jit(call)()


@pytest.mark.parametrize(
    ("key", "mistake"),
    [
        (3, "got the integer 3. Make a key of it with `jax.random.key(3)`."),
        (np.uint32(3), "got the integer 3. Make a key of it with `jax.random.key(3)`."),
        (None, "got None. Make one with `jax.random.key(0)`."),
        (0.5, "got numbers of dtype float32 and shape (). Were the key and a"),
        (VECTOR, "got numbers of dtype float32 and shape (3,). Were the key and a"),
        (np.arange(2), "got numbers of dtype int32 and shape (2,). Were the key and a"),
        (nnx.Rngs(0), "got Rngs. Make one with `jax.random.key(0)`; from an `nnx.Rngs"),
        ((0, 1), "got tuple. Make one with `jax.random.key(0)`"),
        ("key", "got str. Make one with `jax.random.key(0)`"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_key_is_named_with_the_way_out(key, mistake):
    sentence = f"`normal` takes a JAX PRNG key as its first argument, {mistake}"
    refuses(TypeError, sentence, lambda: rj.normal(key, 0.0, 1.0))


def test_a_key_swapped_with_a_parameter_is_named():
    advice = "Were the key and a parameter swapped? The key comes first."
    refuses(TypeError, advice, lambda: rj.normal(VECTOR, jax.random.key(0), 1.0))
    refuses(TypeError, advice, lambda: rj.normal(VECTOR, 1.0, jax.random.key(0)))


@pytest.mark.parametrize("name", ["mean", "var"])
def test_a_key_for_a_parameter_is_named(name):
    parameters = {"var": 1.0} if name == "mean" else {"mean": 0.0}
    sentence = f"`normal` needs `{name}` to be "

    def call():
        return rj.normal(jax.random.key(0), **parameters, **{name: jax.random.key(1)})

    refuses(TypeError, sentence, call)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_batch_of_keys_is_named_with_the_way_out(legacy):
    def call():
        keys = jax.random.split(jax.random.key(0), 3)
        return rj.normal(jax.random.key_data(keys) if legacy else keys, 0.0, 1.0)

    sentence = (
        "`normal` takes one key, got a batch of keys of shape (3,). Pick one, or map "
        "over them: `jax.vmap(lambda key: normal(key, ...))(keys)`."
    )
    refuses(ValueError, sentence, call)


@pytest.mark.parametrize(
    ("scales", "listed"),
    [
        ({}, "none of them"),
        ({"var": 1.0, "std": 1.0}, "`var` and `std`"),
        ({"std": 1.0, "log_var": 0.0}, "`std` and `log_var`"),
        ({"var": 1.0, "std": 1.0, "log_var": 0.0}, "`var` and `std` and `log_var`"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_exactly_one_scale_is_asked_for(scales, listed):
    sentence = f"takes exactly one of `var`, `std` and `log_var`, got {listed}."
    refuses(
        TypeError,
        f"`normal` {sentence}",
        lambda: rj.normal(jax.random.key(0), 0.0, **scales),
    )
    refuses(
        TypeError,
        f"`normal_from_noise` {sentence}",
        lambda: rj.normal_from_noise(0.5, 0.0, **scales),
    )


@pytest.mark.parametrize("value", [[1.0, 2.0], "one", 1j, np.array([1j])], ids=repr)
@pytest.mark.parametrize("name", ["mean", "var"])
def test_a_parameter_that_is_no_real_array_is_named(name, value):
    parameters = {"mean": 0.0, "var": 1.0} | {name: value}
    sentence = f"`normal` needs `{name}` to be "
    refuses(TypeError, sentence, lambda: rj.normal(jax.random.key(0), **parameters))


@pytest.mark.parametrize("dtype", [jnp.int32, jnp.complex64, jnp.bool_])
def test_a_dtype_that_is_not_floating_is_refused(dtype):
    sentence = f"`normal` draws floats, got dtype={jnp.dtype(dtype)}."
    refuses(
        TypeError, sentence, lambda: rj.normal(jax.random.key(0), 0.0, 1.0, dtype=dtype)
    )


def test_shapes_that_do_not_broadcast_are_both_named():
    sentence = (
        "`normal` cannot broadcast `mean` of shape (2, 3) with `std` of shape (4,)."
    )
    refuses(
        ValueError,
        sentence,
        lambda: rj.normal(jax.random.key(0), np.zeros((2, 3)), std=np.ones(4)),
    )
    refuses(
        ValueError,
        "`normal_from_noise` cannot broadcast `noise` of shape (5,) with `mean` of "
        "shape (2, 3) with `var` of shape ().",
        lambda: rj.normal_from_noise(np.zeros(5), np.zeros((2, 3)), 1.0),
    )


@pytest.mark.parametrize(
    ("array", "vector", "layout", "reshaped"),
    [
        ((2, 16, 8, 9), (16,), "channels first, NCHW", "16, 1, 1"),
        ((16, 8, 9), (16,), "channels first, NCHW", "16, 1, 1"),
        ((2, 16, 5, 8, 9), (16,), "channels first, NCHW", "16, 1, 1, 1"),
        ((2, 8, 9, 16), (16, 1, 1), "channels last, NHWC", "16"),
        ((2, 8, 9, 16), (16, 1), "channels last, NHWC", "16"),
    ],
    ids=str,
)
@pytest.mark.parametrize("per_channel", ["mean", "var"])
def test_a_vector_per_channel_is_told_how_to_reshape(
    array, vector, layout, reshaped, per_channel
):
    shapes = {"mean": array, "var": array} | {per_channel: vector}
    mean, var = jnp.zeros(shapes["mean"]), jnp.ones(shapes["var"])
    sentence = (
        f" If `{per_channel}` holds one value per channel ({layout}), pass "
        f"`{per_channel}.reshape({reshaped})`."
    )
    refuses(ValueError, sentence, lambda: rj.normal(jax.random.key(0), mean, var))
    reshape = [int(n) for n in reshaped.split(", ")]
    if per_channel == "mean":
        mean = mean.reshape(*reshape)
    else:
        var = var.reshape(*reshape)
    draw = jax.eval_shape(rj.normal, jax.random.key(0), mean, var)
    assert draw.shape == array


@pytest.mark.parametrize(
    ("array", "other"), [((2, 8, 9, 16), (3,)), ((2, 16), (3,)), ((2, 3), (4, 5, 6))]
)
def test_no_hint_is_given_where_no_channel_fits(array, other):
    with pytest.raises(ValueError, match="cannot broadcast") as raised:
        rj.normal(jax.random.key(0), np.zeros(array), np.ones(other))
    assert "reshape" not in str(raised.value)


def test_a_shape_that_the_parameters_do_not_fit_is_refused():
    sentence = (
        "`normal` cannot broadcast `var` of shape (2, 3) to shape=(3,), the shape of "
        "the whole result (not of a prefix)."
    )
    refuses(
        ValueError,
        sentence,
        lambda: rj.normal(jax.random.key(0), 0.0, np.ones((2, 3)), shape=(3,)),
    )
    hint = "pass `var.reshape(16, 1, 1)`."
    refuses(
        ValueError,
        hint,
        lambda: rj.normal(jax.random.key(0), 0.0, np.ones(16), shape=(2, 16, 8, 9)),
    )


@pytest.mark.parametrize("shape", [3, (2.5,)], ids=repr)
def test_a_shape_that_is_no_tuple_of_integers_is_refused(shape):
    sentence = f"`normal` needs `shape` to be a tuple of integers, got {shape!r}."
    refuses(
        TypeError, sentence, lambda: rj.normal(jax.random.key(0), 0.0, 1.0, shape=shape)
    )


def test_a_draw_of_several_components_needs_an_axis_for_them():
    with pytest.raises(
        ValueError, match=r"`dirichlet` needs a last axis .* shape \(\)"
    ):
        rj.dirichlet(jax.random.key(0), 1.0)
    assert rj.dirichlet(jax.random.key(0), 1.0, shape=(3,)).shape == (3,)
