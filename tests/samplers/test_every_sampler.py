"""What holds for every sampler, row by row of the table."""

import functools
import inspect
import math
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.experimental import checkify

import reparam_jax as rj
from tests import hlo
from tests.samplers.table import LEADERS, TABLE
from tests.ulps import ulps


def case(row, *values, title=None, marks=()):
    """One test of a row."""
    return pytest.param(row, *values, id=title or row.title, marks=marks)


def rows(holds=lambda row: True):
    return [row for row in TABLE if holds(row)]


def with_noise(row):
    return row.noise is not None


def implicit(row):
    return row.noise is None


def moved_along_its_law(row):
    return row.noise is None and row.oracle.moved is not None


def every(holds=lambda row: True, *, programs=False, slow=False):
    """Parametrises by row; leading rows run by default.

    Tests of programs are thorough for the others, and slow where one says so.
    """
    marks = [pytest.mark.slow] * slow + THOROUGH * programs
    return pytest.mark.parametrize(
        "row",
        [case(row, marks=marks_for(row, marks)) for row in rows(holds)],
    )


THOROUGH = [pytest.mark.slow, pytest.mark.thorough]


def marks_for(row, marks):
    return [] if row.title in LEADERS else marks


every_row = every()
every_program = every(programs=True)
every_parameter_with_noise = pytest.mark.parametrize(
    ("row", "name"),
    [
        case(
            row,
            name,
            title=f"{row.title}-{name}",
            marks=marks_for(row, THOROUGH),
        )
        for row in rows(with_noise)
        for name in row.domains
    ],
)
# One shape for all, so that little is compiled.
BATCH = (8, 48)
BAD_INDEX = (2, 5)


def key(number=0):
    return jax.random.key(53 + number)


def split(count):
    return jax.random.split(key(), count)


def scale_of(row, parameters, draws):
    """Where the rounding of a draw is measured: its own size and its parameters'."""
    size = np.abs(np.asarray(draws, np.float64))
    for name in ("loc", "mean", "low", "high"):
        if name in parameters:
            size = size + np.abs(parameters[name])
    if row.noise is None:  # sums of logarithms, and exponentials of those
        size = size * (1 + np.abs(np.log(np.maximum(size, 1e-30)))) + (
            row.name.startswith("log_")
        )
    if row.oracle.event_shape:  # sums of products
        size = size + 8 * np.max(size)
    return size


def most_ulps(row):
    """How far draws may differ from program to program, in units of ``scale_of``.

    The oldest JAX drops the barrier behind the parts of an implicit draw.
    """
    return 4 if row.noise is None and jax.__version_info__ < (0, 12) else 1


@functools.cache
def jitted(row):
    """A draw, its tangents for each parameter, and the pullback of weights."""

    def draw(parameters, key):
        return row.draw(key, parameters)

    def tangents(parameters, directions, key):
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        _, push = jax.linearize(lambda p: draw(p, key), parameters)
        return {name: push(zeros | {name: directions[name]}) for name in parameters}

    def pullback(parameters, weights, key):
        return jax.grad(lambda p: jnp.sum(weights * draw(p, key)))(parameters)

    return jax.jit(draw), jax.jit(tangents), jax.jit(pullback)


def weights_of(row):
    """Of a cost: not all the same, since the parts of some draws sum to 1."""
    size = (*BATCH, *row.oracle.event_shape)
    return np.random.default_rng(4).uniform(0.5, 1.5, size).astype(np.float32)


def directions_of(row, parameters):
    """Ones; for matrices, symmetric ones that keep them in their domain."""
    rng = np.random.default_rng(3)
    directions = {}
    for name, value in parameters.items():
        direction = np.ones_like(value)
        if np.ndim(row.grid[0][name]) == 2:
            direction = rng.normal(size=value.shape).astype(value.dtype)
            if row.domains[name] == "positive definite":
                direction = direction + np.swapaxes(direction, -1, -2)
            elif row.domains[name] == "lower triangular":
                direction = np.tril(direction)
        directions[name] = direction
    return directions


