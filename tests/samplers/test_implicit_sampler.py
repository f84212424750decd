"""Samplers made of functions that the library has never seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import betainc
from jax.scipy.stats import gamma, logistic, norm

import reparam_jax as rj

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow

SHAPE = (3, 40)
LOC = np.linspace(-2, 3, 40, dtype=np.float32)[None]
SCALE = np.array([[0.5], [1.0], [7.0]], np.float32)


def key(number=0):
    return jax.random.key(91 + number)


def sample(key, loc, scale, shape):
    return loc + scale * jax.random.normal(key, shape)


normal = rj.implicit_sampler(sample, norm.cdf, norm.logpdf)


def pathwise(key, loc, scale):
    return sample(key, loc, scale, SHAPE)


def cost(draw):
    weights = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)

    def along(loc, scale):
        return jnp.sum(weights * jnp.sin(draw(key(), loc, scale)))

    return along


@pytest.mark.parametrize(
    ("inner", "outer"), [(jax.jacfwd, jax.jacrev), (jax.jacrev, jax.jacrev)]
)
def test_orders_and_modes_are_those_of_the_reparameterised_normal(inner, outer):
    def derivatives(draw):
        function = cost(draw)
        loc, scale = np.float32(0.3), np.float32(1.7)
        first = inner(function, (0, 1))
        second = outer(first, (0, 1))
        third = outer(lambda *x: second(*x)[1][1], (0, 1))
        return jax.jit(lambda *x: (first(*x), second(*x), third(*x)))(loc, scale)

    found = jax.tree.leaves(derivatives(normal_of_shape))
    expected = jax.tree.leaves(derivatives(pathwise))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def normal_of_shape(key, loc, scale):
    return normal(key, loc, scale, shape=SHAPE)


def test_gradients_through_a_scan_over_keys_vmap_and_nested_jit():
    def scanned(draw):
        def total(loc, scale):
            @jax.jit
            def body(sum_, key):
                return sum_ + jnp.sum(jnp.sin(draw(key, loc, scale))), None

            return jax.lax.scan(body, jnp.float32(0), jax.random.split(key(), 3))[0]

        each = jax.vmap(jax.grad(total, (0, 1)))
        return jax.jit(each)(jnp.float32([0.3, -1]), jnp.float32([1.7, 0.4]))

    np.testing.assert_allclose(scanned(normal_of_shape), scanned(pathwise), rtol=2e-5)


def test_parameters_may_be_closed_over():
    """Traced arrays, of any shape, integers too."""

    def closed(loc, scale, count):
        draw = rj.implicit_sampler(
            lambda key, shape: sample(key, loc, scale, shape),
            lambda z: norm.cdf(z, loc, scale) + 0 * count,
            lambda z: norm.logpdf(z, loc, scale),
        )
        return jnp.sum(jnp.sin(draw(key(), shape=SHAPE)))

    expected = jax.grad(
        lambda loc, scale: jnp.sum(jnp.sin(pathwise(key(), loc, scale))), (0, 1)
    )(LOC, SCALE)
    for function in (
        jax.grad(closed, (0, 1)),
        jax.jit(jax.grad(closed, (0, 1))),
        jax.grad(jax.jit(closed), (0, 1)),
    ):
        found = function(LOC, SCALE, 3)
        for mine, truth in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine, truth, rtol=2e-5, atol=1e-5)


def test_shape_goes_by_keyword_to_samplers_of_jax():
    concentration = np.float32([0.7, 3.0, 20.0])
    draw = rj.implicit_sampler(jax.random.gamma, gamma.cdf, gamma.logpdf)
    found = draw(key(), concentration, shape=(5, 3))
    expected = jax.random.gamma(key(), concentration, shape=(5, 3))
    np.testing.assert_array_equal(found, expected)

    def total(draw):
        return jax.grad(lambda a: jnp.sum(draw(key(), a)))(concentration)

    np.testing.assert_allclose(total(draw), total(jax.random.gamma), rtol=2e-5)


def test_a_rejection_loop_in_python_is_not_differentiated():
    """A callback has no derivative, and needs none."""

    def from_numpy(key, loc, shape):
        def draw(seed, loc):
            return np.random.default_rng(int(seed)).logistic(loc, size=shape)

        result = jax.ShapeDtypeStruct(shape, jnp.float32)
        seed = jax.random.bits(key)
        return jax.pure_callback(lambda s, m: np.float32(draw(s, m)), result, seed, loc)

    draw = rj.implicit_sampler(from_numpy, logistic.cdf, logistic.logpdf)
    slopes = jax.jacrev(lambda loc: draw(key(), loc, shape=(20,)))(jnp.float32(1))
    np.testing.assert_allclose(slopes, np.ones(20), rtol=1e-4)


def test_minus_the_survival_function_keeps_the_digits_of_the_upper_tail():
    def far_out(key, loc, shape):
        return loc + jnp.full(shape, 12.0)

    def slope(cdf):
        draw = rj.implicit_sampler(far_out, cdf, logistic.logpdf)
        return float(jax.grad(lambda loc: draw(key(), loc))(0.0))

    assert slope(lambda z, loc: -logistic.sf(z, loc)) == pytest.approx(1, rel=1e-5)
    assert abs(slope(logistic.cdf) - 1) > 1e-4


def test_a_derivative_that_jax_lacks_raises():
    draw = rj.implicit_sampler(
        jax.random.beta, lambda z, a, b: betainc(a, b, z), lambda z, a, b: 0 * z
    )
    assert float(draw(key(), 2.0, 3.0)) > 0
    with pytest.raises(ValueError, match="not supported"):
        jax.grad(lambda a: draw(key(), a, 3.0))(2.0)


def test_functions_that_do_not_fit_are_named():
    def broken(sample=sample, cdf=norm.cdf, logpdf=norm.logpdf):
        return jax.grad(
            lambda loc: jnp.sum(
                rj.implicit_sampler(sample, cdf, logpdf)(key(), loc, 1.0)
            )
        )(jnp.zeros(3))

    name = "`implicit_sampler` needs"
    with pytest.raises(ValueError, match=rf"{name} `cdf` .* \(3,\), got \(\)"):
        broken(cdf=lambda z, loc, scale: jnp.sum(norm.cdf(z, loc, scale)))
    with pytest.raises(ValueError, match=rf"{name} `logpdf` .* \(3,\), got \(3, 1\)"):
        broken(logpdf=lambda z, loc, scale: norm.logpdf(z, loc, scale)[:, None])
    with pytest.raises(ValueError, match=rf"{name} `sample_fn` .* \(3,\), got \(2,\)"):
        broken(sample=lambda key, loc, scale, shape: jax.random.normal(key, (2,)))
    with pytest.raises(TypeError, match=f"{name} `sample_fn` to return floats"):
        broken(sample=lambda key, loc, scale, shape: jnp.zeros(shape, jnp.int32))
    with pytest.raises(ValueError, match=f"{name} `loc` to be a number"):
        normal(key(), jnp.nan, 1.0)
    with pytest.raises(ValueError, match="cannot broadcast `loc` of shape"):
        normal(key(), jnp.zeros(3), 1.0, shape=(2,))


def test_a_parameter_that_is_nan_makes_its_elements_nan():
    def from_noise_alone(key, loc, shape):
        return jax.random.normal(key, shape)

    draw = rj.implicit_sampler(from_noise_alone, norm.cdf, norm.logpdf)
    loc = np.float32([0, np.nan, 1])
    slopes, draws = jax.jit(
        jax.grad(lambda loc: ((d := draw(key(), loc))[0] + d[2], d), has_aux=True)
    )(loc)
    np.testing.assert_array_equal(np.isnan(draws), [False, True, False])
    np.testing.assert_array_equal(np.isnan(slopes), [False, True, False])
