"""Coupled noise: each draw of the right law, pairs and strata as promised."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import reparam_jax as rj
from tests.noise.test_fold import LAWS
from tests.samplers.table import TABLE

antithetic, stratified = rj.noise.antithetic, rj.noise.stratified
SLOW = pytest.mark.slow  # a program each
both = pytest.mark.parametrize(
    "coupling", [antithetic, stratified], ids=lambda coupling: coupling.__name__
)
every_law = pytest.mark.parametrize(
    "noise",
    [
        pytest.param(
            noise,
            id=noise.__name__,
            marks=() if noise in (rj.noise.normal, rj.noise.exponential) else SLOW,
        )
        for noise in LAWS
    ],
)
SHOWN = ("laplace", "weibull", "kumaraswamy")
MONOTONE = [
    pytest.param(
        row,
        id=row.title,
        marks=() if row.name in SHOWN else SLOW,
    )
    for row in TABLE
    if row.noise and not row.oracle.event_shape
]


def key(number=0):
    return jax.random.key(71 + number)


@every_law
@both
def test_each_draw_alone_has_the_law(noise, coupling, alpha):
    # Of six coupled draws one, in many independent columns.
    draws = np.asarray(coupling(noise, key(), (6, 2**13)), np.float64)
    for draw in draws:
        assert scipy.stats.kstest(draw, LAWS[noise].cdf).pvalue > alpha / 6


@every_law
@pytest.mark.parametrize("shape", [(8,), (2, 3, 50)], ids=str)
def test_antithetic_uniforms_add_up_to_one(noise, shape):
    draws = np.asarray(antithetic(noise, key(), shape), np.float64)
    uniforms = LAWS[noise].cdf(draws)
    half = shape[0] // 2
    np.testing.assert_allclose(uniforms[:half] + uniforms[half:], 1, atol=2e-6)
    assert len(np.unique(draws)) == draws.size


@pytest.mark.parametrize(
    "noise", [rj.noise.normal, rj.noise.laplace, rj.noise.logistic, rj.noise.cauchy]
)
def test_antithetic_draws_of_a_symmetric_law_are_opposite_bit_for_bit(noise):
    draws = np.asarray(antithetic(noise, key(), (10, 40)))
    np.testing.assert_array_equal(draws[5:], -draws[:5])


@every_law
@pytest.mark.parametrize("count", [1, 5, 64])
def test_every_stratum_has_one_draw(noise, count):
    draws = np.asarray(stratified(noise, key(), (count, 200)), np.float64)
    strata = np.sort(LAWS[noise].cdf(draws) * count, axis=0)
    index = np.arange(count)[:, None]
    assert np.all(strata > index - 1e-4)
    assert np.all(strata < index + 1 + 1e-4)
    # Within its stratum a draw is uniform, and different in every column.
    assert len(np.unique(strata - index)) > 0.9 * strata.size


def test_strata_are_permuted_anew_in_every_column(alpha):
    draws = np.asarray(stratified(rj.noise.uniform, key(), (3, 6000)))
    orders = np.argsort(draws, axis=0).T @ [9, 3, 1]
    counts = np.unique(orders, return_counts=True)[1]
    assert len(counts) == 6
    assert scipy.stats.chisquare(counts).pvalue > alpha


def test_couplings_lower_the_variance_of_the_mean_of_a_monotone_cost():
    def means(draw):
        draws = jax.vmap(draw)(jax.random.split(key(), 4000))
        return np.asarray(jnp.mean(jnp.exp(draws), axis=1), np.float64)

    independent = means(lambda key: rj.noise.uniform(key, (8,)))
    in_pairs = means(lambda key: antithetic(rj.noise.uniform, key, (8,)))
    in_strata = means(lambda key: stratified(rj.noise.uniform, key, (8,)))
    # Var e^u = (e^2 - 1)/2 - (e - 1)^2; Cov(e^u, e^(1-u)) = e - (e - 1)^2; within a
    # stratum of width 1/8 at u the variance is about e^(2 u) / (12 * 64).
    variance = (np.e**2 - 1) / 2 - (np.e - 1) ** 2
    covariance = np.e - (np.e - 1) ** 2
    expected = {
        "independent": variance / 8,
        "in_pairs": (variance + covariance) / 8,
        "in_strata": (np.e**2 - 1) / 2 / (12 * 64) / 8,
    }
    actual = {"independent": independent, "in_pairs": in_pairs, "in_strata": in_strata}
    for name, values in actual.items():
        # A sample variance of 4000 has a relative deviation of about 2.2 %.
        np.testing.assert_allclose(values.var(), expected[name], rtol=0.12)
        error = values.std() / np.sqrt(len(values))
        assert abs(values.mean() - (np.e - 1)) < 5 * error


@pytest.mark.parametrize("row", MONOTONE)
def test_samplers_of_antithetic_noise_keep_law_and_gradient(row, alpha):
    point = {name: np.float32(value) for name, value in row.grid[1].items()}

    @jax.jit
    def draws_and_slopes(point, key):
        noise = antithetic(getattr(rj.noise, row.noise), key, (4000,))
        return row.from_noise(noise, point), jax.jacfwd(
            lambda p: row.from_noise(noise, p)
        )(point)

    draws, slopes = draws_and_slopes(point, key())
    uniforms = row.oracle.uniforms(np.asarray(draws, np.float64), point)
    assert scipy.stats.kstest(uniforms[:2000], "uniform").pvalue > alpha / 2
    assert scipy.stats.kstest(uniforms[2000:], "uniform").pvalue > alpha / 2
    first, second = uniforms.reshape(2, 2000)
    assert np.corrcoef(first, second)[0, 1] < -0.999
    assert all(np.all(np.isfinite(slope)) for slope in slopes.values())


@pytest.mark.slow
@both
@pytest.mark.parametrize("noise", [rj.noise.normal, rj.noise.exponential])
def test_coupled_noise_is_the_same_in_every_program(coupling, noise):
    draw = functools.partial(coupling, noise, shape=(6, 50))

    def keys():
        return jax.random.split(key(), 3)

    eager = np.stack([draw(each) for each in keys()])
    np.testing.assert_array_equal(jax.jit(jax.vmap(draw))(keys()), eager)
    scanned = jax.lax.scan(lambda _, each: (None, draw(each)), None, keys())[1]
    np.testing.assert_array_equal(scanned, eager)


@both
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_coupled_noise_is_placed_as_one_device_draws_it(coupling, kind):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
    sharding = NamedSharding(mesh, PartitionSpec(None, "data"))
    explicit = sharding if kind == AxisType.Explicit else None

    def placed(key):
        noise = coupling(rj.noise.laplace, key, (4, 64), out_sharding=explicit)
        return noise if explicit else jax.lax.with_sharding_constraint(noise, sharding)

    with jax.set_mesh(mesh):
        actual = jax.jit(placed)(key())
    assert actual.sharding.is_equivalent_to(sharding, 2)
    expected = coupling(rj.noise.laplace, key(), (4, 64))
    np.testing.assert_array_equal(actual, expected)


@both
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_dtypes(coupling, dtype):
    with jax.enable_x64(dtype == jnp.float64):
        draws = coupling(rj.noise.normal, key(), (4, 1000), dtype)
        assert draws.dtype == dtype
    if dtype == jnp.bfloat16:
        wide = coupling(rj.noise.normal, key(), (4, 1000))
        np.testing.assert_array_equal(draws, wide.astype(dtype))
    else:
        assert np.any(np.asarray(draws).astype(np.float32) != np.asarray(draws))


@both
def test_a_second_use_of_a_key_raises(coupling):
    used = key()
    coupling(rj.noise.normal, used, (4, 3))
    for second in (rj.noise.uniform, functools.partial(coupling, rj.noise.normal)):
        with pytest.raises(jax.errors.KeyReuseError):
            second(used, (4, 3))


@both
def test_mistakes_are_named(coupling):
    name = f"`noise.{coupling.__name__}`"
    with pytest.raises(
        TypeError, match=f"{name} couples one of `noise.cauchy`, .*bits"
    ):
        coupling(rj.noise.bits, key(), (4, 3))
    with pytest.raises(TypeError, match=f"{name} couples one of"):
        coupling(key(), rj.noise.normal, (4, 3))
    with pytest.raises(ValueError, match=f"{name} needs the number of draws"):
        coupling(rj.noise.normal, key(), ())
    with pytest.raises(TypeError, match=f"{name} takes .* got the integer 3"):
        coupling(rj.noise.normal, 3, (4, 3))


def test_an_odd_number_of_antithetic_draws_is_refused():
    with pytest.raises(ValueError, match=r"must be even, got shape=\(3, 4\)"):
        antithetic(rj.noise.normal, key(), (3, 4))
