"""What holds for every relaxation, member by member of the table."""

import functools
import inspect
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import reparam_jax as rj
from tests import hlo
from tests.relaxations.table import LEADERS, SHAPE, TABLE

WEIGHTS = np.random.default_rng(4).uniform(0.5, 1.5, SHAPE).astype(np.float32)
BAD_ROW, BAD_INDEX = 2, (2, 1)


def case(member, *values, title=None, programs=False):
    """One test of a member; most programs are thorough."""
    marks = []
    if programs and member.title not in LEADERS:
        marks = [pytest.mark.slow, pytest.mark.thorough]
    return pytest.param(member, *values, id=title or member.title, marks=marks)


def every(holds=lambda member: True, *, programs=False):
    cases = [case(member, programs=programs) for member in TABLE if holds(member)]
    return pytest.mark.parametrize("member", cases)


def with_twin(member):
    return member.twin_options is not None


def soft(member):
    return member.hard is None


every_member = every()
every_program = every(programs=True)
every_twin = every(with_twin, programs=True)


def key(number=0):
    return jax.random.key(71 + number)


@functools.cache
def jitted(member):
    """A draw, and its pullback of weights."""

    def draw(parameters, key):
        return member.draw(key, parameters)

    def pullback(parameters, weights, key):
        return jax.grad(lambda p: jnp.sum(weights * draw(p, key)))(parameters)

    return jax.jit(draw), jax.jit(pullback)


# --- draws and gradients ---


@pytest.mark.parametrize(
    ("member", "dtype"),
    [
        case(
            member,
            dtype,
            title=f"{member.title}-{dtype.__name__}",
            programs=dtype is np.float32,
        )
        for member in TABLE
        if with_twin(member)
        for dtype in (np.float32, np.float64)
    ],
)
def test_draws_and_their_tangents_are_those_of_the_formula(member, dtype):
    with jax.enable_x64(dtype is np.float64):
        parameters = member.given(dtype)
        noise = member.draw_noise(key(), dtype)
        directions = {
            name: np.random.default_rng(5).uniform(0.5, 1, value.shape).astype(dtype)
            for name, value in parameters.items()
        }

        def draw(parameters, noise):
            return member.from_noise(noise, parameters)

        draws, tangents = jax.jit(functools.partial(jax.jvp, draw))(
            (parameters, noise), (directions, jnp.zeros_like(noise))
        )
        draws, tangents, noise = jax.device_get((draws, tangents, noise))
    assert draws.dtype == dtype
    wide = {name: value.astype(np.float64) for name, value in parameters.items()}
    noise = np.asarray(noise, np.float64)
    step = 1e-100j
    moved = {
        name: value + step * directions[name].astype(np.float64)
        for name, value in wide.items()
    }
    along = member.soft(noise, **moved)
    eps = np.finfo(dtype).eps
    expected = along.real if member.hard is None else member.hard(noise, **wide)
    if member.hard is None:
        assert np.max(np.abs(draws - expected) / (1 + np.abs(expected))) < 8 * eps
    else:
        np.testing.assert_array_equal(draws, expected)
    slopes = np.broadcast_to(along.imag / step.imag, SHAPE)
    size = np.max(np.abs(slopes), -1, keepdims=True)
    assert np.all(np.abs(tangents - slopes) <= 32 * eps * size)


def forward(function):
    return lambda step: jax.jvp(function, (step,), (jnp.ones_like(step),))[1]


@every(lambda member: with_twin(member) and soft(member), programs=True)
def test_every_mode_is_right_to_third_order(member):
    """Along a line; by Cauchy's formula on a circle around the point."""
    with jax.enable_x64(True):
        parameters = member.given(np.float64)
        noise = np.asarray(member.draw_noise(key(), jnp.float64))

        def moved(step):
            return {
                name: value * (1 + 0.3 * step) for name, value in parameters.items()
            }

        def along(step):
            return jnp.sum(WEIGHTS * jnp.sin(member.from_noise(noise, moved(step))))

        @jax.jit
        def derivatives(step):
            first = [forward(along), jax.grad(along)]
            second = [derive(f) for derive in (forward, jax.grad) for f in first]
            third = [forward(second[-1]), jax.grad(second[0])]
            return [[f(step) for f in order] for order in (first, second, third)]

        actual = jax.device_get(derivatives(0.0))
    points, radius = 16, 0.02
    circle = radius * np.exp(2j * np.pi * np.arange(points) / points)
    values = [np.sum(WEIGHTS * np.sin(member.soft(noise, **moved(x)))) for x in circle]
    coefficients = np.fft.fft(values).real / points
    for order, slopes in enumerate(actual, 1):
        truth = math.factorial(order) * coefficients[order] / radius**order
        np.testing.assert_allclose(slopes, truth, rtol=1e-7)