# --- the law ---


@every(slow=True)
def test_draws_follow_the_law(row, alpha):
    assert_law(row, np.float32, alpha)


@every(implicit, programs=True)
def test_float64_draws_follow_the_law(row, alpha):
    with jax.enable_x64(True):
        assert_law(row, np.float64, alpha)


def assert_law(row, dtype, alpha):
    """The whole law, and how many draws lie beyond its thousandths at either end."""
    count = 4000
    draw = jax.jit(
        lambda p, key: row.draw(key, p, shape=(count, *row.oracle.event_shape))
    )
    level = alpha / len(row.grid) / math.prod(row.oracle.event_shape) / 3
    for number, point in enumerate(row.grid):
        point = {name: np.asarray(value, dtype) for name, value in point.items()}
        draws = draw(point, key(number))
        assert draws.dtype == dtype
        uniforms = row.oracle.uniforms(np.asarray(draws, np.float64), point)
        for column in np.reshape(uniforms, (count, -1)).T:
            assert scipy.stats.kstest(column, "uniform").pvalue > level
            for tail in (column, 1 - column):
                beyond = int(np.sum(tail < 1e-3))
                assert scipy.stats.binomtest(beyond, count, 1e-3).pvalue > level


@every_program
def test_short_dtypes_are_rounded_once_from_float32(row):
    parameters = {name: x.astype(jnp.bfloat16) for name, x in row.spread(BATCH).items()}
    draws = row.draw(key(), parameters)
    assert draws.dtype == jnp.bfloat16
    wide = {name: value.astype(np.float32) for name, value in parameters.items()}
    expected = row.draw(key(), wide)
    np.testing.assert_array_equal(draws, expected.astype(jnp.bfloat16))
    assert len(np.unique(np.asarray(draws, np.float32))) > 100
    half = row.draw(key(), wide, dtype=jnp.float16)
    np.testing.assert_array_equal(half, expected.astype(jnp.float16))


# --- gradients ---


def kept(uniforms):
    """Draws away from the ends and the middle, where a law may have a kink."""
    return (abs(uniforms - 0.5) > 0.005) & (abs(uniforms - 0.5) < 0.495)


@every_program
def test_float64_gradients_are_the_implicit_ones(row):
    with jax.enable_x64(True):
        parameters = row.spread(BATCH, np.float64)
        directions = directions_of(row, parameters)
        draw, tangents, _ = jitted(row)
        draws = np.asarray(draw(parameters, key()))
        slopes = jax.device_get(tangents(parameters, directions, key()))
        noise_shape = (*BATCH, *row.oracle.noise_shape)
        noise = np.asarray(rj.noise.normal(key(), noise_shape, jnp.float64))
    assert draws.dtype == np.float64
    assert np.any(draws.astype(np.float32).astype(np.float64) != draws)
    keep = kept(row.oracle.uniforms(draws, parameters))
    assert np.mean(keep) > 0.95
    for name, direction in directions.items():
        exact = row.oracle.tangent(draws, noise, parameters, name, direction)
        error = np.abs(slopes[name] - exact) / np.maximum(
            np.abs(exact), 1e-6 * np.max(exact)
        )
        assert np.max(error[keep]) < 1e-6, name


@every(with_noise, slow=True)
def test_float32_gradients_are_those_of_float64(row):
    parameters = row.spread(BATCH)
    directions = directions_of(row, parameters)
    noise = getattr(rj.noise, row.noise)(key(), (*BATCH, *row.oracle.noise_shape))

    @jax.jit
    def tangents(parameters, directions, noise):
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        _, push = jax.linearize(lambda p: row.from_noise(noise, p), parameters)
        return [push(zeros | {name: directions[name]}) for name in parameters]

    actual = tangents(parameters, directions, noise)
    with jax.enable_x64(True):
        wide = jax.tree.map(
            lambda x: np.asarray(x, np.float64), (parameters, directions, noise)
        )
        exact = jax.device_get(tangents(*wide))
    for mine, truth, name in zip(actual, exact, parameters, strict=True):
        scale = truth if not row.oracle.event_shape else np.max(np.abs(truth))
        assert ulps(mine, truth, scale) <= row.ulps, (name, ulps(mine, truth, scale))


