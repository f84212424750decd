"""What holds for all base noise; bits, uniform and normal are those of `jax.random`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import reparam_jax as rj
from tests import hlo
from tests.ulps import ulps

# The written-out cipher starts at 2^14 elements, but not in short rows.
SMALL = [(), (3, 0, 5), (7,), (16383,), (2000, 3, 3)]
LARGE = [(16384,), (3, 6001), (1000, 17), (4, 2, 2060)]

REFERENCES = {
    rj.noise.bits: jax.random.bits,
    rj.noise.uniform: jax.random.uniform,
    rj.noise.normal: jax.random.normal,
}
COUPLINGS = [rj.noise.antithetic, rj.noise.stratified]
DRAWS = [
    *REFERENCES,
    rj.noise.cauchy,
    rj.noise.exponential,
    rj.noise.gumbel,
    rj.noise.half_cauchy,
    rj.noise.half_normal,
    rj.noise.laplace,
    rj.noise.logistic,
]
SMALL_TOO = [*REFERENCES, rj.noise.exponential]  # the others fold as it does
named = functools.partial(pytest.mark.parametrize, ids=lambda draw: draw.__name__)
# Of the noises that are folded one runs by default: the others share its code.
THOROUGH = [pytest.mark.slow, pytest.mark.thorough]
FOLDED = set(DRAWS) - set(REFERENCES) - {rj.noise.exponential}
every_noise = named(
    "draw",
    [pytest.param(draw, marks=THOROUGH if draw in FOLDED else ()) for draw in DRAWS],
)
noise_of_jax_random = named("draw", list(REFERENCES))
small_and_large = pytest.mark.parametrize("shape", [(7,), (40, 500)], ids=str)


def same_bits(actual, expected):
    assert actual.dtype == expected.dtype
    words = f"uint{8 * actual.dtype.itemsize}"
    np.testing.assert_array_equal(
        np.asarray(actual).view(words), np.asarray(expected).view(words), strict=True
    )


def test_every_public_noise_is_tested_here():
    public = {value for value in vars(rj.noise).values() if callable(value)}
    assert {*DRAWS, *COUPLINGS} == public


@noise_of_jax_random
@pytest.mark.parametrize("shape", [*SMALL, *LARGE], ids=str)
def test_equals_jax_random_bit_for_bit(draw, shape):
    same_bits(
        draw(jax.random.key(3), shape), REFERENCES[draw](jax.random.key(3), shape)
    )


@noise_of_jax_random
@pytest.mark.parametrize("shape", [(5,), (431, 3)], ids=str)
def test_equals_jax_random_bit_for_bit_in_64_bits(draw, shape):
    dtype = jnp.uint64 if draw is rj.noise.bits else jnp.float64
    with jax.enable_x64(True):
        actual = draw(jax.random.key(3), shape, dtype)
        assert actual.dtype == dtype
        same_bits(actual, REFERENCES[draw](jax.random.key(3), shape, dtype))


@pytest.mark.parametrize(
    ("draw", "shape"),
    [(draw, (40, 500)) for draw in DRAWS] + [(draw, (7,)) for draw in SMALL_TOO],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_is_the_same_in_every_program(draw, shape):
    eager = np.stack([draw(jax.random.key(seed), shape) for seed in range(3)])
    keys = functools.partial(jax.vmap(jax.random.key), jnp.arange(3))

    def loop():
        def body(step, drawn):
            return drawn.at[step].set(draw(jax.random.key(step), shape))

        return jax.lax.fori_loop(0, 3, body, jnp.zeros_like(eager))

    def scan(keys):
        return jax.lax.scan(lambda _, key: (None, draw(key, shape)), None, keys)[1]

    @jax.jit
    def unrolled(keys):
        return jnp.stack([draw(keys[step], shape) for step in range(3)])

    same_bits(unrolled(keys()), eager)
    same_bits(jax.vmap(lambda key: draw(key, shape))(keys()), eager)
    same_bits(scan(keys()), eager)
    same_bits(loop(), eager)


@every_noise
@small_and_large
def test_takes_typed_and_legacy_keys(draw, shape):
    typed = draw(jax.random.key(3), shape)
    same_bits(draw(jax.random.PRNGKey(3), shape), typed)
    same_bits(draw(np.asarray(jax.random.PRNGKey(3)), shape), typed)


@noise_of_jax_random
@pytest.mark.parametrize("impl", ["rbg", "unsafe_rbg"])
def test_keys_of_other_implementations_draw_through_jax_random(draw, impl):
    key = functools.partial(jax.random.key, 3, impl=impl)
    same_bits(draw(key(), (40, 500)), REFERENCES[draw](key(), (40, 500)))


@noise_of_jax_random
def test_equals_jax_random_when_threefry_is_not_partitionable(draw):
    partitionable = draw(jax.random.key(3), (40, 500))
    with jax.threefry_partitionable(False):
        actual = draw(jax.random.key(3), (40, 500))
        same_bits(actual, REFERENCES[draw](jax.random.key(3), (40, 500)))
    assert not np.array_equal(actual, partitionable)
    same_bits(draw(jax.random.key(3), (40, 500)), partitionable)


@every_noise
def test_the_seed_changes_every_draw(draw):
    first, second = (draw(jax.random.key(seed), (40, 500)) for seed in (0, 1))
    # A uniform has 2^23 values: of 20 000 pairs hardly one is equal, never six.
    assert np.sum(np.asarray(first) == np.asarray(second)) <= 5


@every_noise
@pytest.mark.parametrize("shape", [(16, 8), (16, 128)], ids=str)
def test_out_sharding_places_the_same_noise(draw, shape):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    sharding = NamedSharding(mesh, PartitionSpec("data", None))
    with jax.set_mesh(mesh):
        actual = draw(jax.random.key(3), shape, out_sharding=sharding)
    assert actual.sharding == sharding
    expected = draw(jax.random.key(3), shape)
    if draw in REFERENCES or shape[-1] >= 16:
        same_bits(actual, expected)
    else:  # XLA does not vectorise loops over short rows, and rounds them otherwise
        expected = np.asarray(expected)
        assert ulps(actual, expected, 1 + np.abs(expected)) <= 2


@every_noise
@pytest.mark.parametrize("shape", [(0,), (7,), (16384,)], ids=str)
@pytest.mark.parametrize("ours_first", [True, False])
def test_a_second_use_of_a_key_raises(draw, shape, ours_first):
    pair = [draw, jax.random.normal]
    for first, second in [(draw, draw), pair if ours_first else pair[::-1]]:
        key = jax.random.key(3)
        first(key, shape)
        with pytest.raises(jax.errors.KeyReuseError):
            second(key, shape)


@every_noise
@small_and_large
def test_a_second_use_of_a_key_raises_inside_a_program(draw, shape):
    def twice(key):
        return draw(key, shape) + draw(key, shape)

    def twice_in_scan(key):
        return jax.lax.scan(lambda *_: (None, draw(key, shape)), None, length=2)[1]

    def loss(scale, key):
        return jnp.sum(scale * twice(key))

    for use in (jax.jit(twice), twice_in_scan, jax.jit(twice_in_scan)):
        with pytest.raises(jax.errors.KeyReuseError):
            use(jax.random.key(3))
    for gradient in (jax.grad(loss), jax.jit(jax.grad(loss))):
        with pytest.raises(jax.errors.KeyReuseError):
            gradient(1.0, jax.random.key(3))


@noise_of_jax_random
def test_exports_with_a_symbolic_batch(draw):
    (batch,) = jax.export.symbolic_shape("batch")
    rows = jax.ShapeDtypeStruct((batch, 400), jnp.float32)
    key = jax.ShapeDtypeStruct((), jax.random.key(0).dtype)
    exported = jax.export.export(jax.jit(lambda key, x: draw(key, x.shape)))(key, rows)
    same_bits(
        exported.call(jax.random.key(3), jnp.zeros((5, 400))),
        draw(jax.random.key(3), (5, 400)),
    )


@every_noise
def test_only_large_draws_write_the_cipher_out(draw):
    # `jax.random` runs the cipher as a loop on CPU.
    small, large = (
        hlo.compiled(lambda key, n=n: draw(key, (n,)), jax.random.key(0))
        for n in (16383, 16384)
    )
    assert " while(" in small
    assert " while(" not in large
    assert hlo.copies_of_cipher(large) == 1


@every_noise
def test_wrong_keys_are_named(draw):
    name = f"`noise.{draw.__name__}`"
    with pytest.raises(
        TypeError, match=rf"{name} takes .* got the integer 3.*key\(3\)"
    ):
        draw(3, (4,))
    with pytest.raises(TypeError, match=f"{name} takes .* got None"):
        draw(None, (4,))
    with pytest.raises(TypeError, match=f"{name} takes .* got tuple"):
        draw((4,), jax.random.key(0))
    with pytest.raises(ValueError, match=rf"{name} takes one key, got .* shape \(2,\)"):
        draw(jax.random.split(jax.random.key(0)), (4,))