@every(lambda member: not soft(member) and with_twin(member), programs=True)
@pytest.mark.slow
def test_hard_draws_have_all_derivatives_of_soft_ones(member):
    """A cost linear in the draw: its derivatives are the draw's."""
    noise, parameters = member.draw_noise(key()), member.given()

    def total(parameters, draw):
        return jnp.sum(WEIGHTS * draw(parameters))

    def soft(parameters):
        if member.name == "gumbel_softmax":
            return rj.gumbel_softmax_from_noise(noise, **parameters)
        if member.name == "relaxed_bernoulli":
            return rj.relaxed_bernoulli_from_noise(noise, **parameters)
        if member.event_ndim:
            return jax.nn.softmax(parameters["logits"])
        return jax.nn.sigmoid(parameters["logits"])

    def hard(parameters):
        return member.from_noise(noise, parameters)

    for derivative in (jax.grad, jax.hessian):
        actual, expected = (
            derivative(total)(parameters, draw) for draw in (hard, soft)
        )
        chex.assert_trees_all_close(actual, expected, rtol=2e-5, atol=1e-6)


@every_program
def test_reverse_mode_is_the_transpose_of_forward_mode(member):
    parameters = member.given()
    _, pullback = jitted(member)
    slopes = pullback(parameters, WEIGHTS, key())
    directions = {name: np.sin(5 * value) for name, value in parameters.items()}
    _, tangents = jax.jvp(lambda p: member.draw(key(), p), (parameters,), (directions,))
    total = sum(
        np.sum(np.asarray(slope, np.float64) * directions[name])
        for name, slope in slopes.items()
    )
    terms = WEIGHTS * np.asarray(tangents, np.float64)
    assert abs(total - np.sum(terms)) < 1e-5 * np.sum(np.abs(terms))
    chex.assert_trees_all_equal_shapes_and_dtypes(slopes, parameters)


# --- keys, shapes, programs ---


@every_twin
def test_a_draw_is_from_noise_of_that_noise(member):
    parameters = member.given()
    draws = member.from_noise(member.draw_noise(key()), parameters)
    actual = member.draw(key(), parameters)
    np.testing.assert_allclose(actual, draws, rtol=1e-6, atol=1e-7)


@every_member
def test_wrong_keys_are_named(member):
    parameters = member.given()
    name = f"`{member.name}`"
    with pytest.raises(TypeError, match=f"{name} takes .* got the integer 3"):
        member.draw(3, parameters)
    with pytest.raises(TypeError, match=f"{name} takes .* got None"):
        member.draw(None, parameters)
    with pytest.raises(ValueError, match=rf"{name} takes one key, got .* shape \(2,\)"):
        member.draw(jax.random.split(key(), 2), parameters)


@every_program
def test_a_second_use_of_a_key_raises(member):
    parameters = member.given()

    def twice(parameters, key):
        return jnp.sum(member.draw(key, parameters) * member.draw(key, parameters))

    for use in (twice, jax.jit(jax.grad(twice))):
        with pytest.raises(jax.errors.KeyReuseError):
            use(parameters, key())


@every_program
def test_typed_and_legacy_keys_draw_the_same_and_rbg_keys_draw(member):
    parameters = member.given()
    draws = np.asarray(member.draw(key(), parameters))
    legacy = jax.random.PRNGKey(71)
    np.testing.assert_array_equal(member.draw(legacy, parameters), draws)
    others = member.draw(jax.random.key(71, impl="rbg"), parameters)
    assert np.any(others != draws)


