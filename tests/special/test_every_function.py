"""What holds for every special function, row by row of the table."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import reparam_jax as rj
from tests import hlo
from tests.special.table import TABLE

# Two programs of each are compiled, into which the time goes: the others are slow.
THOROUGH = [pytest.mark.slow, pytest.mark.thorough]
LEADERS = {"gamma_pathwise_grad", "von_mises_pathwise_grad", "betainc", "erfcx"}
every_function = pytest.mark.parametrize(
    "function",
    [
        pytest.param(
            function,
            id=function.name,
            marks=[] if function.name in LEADERS else THOROUGH,
        )
        for function in TABLE
    ],
)
SHAPE = (8, 16)


def spread(function):
    """The row's arguments, a little apart from element to element."""
    factor = np.linspace(1, 1.1, 128, dtype=np.float32).reshape(SHAPE)
    return {name: value * factor for name, value in function.arguments.items()}


def value_and_slopes(function):
    def total(arguments):
        values = function(arguments)
        return jnp.sum(values), values

    return jax.grad(total, has_aux=True)


def test_every_special_function_has_a_row():
    public = {name for name, f in vars(rj.special).items() if inspect.isfunction(f)}
    assert public == {function.name for function in TABLE}
    assert public > LEADERS


@pytest.mark.slow  # two programs of every function
@every_function
def test_eight_devices_with_explicit_axes_compute_what_one_does(function):
    arguments = spread(function)
    slopes, values = jax.jit(value_and_slopes(function))(arguments)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        rows = NamedSharding(mesh, PartitionSpec("data", None))
        placed = jax.device_put(arguments, rows)
        program = jax.jit(value_and_slopes(function)).lower(placed).compile()
        their_slopes, their_values = program(placed)
    # JAX's own loops for these values ask whether all elements have converged.
    loops = function.name in ("betainc", "gammainc", "gammaincc")
    besides = ("pred[]",) if loops else ()
    assert hlo.collectives(program.as_text(), besides) == []
    np.testing.assert_allclose(their_values, values, rtol=1e-5)
    for name, slope in their_slopes.items():
        assert slope.sharding.is_equivalent_to(rows, 2)
        np.testing.assert_allclose(slope, slopes[name], rtol=1e-4, atol=1e-6)


@every_function
def test_outside_the_domain_value_and_slopes_are_nan_exactly_there(function):
    arguments = spread(function)
    slopes_of = jax.jit(value_and_slopes(function))
    slopes, values = slopes_of(arguments)
    assert np.all(np.isfinite(values))
    for name, value in function.outside.items():
        bad = {key: array.copy() for key, array in arguments.items()}
        bad[name][2, 5] = value
        there = np.zeros(SHAPE, bool)
        there[2, 5] = True
        bad_slopes, bad_values = slopes_of(bad)
        np.testing.assert_array_equal(np.isnan(bad_values).all(-1), there)
        np.testing.assert_array_equal(bad_values[~there], values[~there])
        for key, slope in bad_slopes.items():
            np.testing.assert_array_equal(np.isnan(slope), there, err_msg=(name, key))
            np.testing.assert_array_equal(slope[~there], slopes[key][~there])


@pytest.mark.slow
@every_function
def test_arguments_broadcast_and_promote(function):
    first, *others = function.arguments
    arguments = dict(function.arguments)
    arguments[first] = jnp.full((3, 1), arguments[first], jnp.bfloat16)
    for name in others:
        arguments[name] = jnp.asarray(arguments[name], jnp.bfloat16)
    values = function(arguments)
    assert values.dtype == jnp.bfloat16
    assert values.shape[:2] == (3, 1)
    wide = function({name: x.astype(jnp.float32) for name, x in arguments.items()})
    np.testing.assert_array_equal(values, wide.astype(jnp.bfloat16))
    with jax.enable_x64(True):
        assert function({n: np.float64(x) for n, x in arguments.items()}).dtype == (
            jnp.float64
        )
    with pytest.raises(TypeError, match=rf"`special\.{function.name}` needs"):
        function(function.arguments | {first: "1"})
