"""What holds for the draws of every distribution: shapes, dtypes, keys, programs."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from reparam_jax.distributions._paths import find_path
from tests.distributions.table import DEFAULT, TABLE, parametrized
from tests.distributions.test_vectors import VECTORS

ROWS = parametrized(
    (*TABLE, *VECTORS), ("Normal", "Gamma", "mixture of Normal", "low rank")
)
FEW = parametrized(
    [row for row in TABLE if row.name in DEFAULT and "mixture" not in row.name],
    ("Normal",),
)


def key():
    return jax.random.key(43)


WAYS = {
    (): lambda law: law,
    (2,): lambda law: law.expand((2, *law.batch_shape)),
    (5, 1): lambda law: law.expand((5, 1, *law.batch_shape)).mask(False),
    (4, 7): lambda law: (
        law.expand((4, 1, *law.batch_shape))
        .expand((4, 7, *law.batch_shape))
        .to_event(1)
    ),
}


@ROWS
@pytest.mark.parametrize(
    "dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.slow)]
)
def test_shapes_and_dtypes(row, dtype):
    with jax.enable_x64(dtype == np.float64):
        parameters = row.in_dtype(dtype)
        law = row.at(parameters)
        for lead, wrap in WAYS.items():

            def draw(parameters, k, wrap=wrap):
                return rj.sample(k, wrap(row.at(parameters)), (6,))

            found = jax.eval_shape(draw, parameters, key())
            assert found.shape == (6, *lead, *law.shape())
            assert found.dtype == dtype


# All noise is drawn at the shape of the result, so that it matters neither how the axes
# came about nor what they are called.
@FEW
def test_expanded_and_named_axes_draw_as_sample_axes_do(row):
    law = row.at(row.in_dtype(np.float32))
    expected = rj.sample(key(), law, (4, 2))
    for same in (
        law.expand((2, 3)),
        law.expand((2, 3)).to_event(1),
        law.expand((1, 3)).expand((2, 3)).mask(jnp.array([True, False, True])),
    ):
        np.testing.assert_array_equal(rj.sample(key(), same, (4,)), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        dist.Normal,
        dist.Levy,
        lambda loc, scale: dist.FoldedDistribution(dist.Cauchy(loc, scale)),
    ],
)
def test_stretched_axes_have_their_own_noise(make):
    loc, scale = jnp.array([[[1.0]], [[5.0]]]), jnp.array([[2.0, 3.0]])
    narrow = make(loc, scale[None])
    whole = make(*jnp.broadcast_arrays(loc + jnp.zeros((2, 4, 2)), scale[None]))
    found = rj.sample(key(), narrow.expand((3, 2, 4, 2)).to_event(2))
    np.testing.assert_array_equal(found, rj.sample(key(), whole, (3,)))


@pytest.mark.slow
def test_a_mixture_with_stretched_axes():
    logits = jnp.array([[[0.3, -0.2]]])
    loc = jnp.array([[[-4.0, 4.0]], [[-40.0, 40.0]]])
    law = dist.MixtureSameFamily(
        dist.Categorical(logits=logits), dist.Normal(loc, jnp.ones_like(loc))
    )
    assert law.batch_shape == (2, 1)
    draws = rj.sample(key(), law.expand((2, 300)))
    assert draws.shape == (2, 300)
    assert len(np.unique(draws)) == draws.size
    np.testing.assert_array_equal(np.abs(draws) > 20, [[False] * 300, [True] * 300])


# A distribution is a tree of its parameters: as an argument of a program it is what it
# was.
@FEW
def test_distributions_are_arguments_of_programs(row):
    law = row.at(row.in_dtype(np.float32))
    found = jax.jit(lambda law, k: rj.sample(k, law, (5,)))(law, key())
    expected = jax.jit(lambda k: rj.sample(k, law, (5,)))(key())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@FEW
def test_eager_vmapped_and_scanned_draws_are_those_of_one_program(row):
    law = row.at(row.in_dtype(np.float32))
    keys = jax.random.split(key(), 3)

    def one(k):
        return rj.sample(k, law, (5,))

    expected = np.stack([one(k) for k in jax.random.split(key(), 3)])
    mapped = jax.vmap(one)(jax.random.split(key(), 3))
    scanned = jax.lax.scan(lambda _, k: (None, one(k)), None, keys)[1]
    for found in (mapped, scanned):
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


@FEW
def test_a_key_is_used_once(row):
    law = row.at(row.in_dtype(np.float32))
    path = find_path(law)

    def twice(k):
        path.draw(k, law.shape())
        return path.draw(k, law.shape())

    with pytest.raises(jax.errors.KeyReuseError):
        jax.jit(twice)(key())


def test_trees_of_distributions_are_drawn_independently():
    laws = {"a": dist.Normal(jnp.zeros(3), 1.0), "b": (dist.Normal(jnp.zeros(3), 1.0),)}
    draws = rj.sample(key(), laws, (2,))
    assert jax.tree.structure(draws) == jax.tree.structure({"a": 0, "b": (0,)})
    assert not np.any(draws["a"] == draws["b"][0])
    ka, kb = jax.random.split(key())
    np.testing.assert_array_equal(draws["a"], rj.sample(ka, laws["a"], (2,)))
    np.testing.assert_array_equal(draws["b"][0], rj.sample(kb, laws["b"][0], (2,)))


SHAPE = (64, 3)
PAIRS = {
    "Normal": (dist.Normal, lambda k, a, b: rj.normal(k, a, std=b, shape=SHAPE)),
    "Gumbel": (dist.Gumbel, lambda k, a, b: rj.gumbel(k, a, b, shape=SHAPE)),
    "Weibull": (dist.Weibull, lambda k, a, b: rj.weibull(k, a, b, shape=SHAPE)),
    "expand": (
        lambda a, b: dist.Normal(a, b).expand((64, 3)).to_event(1),
        lambda k, a, b: rj.normal(k, a, std=b, shape=SHAPE),
    ),
    "exp": (
        lambda a, b: dist.TransformedDistribution(
            dist.Normal(a, b), dist.transforms.ExpTransform()
        ),
        lambda k, a, b: jnp.exp(rj.normal(k, a, std=b, shape=SHAPE)),
    ),
    "Gamma": (dist.Gamma, lambda k, a, b: rj.gamma(k, a, b, shape=SHAPE)),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "expand" else pytest.mark.slow)
        for name in PAIRS
    ],
)
def test_draws_and_gradients_compile_to_the_samplers_program(name):
    make, sampler = PAIRS[name]
    parameters = jnp.array([0.5, 1.0, 3.0]), jnp.array([1.0, 0.2, 2.0])

    def ours(k, *parameters):
        law = make(*parameters)
        return rj.sample(k, law, SHAPE[: 2 - len(law.shape())])

    def cost(draw):
        def total(parameters, k):
            draws = draw(k, *parameters)
            return jnp.sum(jnp.sin(draws)), draws

        return jax.value_and_grad(total, has_aux=True)

    programs = [jax.jit(cost(draw)) for draw in (ours, sampler)]
    compiled = [program.lower(parameters, key()).compile() for program in programs]
    assert len({program.cost_analysis()["flops"] for program in compiled}) == 1
    results = [program(parameters, key()) for program in compiled]
    jax.tree.map(np.testing.assert_array_equal, *results)


@pytest.mark.parametrize("function", [rj.sample, rj.sample_and_log_prob])
def test_a_sample_shape_that_is_no_tuple_is_refused(function):
    with pytest.raises(TypeError, match=r"`sample_shape` to be a tuple.*got 5"):
        function(jax.random.key(0), dist.Normal(0.0, 1.0), 5)