@every_program
def test_shape_is_that_of_the_whole_result_and_noise_is_not_shared(member):
    row = {name: x[-1] if x.ndim else x for name, x in member.given().items()}
    draws = np.asarray(member.draw(key(), row, shape=(5, *SHAPE)))
    wide = {
        name: np.broadcast_to(x, (5, SHAPE[0], *x.shape)) if x.ndim else x
        for name, x in row.items()
    }
    np.testing.assert_allclose(draws, member.draw(key(), wide), rtol=1e-6, atol=1e-7)
    assert len(np.unique(np.round(draws, 6))) > 1
    if member.hard is None and member.name != "hard_concrete":
        assert len(np.unique(draws)) > 0.95 * draws.size
    empty = jax.eval_shape(lambda p: member.draw(key(), p, shape=(0, 2, 3)), row)
    assert empty.shape == (0, 2, 3)
    with pytest.raises(ValueError, match=f"`{member.name}` cannot broadcast `logits`"):
        member.draw(key(), member.given(), shape=(5, 3))


@every_program
def test_eager_equals_jit_bit_for_bit(member):
    parameters = member.given()
    draw, pullback = jitted(member)
    chex.assert_trees_all_equal(member.draw(key(), parameters), draw(parameters, key()))
    eager = jax.grad(lambda p: jnp.sum(WEIGHTS * member.draw(key(), p)))(parameters)
    compiled = pullback(parameters, WEIGHTS, key())
    chex.assert_trees_all_close(eager, compiled, rtol=2e-6, atol=1e-7)


@every_program
def test_vmap_and_scan_over_keys_draw_the_same(member):
    parameters = member.given()
    draw, pullback = jitted(member)
    keys = jax.random.split(key(), 3)
    expected = np.stack([draw(parameters, each) for each in keys])
    slopes = [pullback(parameters, WEIGHTS, each) for each in keys]

    @jax.jit
    def mapped_and_scanned(parameters, keys, others):
        def total(parameters):
            def body(total, key):
                draws = member.draw(key, parameters)
                return total + jnp.sum(WEIGHTS * draws), draws

            return jax.lax.scan(body, jnp.float32(0), keys)

        mapped = jax.vmap(member.draw, (0, None))(others, parameters)
        return mapped, jax.grad(total, has_aux=True)(parameters)

    mapped, (slope, scanned) = mapped_and_scanned(parameters, keys, jnp.copy(keys))
    for draws in (mapped, scanned):
        np.testing.assert_allclose(draws, expected, rtol=1e-6, atol=1e-6)
    summed = jax.tree.map(lambda *each: sum(each), *slopes)
    chex.assert_trees_all_close(slope, summed, rtol=1e-5, atol=1e-6)


@every_program
def test_short_dtypes_are_rounded_once_from_float32(member):
    short = {name: x.astype(jnp.bfloat16) for name, x in member.given().items()}
    wide = {name: x.astype(np.float32) for name, x in short.items()}
    draws = member.draw(key(), short)
    assert draws.dtype == jnp.bfloat16
    expected = member.draw(key(), wide)
    np.testing.assert_array_equal(draws, expected.astype(jnp.bfloat16))
    half = member.draw(key(), wide, dtype=jnp.float16)
    np.testing.assert_array_equal(half, expected.astype(jnp.float16))


@every_program
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_eight_devices_draw_what_one_draws_without_a_collective(member, kind):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
    parameters = member.given()
    draw, pullback = jitted(member)
    expected = draw(parameters, key()), pullback(parameters, WEIGHTS, key())

    def place(array):
        spec = PartitionSpec(*("data", None)[: array.ndim])
        return jax.device_put(array, NamedSharding(mesh, spec))

    def draw_and_slopes(parameters, weights, keys):
        return draw(parameters, keys[0]), pullback(parameters, weights, keys[1])

    keys = key(), key()
    with jax.set_mesh(mesh):
        placed = jax.tree.map(place, (parameters, WEIGHTS))
        program = jax.jit(draw_and_slopes).lower(*placed, keys).compile()
        draws, slopes = program(*placed, keys)
    assert draws.sharding.is_equivalent_to(place(WEIGHTS).sharding, 2)
    scalars = any(value.ndim == 0 for value in parameters.values())
    assert scalars or hlo.collectives(program.as_text(), ()) == []
    chex.assert_trees_all_close((draws, slopes), expected, rtol=2e-6, atol=1e-6)


# --- bad values ---


def bad_cases(*, programs):
    cases = [
        case(member, *bad, title=f"{member.title}-{bad[0]}={bad[1]}", programs=programs)
        for member in TABLE
        for bad in member.bad
    ]
    return pytest.mark.parametrize(("member", "name", "value"), cases)


def with_bad_value(member, name, value):
    good = member.given()
    bad = {each: array.copy() for each, array in good.items()}
    bad[name][BAD_INDEX if name == "logits" else BAD_ROW] = value
    return good, bad