@every(implicit, slow=True)
def test_float32_gradients_are_the_implicit_ones(row):
    parameters = row.spread(BATCH)
    directions = directions_of(row, parameters)
    draw, tangents, _ = jitted(row)
    draws = np.asarray(draw(parameters, key()), np.float64)
    slopes = jax.device_get(tangents(parameters, directions, key()))
    parameters = jax.tree.map(np.float64, parameters)
    keep = kept(row.oracle.uniforms(draws, parameters))
    for name, direction in directions.items():
        exact = row.oracle.tangent(draws, None, parameters, name, direction)
        size = np.maximum(np.abs(exact), 1e-3 * np.max(np.abs(exact)))
        error = np.abs(slopes[name] - exact) / (size * np.finfo(np.float32).eps)
        assert np.max(error[keep]) <= row.ulps, name


def forward(function):
    return lambda step: jax.jvp(function, (step,), (jnp.ones_like(step),))[1]


DERIVATIVES = {"forward": forward, "reverse": jax.grad}
STEP = 1e-3


@every_parameter_with_noise
def test_promised_modes_and_orders_agree_and_others_raise(row, name):
    promise = row.gradient(name)
    with jax.enable_x64(True):
        parameters = row.spread((4,), np.float64)
        weights = np.random.default_rng(2).normal(size=(4, *row.oracle.event_shape))
        value = parameters[name]
        direction = directions_of(row, parameters)[name] * np.where(value, value, 1)
        if np.ndim(row.grid[0][name]) == 2:
            direction = value * np.array([0.3, 0.5, 0.7, 0.9])[:, None, None]

        size = np.abs(row.draw(key(), parameters))

        def along(step):
            """A cost along a line through the parameter: its slopes are numbers."""
            draws = row.draw(key(), parameters | {name: value + step * direction})
            return jnp.sum(weights * jnp.log1p(jnp.square(draws / size)))

        tests, functions = [], [along]
        for order in (1, 2, 3):
            lower = functions[-1]
            kept = set(promise.modes) if order <= promise.order else set()
            for mode in DERIVATIVES.keys() - kept:
                with pytest.raises(Exception, match="differentiation"):
                    DERIVATIVES[mode](lower)(0.0)
            if not kept:
                break
            higher = [DERIVATIVES[mode](lower) for mode in promise.modes]
            tests.append((lower, higher))
            functions.append(higher[order % len(higher)])

        @jax.jit
        def slopes_and_neighbours(steps):
            return [
                ([function(0.0) for function in higher], jax.vmap(lower)(steps))
                for lower, higher in tests
            ]

        steps = STEP * np.array([1, -1, 2, -2])
        for order, (slopes, neighbours) in enumerate(slopes_and_neighbours(steps), 1):
            near, back, far, far_back = np.asarray(neighbours)
            truth = (8 * (near - back) - (far - far_back)) / (12 * STEP)
            for slope in slopes:
                error = abs(float(slope) - truth) / max(abs(truth), 0.1)
                assert error < 1e-6, (order, float(slope), truth)


