import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import reparam_jax as rj
from reparam_jax.layers import Sample

MEAN = np.linspace(-1, 1, 12).reshape(4, 3).astype(np.float32)
VAR = np.linspace(0.5, 2, 12).reshape(4, 3).astype(np.float32)


def dropout(**options):
    return nnx.Dropout(0.5, **options)


def stream_state(rngs):
    return {name: int(stream.count[...]) for name, stream in rngs.items()}


def next_key(layer):
    return jax.random.key_data(layer.rngs())


def test_the_draw_is_that_of_the_key_given_in_the_call():
    layer = Sample()
    draw = layer(MEAN, VAR, rngs=jax.random.key(3))
    np.testing.assert_array_equal(draw, rj.normal(jax.random.key(3), MEAN, VAR))
    legacy = layer(MEAN, VAR, rngs=jax.random.PRNGKey(3))
    np.testing.assert_array_equal(legacy, draw)


def test_a_stream_or_rngs_in_the_call_gives_its_next_key():
    expected = rj.normal(nnx.Rngs(sample=3).sample(), MEAN, VAR)
    layer = Sample(rngs=nnx.Rngs(0))
    for rngs in (nnx.Rngs(sample=3), nnx.Rngs(sample=3).sample, nnx.Rngs(3, params=4)):
        np.testing.assert_array_equal(layer(MEAN, VAR, rngs=rngs), expected)
    renamed = Sample(rng_collection="noise")(
        MEAN, VAR, rngs=nnx.Rngs(noise=3, sample=1)
    )
    assert not np.array_equal(renamed, layer(MEAN, VAR, rngs=nnx.Rngs(sample=1)))


def test_the_stream_of_the_call_takes_precedence_and_alone_advances():
    layer, rngs = Sample(rngs=nnx.Rngs(0)), nnx.Rngs(sample=3)
    before = next_key(Sample(rngs=nnx.Rngs(0)))
    layer(MEAN, VAR, rngs=rngs)
    layer(MEAN, VAR, rngs=jax.random.key(3))
    np.testing.assert_array_equal(next_key(layer), before)
    assert stream_state(rngs) == {"sample": 1}


@pytest.mark.parametrize("make", [Sample, dropout])
@pytest.mark.parametrize("streams", [{"default": 0}, {"noise": 1}, {"sample": 2}])
def test_the_constructor_forks_its_stream_as_dropout_does(make, streams):
    rngs, reference = nnx.Rngs(**streams), nnx.Rngs(**streams)
    name = next(iter(streams))
    layer = make(rngs=rngs, rng_collection=name)
    expected = reference[name].fork()
    assert stream_state(rngs) == stream_state(reference) == {name: 1}
    expected = jax.random.key_data(expected())
    np.testing.assert_array_equal(next_key(layer), expected)
    layer = make(rngs=nnx.Rngs(**streams)[name])
    np.testing.assert_array_equal(next_key(layer), expected)


def test_the_default_stream_stands_in_for_a_missing_one_as_in_dropout():
    rngs = nnx.Rngs(7)
    first, second = Sample(rngs=rngs), dropout(rngs=nnx.Rngs(7))
    np.testing.assert_array_equal(next_key(first), next_key(second))
    for make in (Sample, dropout):
        with pytest.raises(KeyError, match="No RngStream named"):
            make(rngs=nnx.Rngs(params=0))


def test_two_calls_differ_and_two_equal_layers_agree():
    layer, twin = Sample(rngs=nnx.Rngs(0)), Sample(rngs=nnx.Rngs(0))
    first, second = layer(MEAN, VAR), layer(MEAN, VAR)
    assert not np.any(first == second)
    np.testing.assert_array_equal(twin(MEAN, VAR), first)
    np.testing.assert_array_equal(twin(MEAN, VAR), second)
    assert not np.any(Sample(rngs=nnx.Rngs(1))(MEAN, VAR) == first)


@pytest.mark.parametrize("make", [Sample, dropout])
def test_deterministic_in_the_call_takes_precedence(make):
    arguments = (MEAN, VAR) if make is Sample else (MEAN,)
    for built in (False, True, None):
        layer = make(deterministic=built, rngs=nnx.Rngs(0))
        np.testing.assert_array_equal(layer(*arguments, deterministic=True), MEAN)
        assert np.any(layer(*arguments, deterministic=False) != MEAN)
        if built is None:
            with pytest.raises(ValueError, match="deterministic"):
                layer(*arguments)
        else:
            assert np.array_equal(layer(*arguments), MEAN) is built


@pytest.mark.parametrize("make", [Sample, dropout])
def test_train_eval_and_view_reach_the_layer(make):
    arguments = (MEAN, VAR) if make is Sample else (MEAN,)
    model = nnx.List([make(rngs=nnx.Rngs(0)), nnx.Linear(3, 3, rngs=nnx.Rngs(0))])
    still = nnx.view(model, deterministic=True)
    np.testing.assert_array_equal(still[0](*arguments), MEAN)
    assert np.any(model[0](*arguments) != MEAN)
    again = nnx.view(still, deterministic=False)
    assert np.any(again[0](*arguments) != MEAN)
    layer = make(rngs=nnx.Rngs(0))
    layer.eval()
    np.testing.assert_array_equal(layer(*arguments), MEAN)
    layer.train()
    assert np.any(layer(*arguments) != MEAN)


def test_deterministic_needs_no_rngs_and_gives_the_mean_at_the_shape_of_a_draw():
    layer = Sample(deterministic=True)
    still = layer(jnp.zeros((3,)), VAR)
    drawn = layer(jnp.zeros((3,)), VAR, deterministic=False, rngs=jax.random.key(0))
    np.testing.assert_array_equal(still, np.zeros((4, 3)))
    assert (still.shape, still.dtype) == (drawn.shape, drawn.dtype)
    slopes = jax.grad(lambda m, v: jnp.sum(layer(m, v)), argnums=(0, 1))(MEAN, VAR)
    np.testing.assert_array_equal(slopes[0], 1)
    np.testing.assert_array_equal(slopes[1], 0)


def test_missing_and_wrong_rngs_are_named():
    with pytest.raises((TypeError, ValueError), match="has no `rngs`: pass `rngs=nnx"):
        Sample()(MEAN, VAR)
    with pytest.raises(
        TypeError, match=r"takes `rngs` as an nnx.Rngs or nnx.RngStream"
    ):
        Sample(rngs=jax.random.key(0))
    with pytest.raises(TypeError, match=r"got the integer 3.*jax.random.key\(3\)"):
        Sample()(MEAN, VAR, rngs=3)
    with pytest.raises(ValueError, match="one key, got a batch of keys"):
        Sample()(MEAN, VAR, rngs=jax.random.split(jax.random.key(0)))


def test_bad_parameters_are_named():
    layer = Sample(rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"`var` to be .* 12 of its 12 elements"):
        layer(MEAN, -VAR)
    shapes = (
        r"`Sample` cannot broadcast `mean` of shape \(4, 3\) with `var` of shape \(5"
    )
    for deterministic in (False, True):
        with pytest.raises(ValueError, match=shapes):
            layer(MEAN, np.ones(5), deterministic=deterministic)


def test_a_key_given_twice_raises():
    layer, key = Sample(), jax.random.key(0)
    layer(MEAN, VAR, rngs=key)
    with pytest.raises(jax.errors.KeyReuseError):
        layer(MEAN, VAR, rngs=key)