@bad_cases(programs=True)
def test_a_bad_value_raises(member, name, value):
    _, bad = with_bad_value(member, name, value)
    sentence = f"needs `{name}` to be .* but 1 of its .* at index \\(2, [01]\\)"
    with pytest.raises(ValueError, match=f"`{member.name}` {sentence}"):
        member.draw(key(), bad)
    if with_twin(member):
        with pytest.raises(ValueError, match=f"`{member.name}_from_noise` {sentence}"):
            member.from_noise(member.draw_noise(key()), bad)


@bad_cases(programs=True)
def test_a_bad_value_is_nan_exactly_there(member, name, value):
    good, bad = with_bad_value(member, name, value)
    draw, pullback = jitted(member)
    is_bad = np.zeros(SHAPE, bool)
    is_bad[BAD_ROW if member.event_ndim or name == "temperature" else BAD_INDEX] = True
    weights = np.where(is_bad, np.float32(0), WEIGHTS)
    draws, expected = np.asarray(draw(bad, key())), np.asarray(draw(good, key()))
    np.testing.assert_array_equal(np.isnan(draws), is_bad)
    np.testing.assert_array_equal(draws[~is_bad], expected[~is_bad])
    slopes, expected = jax.device_get(
        [pullback(parameters, weights, key()) for parameters in (bad, good)]
    )
    for each, slope in slopes.items():
        touched = is_bad if each == "logits" else is_bad.any(-1, keepdims=True)
        touched = touched if slope.ndim else np.array(True)
        np.testing.assert_array_equal(np.isnan(slope), touched, err_msg=each)
        np.testing.assert_allclose(
            slope[~touched], expected[each][~touched], rtol=1e-6, err_msg=each
        )


@every_program
def test_checkify_reports_a_bad_value_under_jit(member):
    name, value = member.bad[-1]
    good, bad = with_bad_value(member, name, value)

    def loss(parameters):
        return jnp.sum(member.draw(key(), parameters))

    checked = jax.jit(checkify.checkify(jax.value_and_grad(loss)))
    assert checked(good)[0].get() is None
    assert f"`{member.name}` needs `{name}` to be" in checked(bad)[0].get()


@every(lambda member: member.event_ndim)
def test_classes_are_the_last_axis(member):
    point = {name: np.float32(1) for name in member.parameters}
    with pytest.raises(ValueError, match=f"`{member.name}` needs a last axis"):
        member.draw(key(), point)
    absent = {"logits": np.full(3, -np.inf, np.float32)}
    with pytest.raises(ValueError, match=r"needs `max\(logits\)` to be finite"):
        member.draw(key(), point | absent)
    if "temperature" in point:
        by_class = {"logits": np.zeros(3), "temperature": np.ones(3)}
        with pytest.raises(ValueError, match=r"pass `temperature\[\.\.\., None\]`"):
            member.draw(key(), by_class)


@every(lambda member: member.event_ndim, programs=True)
def test_an_absent_class_is_left_out(member):
    parameters = member.given()
    parameters["logits"][:, 1] = -np.inf
    draws = np.asarray(member.draw(key(), parameters))
    expected = -np.inf if member.name == "log_gumbel_softmax" else 0
    np.testing.assert_array_equal(draws[:, 1], expected)
    present = np.delete(draws, 1, -1)
    sums = np.exp(present) if member.name == "log_gumbel_softmax" else present
    np.testing.assert_allclose(sums.sum(-1), 1, rtol=1e-6)
    weights = WEIGHTS.copy()
    weights[:, 1] = 0
    draws = jnp.where(weights == 0, 0, draws)
    slopes = jax.grad(
        lambda p: jnp.sum(jnp.where(weights == 0, 0, weights * member.draw(key(), p)))
    )(parameters)
    np.testing.assert_array_equal(slopes["logits"][:, 1], 0)
    assert np.all(np.isfinite(slopes["logits"]))
    assert np.all(slopes["logits"][:, [0, 2]] != 0)


def test_every_relaxation_has_a_row():
    functions = {
        name
        for name, value in vars(rj.relaxations).items()
        if inspect.isfunction(value) and not name.endswith("_prob")
    }
    twins = {f"{member.name}_from_noise" for member in TABLE}
    listed = {member.name for member in TABLE} | twins
    assert functions == listed | {"saturated_fraction"}