@every(moved_along_its_law, programs=True)
def test_implicit_derivatives_of_two_orders_follow_the_law_in_every_mode(row):
    """Against draws moved along the law, for all parameters at once."""
    with jax.enable_x64(True):
        parameters = row.spread((4,), np.float64)
        rng = np.random.default_rng(2)
        weights = rng.normal(size=4)
        directions = {
            name: rng.uniform(0.5, 1, 4) * np.where(value, value, 1)
            for name, value in parameters.items()
        }
        draws = np.asarray(row.draw(key(), parameters))
        size = np.abs(draws)

        def moved(step):
            return {n: parameters[n] + step * directions[n] for n in parameters}

        def along(step):
            draws = row.draw(key(), moved(step))
            return jnp.sum(weights * jnp.log1p(jnp.square(draws / size)))

        first = {mode: derive(along) for mode, derive in DERIVATIVES.items()}
        second = {
            f"{mode} over reverse": derive(first["reverse"])
            for mode, derive in DERIVATIVES.items()
        }

        @jax.jit
        def slopes(step):
            return [{name: f(step) for name, f in fs.items()} for fs in (first, second)]

        actual = jax.device_get(slopes(0.0))

    def truth(step):
        draws_there = row.oracle.moved(draws, parameters, moved(step))
        return np.sum(weights * np.log1p(np.square(draws_there / size)))

    near, back, far, far_back = map(truth, STEP * np.array([1, -1, 2, -2]))
    first_truth = (8 * (near - back) - (far - far_back)) / (12 * STEP)
    twice = 16 * (near + back) - (far + far_back) - 30 * truth(0.0)
    second_truth = twice / (12 * STEP**2)
    for slope in actual[0].values():
        assert abs(slope - first_truth) < 1e-7 * max(abs(first_truth), 0.1)
    for mode, slope in actual[1].items():
        size = max(abs(second_truth), first_truth**2, 0.1)
        assert abs(slope - second_truth) < 1e-5 * size, mode


@every_program
def test_reverse_mode_is_the_transpose_of_forward_mode(row):
    parameters = row.spread(BATCH)
    directions = directions_of(row, parameters)
    _, tangents, pullback = jitted(row)
    weights = np.random.default_rng(4).normal(size=(*BATCH, *row.oracle.event_shape))
    weights = weights.astype(np.float32)
    slopes = pullback(parameters, weights, key())
    for name, tangent in tangents(parameters, directions, key()).items():
        terms = (weights * np.asarray(tangent, np.float64)).reshape(
            math.prod(BATCH), -1
        )
        mine = (np.asarray(slopes[name], np.float64) * directions[name]).reshape(
            math.prod(BATCH), -1
        )
        np.testing.assert_allclose(
            mine.sum(1), terms.sum(1), rtol=2e-6, atol=4e-6 * np.abs(terms).max()
        )
        chex.assert_trees_all_equal_shapes_and_dtypes(slopes[name], parameters[name])


# --- keys, shapes, programs ---


@every_row
def test_wrong_keys_are_named(row):
    point = row.grid[0]
    name = f"`{row.name}`"
    with pytest.raises(TypeError, match=f"{name} takes .* got the integer 3"):
        row.draw(3, point)
    with pytest.raises(TypeError, match=f"{name} takes .* got None"):
        row.draw(None, point)
    with pytest.raises(ValueError, match=rf"{name} takes one key, got .* shape \(2,\)"):
        row.draw(split(2), point)


@every_program
def test_a_second_use_of_a_key_raises(row):
    parameters = row.spread(BATCH)

    def twice(parameters, key):
        return jnp.sum(row.draw(key, parameters) * row.draw(key, parameters))

    for use in (twice, jax.jit(twice), jax.jit(jax.grad(twice))):
        with pytest.raises(jax.errors.KeyReuseError):
            use(parameters, key())


@every_program
def test_typed_and_legacy_keys_draw_the_same_and_rbg_keys_draw(row):
    parameters = row.spread(BATCH)
    draws = np.asarray(row.draw(key(), parameters))
    np.testing.assert_array_equal(row.draw(jax.random.PRNGKey(53), parameters), draws)
    others = np.asarray(row.draw(jax.random.key(53, impl="rbg"), parameters))
    assert np.all(others != draws)
    assert np.all(np.isfinite(others))


