"""Every sampler on eight devices: the draws of one, and no communication."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import reparam_jax as rj
from tests import hlo
from tests.samplers.table import TABLE
from tests.samplers.test_every_sampler import (
    BATCH,
    every_program,
    jitted,
    most_ulps,
    scale_of,
    weights_of,
)
from tests.ulps import ulps

KINDS = {"auto": AxisType.Auto, "explicit": AxisType.Explicit}


def key():
    return jax.random.key(67)


def draw_and_slopes(row):
    def draw_and_slopes(parameters, key):
        def total(parameters):
            draws = row.draw(key, parameters)
            return jnp.sum(weights_of(row) * draws), draws

        return jax.grad(total, has_aux=True)(parameters)

    return draw_and_slopes


@functools.cache
def on_one_device(row):
    parameters = row.spread(BATCH)
    draw, _, pullback = jitted(row)
    slopes = pullback(parameters, weights_of(row), key())
    return jax.device_get(slopes), np.asarray(draw(parameters, key()))


@every_program
@pytest.mark.parametrize("kind", KINDS)
def test_eight_devices_draw_what_one_draws_without_a_collective(row, kind):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(KINDS[kind],))
    expected_slopes, expected = on_one_device(row)
    parameters = row.spread(BATCH)

    def over_rows(array):
        return NamedSharding(mesh, PartitionSpec("data", *(None,) * (array.ndim - 1)))

    with jax.set_mesh(mesh):
        placed = jax.tree.map(lambda x: jax.device_put(x, over_rows(x)), parameters)
        program = jax.jit(draw_and_slopes(row)).lower(placed, key()).compile()
        slopes, draws = program(placed, key())
    # Rejection asks once a round whether all are accepted.
    besides = () if row.noise else ("pred[]",)
    assert hlo.collectives(program.as_text(), besides) == []
    assert draws.sharding.is_equivalent_to(over_rows(draws), draws.ndim)
    scale = scale_of(row, parameters, expected)
    # The arctangent of a von Mises draw is rounded, and then doubled.
    most = 2 if row.name == "von_mises" else most_ulps(row)
    assert ulps(np.asarray(draws), expected, scale) <= most
    for name, slope in slopes.items():
        assert slope.sharding.is_equivalent_to(over_rows(slope), slope.ndim)
        # A draw off by its last place has slopes off as by rounding.
        most = max(1e-6, row.ulps * 2**-24)
        size = np.abs(expected_slopes[name])
        floor = 0.1 * np.max(size) * (row.noise is None)
        assert np.all(np.abs(slope - expected_slopes[name]) <= most * (size + floor))


@pytest.mark.parametrize("split", ["all", "one"])
@every_program
def test_eager_calls_keep_the_sharding_of_their_parameters(row, split):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        placed = row.spread((8,))
        for name in list(placed)[: None if split == "all" else 1]:
            rows = PartitionSpec("data", *(None,) * (placed[name].ndim - 1))
            placed[name] = jax.device_put(placed[name], NamedSharding(mesh, rows))
        found = [row.draw(key(), placed)]
        if row.noise:
            noise = getattr(rj.noise, row.noise)(key(), (8, *row.oracle.noise_shape))
            found += [row.from_noise(noise, placed)]
    for draws in found:
        assert draws.sharding.spec[0] == "data"


def test_rows_have_distinct_titles():
    titles = [row.title for row in TABLE]
    assert len(set(titles)) == len(titles)