@every_program
def test_shape_is_that_of_the_whole_result_and_noise_is_not_shared(row):
    point = {name: np.asarray(value, np.float32) for name, value in row.grid[1].items()}
    event = row.oracle.event_shape
    assert row.draw(key(), point).shape == event
    draws = np.asarray(row.draw(key(), point, shape=(*BATCH, *event)))
    assert draws.shape == (*BATCH, *event)
    assert len(np.unique(draws)) == draws.size
    wide = jax.tree.map(lambda x: np.broadcast_to(x, (*BATCH, *x.shape)), point)
    expected = np.asarray(row.draw(key(), wide))
    assert ulps(draws, expected, scale_of(row, wide, expected)) <= most_ulps(row)
    empty = jax.eval_shape(lambda p: row.draw(key(), p, shape=(0, 3, *event)), point)
    assert empty.shape == (0, 3, *event)
    parameter = next(iter(row.domains))
    wrong = point | {parameter: np.broadcast_to(point[parameter], (4, *event))}
    sentence = f"`{row.name}` cannot broadcast `{parameter}`"
    with pytest.raises(ValueError, match=sentence):
        row.draw(key(), wrong, shape=(5, *event))


@every(with_noise, slow=True)
def test_a_draw_is_from_noise_of_that_noise(row):
    parameters = row.spread(BATCH)
    noise = getattr(rj.noise, row.noise)(key(), (*BATCH, *row.oracle.noise_shape))
    draws = np.asarray(row.from_noise(noise, parameters))
    actual = row.draw(key(), parameters)
    assert ulps(actual, draws, scale_of(row, parameters, draws)) <= 1


@every_program
def test_eager_equals_jit_bit_for_bit(row):
    parameters = row.spread(BATCH)
    weights = weights_of(row)
    draw, _, pullback = jitted(row)

    def loss(parameters):
        return jnp.sum(weights * row.draw(key(), parameters))

    chex.assert_trees_all_equal(row.draw(key(), parameters), draw(parameters, key()))
    eager, compiled = jax.grad(loss)(parameters), pullback(parameters, weights, key())
    if row.noise is None and row.oracle.event_shape:  # sums over components cancel
        for name, slope in eager.items():
            off = np.abs(slope - compiled[name])
            assert np.max(off) <= 2**-22 * np.max(np.abs(compiled[name])), name
    else:
        chex.assert_trees_all_equal(eager, compiled)


@every_program
def test_vmap_and_scan_over_keys_draw_the_same(row):
    parameters = row.spread(BATCH)
    draw, _, pullback = jitted(row)
    weights = weights_of(row)
    expected = np.stack([draw(parameters, each) for each in split(3)])
    scale = scale_of(row, parameters, expected)
    mapped = jax.jit(jax.vmap(row.draw, (0, None)))(split(3), parameters)
    assert ulps(mapped, expected, scale) <= most_ulps(row)

    @jax.jit
    def scanned(parameters, keys):
        def total(parameters):
            def body(total, key):
                draws = row.draw(key, parameters)
                return total + jnp.sum(weights * draws), draws

            return jax.lax.scan(body, jnp.float32(0), keys)

        return jax.grad(total, has_aux=True)(parameters)

    slopes, draws = scanned(parameters, split(3))
    assert ulps(draws, expected, scale) <= most_ulps(row)
    each = [pullback(parameters, weights, one) for one in split(3)]
    for name, slope in slopes.items():
        terms = np.stack([np.asarray(one[name], np.float64) for one in each])
        np.testing.assert_allclose(
            slope, terms.sum(0), rtol=2e-6, atol=2e-6 * np.abs(terms).max()
        )


@every(implicit, programs=True)
def test_a_gradient_runs_the_cipher_as_often_as_the_draw(row):
    parameters = row.spread((16, 1024))

    def loss(parameters, key):
        return jnp.sum(jnp.sin(row.draw(key, parameters)))

    gradient, draw = (
        hlo.copies_of_cipher(hlo.compiled(program, parameters, key()))
        for program in (jax.value_and_grad(loss), loss)
    )
    assert gradient == draw >= 1


@every(with_noise, programs=True)
def test_a_gradient_runs_the_cipher_once(row):
    parameters = row.spread((16, 1024))

    def loss(parameters, key):
        return jnp.sum(jnp.sin(row.draw(key, parameters)))

    gradient = jax.value_and_grad(loss)
    text = hlo.compiled(gradient, parameters, key())
    most = 1 if jax.__version_info__ >= (0, 12) else 6
    assert 1 <= hlo.copies_of_cipher(text) <= most


# --- bad values ---


def bad_cases(*, programs=False):
    marks = THOROUGH if programs else [pytest.mark.slow]
    return pytest.mark.parametrize(
        ("row", "reported", "values"),
        [
            case(
                row,
                reported,
                values,
                title=f"{row.title}-{label(values)}",
                marks=marks_for(row, marks),
            )
            for row in TABLE
            for reported, values in row.bad
        ],
    )


def label(values):
    return ",".join(f"{name}={np.ravel(value)[0]}" for name, value in values.items())


def with_bad_point(row, values):
    """Good parameters, and the same with one bad point."""
    good = row.spread(BATCH)
    bad = {name: value.copy() for name, value in good.items()}
    for name, value in values.items():
        bad[name][BAD_INDEX] = value
    return good, bad


@bad_cases()
def test_a_bad_value_raises(row, reported, values):
    _, bad = with_bad_point(row, values)
    sentence = rf"`{row.name}` needs `{re.escape(reported)}` to be .* at index \(2, 5\b"
    with pytest.raises(ValueError, match=sentence):
        row.draw(key(), bad)
    if row.noise:
        noise = getattr(rj.noise, row.noise)(key(), (*BATCH, *row.oracle.noise_shape))
        twin = sentence.replace(row.name, f"{row.name}_from_noise", 1)
        with pytest.raises(ValueError, match=twin):
            row.from_noise(noise, bad)


@bad_cases(programs=True)
def test_a_bad_value_is_nan_exactly_there(row, reported, values):
    good, bad = with_bad_point(row, values)
    draw, tangents, pullback = jitted(row)
    is_bad = np.zeros(BATCH, bool)
    is_bad[BAD_INDEX] = True
    # The cost masks the bad point; its gradient must still be NaN.
    weights = np.ones((*BATCH, *row.oracle.event_shape), np.float32)
    weights[BAD_INDEX] = 0
    programs = (
        lambda p: {"draw": draw(p, key())},
        lambda p: tangents(p, jax.tree.map(np.ones_like, p), key()),
        lambda p: pullback(p, weights, key()),
    )
    elementwise_in_event = reported in ("mean", "diagonal")
    for program in programs:
        actual, expected = jax.device_get((program(bad), program(good)))
        for name in actual:
            found = np.isnan(actual[name].reshape(*BATCH, -1))
            touched = found.any(-1) if elementwise_in_event else found.all(-1)
            if name == "scale_tril":  # above the diagonal nothing is read
                touched = found.any(-1)
            np.testing.assert_array_equal(touched, is_bad, err_msg=name)
            np.testing.assert_array_equal(
                actual[name][~is_bad], expected[name][~is_bad]
            )


@every_program
def test_checkify_reports_a_bad_value_under_jit(row):
    reported, values = row.bad[0]
    good, bad = with_bad_point(row, values)

    def loss(parameters):
        return jnp.sum(row.draw(key(), parameters))

    checked = jax.jit(checkify.checkify(jax.value_and_grad(loss)))
    assert checked(good)[0].get() is None
    assert f"`{row.name}` needs `{reported}` to be" in checked(bad)[0].get()


def test_every_sampler_has_a_row():
    samplers = {
        name
        for name, value in vars(rj).items()
        if inspect.isfunction(value)
        and inspect.getmodule(value).__name__.startswith("reparam_jax.samplers.")
    }
    listed = {row.name for row in TABLE}
    twins = {f"{row.name}_from_noise" for row in TABLE if row.noise}
    assert samplers == listed | twins


def test_leaders_are_rows():
    assert {row.title for row in TABLE} > LEADERS


def test_every_row_states_every_parameter():
    for row in TABLE:
        assert row.gradients.keys() <= row.domains.keys()
        covered = {name for _, values in row.bad for name in values}
        assert covered >= row.domains.keys() - {"mean", "factor"}, row.title
