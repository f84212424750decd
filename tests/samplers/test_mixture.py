"""Mixtures of numbers and of vectors, their components given as functions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax.experimental import checkify
from jax.scipy.stats import logistic, norm

import reparam_jax as rj

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow

LOGITS = np.log(np.float32([0.3, 0.7]))
LOC, SCALE = np.float32([[-1.0, 1.5]]), np.float32([[0.5, 0.8]])


def key(number=0):
    return jax.random.key(17 + number)


def normals(key, logits, loc, scale, count, **options):
    return rj.mixture(
        key,
        logits,
        lambda key, shape: rj.normal(key, loc, std=scale, shape=shape),
        lambda z: norm.cdf(z, loc, scale),
        lambda z: norm.logpdf(z, loc, scale),
        shape=(count,),
        **options,
    )


# --- expectations: closed forms, and the smallest bias that a test must see ---

COUNT, CALLS = 2000, 100
# E z^power, its slopes, and the standard deviation of one draw's slope for each first.
EXPECTED = {
    1: (0.75, (-0.525, 0.525), (0.3, 0.7), (0.0, 0.0)),
    2: (2.398, (-0.3444, 0.3444), (-0.6, 2.1), (0.3, 1.12)),
}
DEVIATIONS = (0.817, 1.061, 1.415)


@functools.cache
def averages(power):
    def average(logits, loc, scale, key):
        return jnp.mean(normals(key, logits, loc, scale, COUNT) ** power)

    each = jax.vmap(jax.value_and_grad(average, (0, 1, 2)), (None, None, None, 0))
    keys = jax.random.split(key(), CALLS)
    value, slopes = jax.jit(each)(LOGITS, LOC, SCALE, keys)
    return [np.asarray(x, np.float64).reshape(CALLS, -1) for x in (value, *slopes)]


@pytest.mark.parametrize("power", EXPECTED)
def test_expectations_and_their_gradients(power, alpha):
    level = scipy.stats.t(CALLS - 1).isf(alpha / 2 / 7)
    for found, exact in zip(averages(power), EXPECTED[power], strict=True):
        error = found.std(0, ddof=1) / np.sqrt(CALLS)
        exact = np.atleast_1d(exact)
        assert np.all(np.abs(found.mean(0) - exact) < level * error)
        # A bias of 5 % of the gradient's size would not pass.
        assert np.all(error * (level + 3.1) < 0.05 * np.max(np.abs(EXPECTED[2][2])))


def test_the_variance_is_that_of_the_implicit_gradient():
    for found, deviation in zip(averages(2)[1:], DEVIATIONS, strict=True):
        of_one_draw = found[:, 0].std(ddof=1) * np.sqrt(COUNT)
        assert of_one_draw == pytest.approx(deviation, rel=0.3)


# --- one dimension, exactly ---


def exact_slopes(draws, logits, loc, scale):
    """For every draw, by SciPy: in each logit, each location and each scale."""
    logits, loc, scale, z = (
        np.asarray(x, np.float64) for x in (logits, loc, scale, draws[:, None])
    )
    weights = scipy.special.softmax(logits)
    law = scipy.stats.norm(loc, scale)
    mixed = (weights * law.pdf(z)).sum(-1, keepdims=True)
    upper = law.cdf(z)[:, :1] > 0.5
    part = np.where(upper, -law.sf(z), law.cdf(z))
    mean = (weights * part).sum(-1, keepdims=True)
    responsibility = weights * law.pdf(z) / mixed
    return (
        -weights * (part - mean) / mixed,
        responsibility,
        responsibility * (z - loc) / scale,
    )


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-4), (np.float64, 1e-11)])
def test_slopes_are_those_of_the_mixed_distribution_function(dtype, bound):
    with jax.enable_x64(dtype == np.float64):
        parameters = [np.asarray(x, dtype) for x in (LOGITS, LOC, SCALE)]
        draws, push = jax.linearize(lambda *p: normals(key(), *p, 300), *parameters)
        basis = [
            tuple(
                np.eye(2, dtype=dtype)[k].reshape(p.shape) if place == at else 0 * p
                for place, p in enumerate(parameters)
            )
            for at in range(3)
            for k in range(2)
        ]
        slopes = np.asarray([push(*direction) for direction in basis], np.float64)
        assert draws.dtype == dtype
    expected = np.concatenate(exact_slopes(np.asarray(draws), *parameters), -1).T
    error = np.abs(slopes - expected) / np.max(np.abs(expected), 1, keepdims=True)
    assert np.max(error) < bound


def test_minus_the_survival_function_keeps_the_digits_of_the_upper_tail():
    loc, scale = np.float32([[0.0, 0.3]]), np.float32([[1.0, 0.9]])

    def slopes(cdf):
        def draw(logits):
            # Draws at 5.2: 1e-7 of the law lies beyond.
            return rj.mixture(
                key(),
                logits,
                lambda key, shape: jnp.full(shape, 5.2),
                cdf,
                lambda z: norm.logpdf(z, loc[0], scale[0]),
            )

        return np.asarray(jax.grad(draw)(LOGITS), np.float64)

    exact = exact_slopes(np.array([5.2]), LOGITS, loc, scale)[0][0]
    tail = slopes(lambda z: -norm.sf(z, loc[0], scale[0]))
    np.testing.assert_allclose(tail, exact, rtol=1e-4)
    plain = slopes(lambda z: norm.cdf(z, loc[0], scale[0]))
    assert np.max(np.abs(plain / exact - 1)) > 1e-2


def test_an_absent_component_is_never_drawn_and_has_no_slope():
    logits = np.float32([0.3, -np.inf, 0.9])
    loc, scale = np.float32([[-5, 0, 5]]), np.float32([[0.1, 0.1, 0.1]])

    def total(logits, loc, scale):
        draws = normals(key(), logits, loc, scale, 400)
        return jnp.sum(draws**2), draws

    slopes, draws = jax.grad(total, (0, 1, 2), has_aux=True)(logits, loc, scale)
    assert np.min(np.abs(draws)) > 4
    for slope in slopes:
        assert np.all(np.isfinite(slope))
        assert np.ravel(slope)[1] == 0
        assert np.all(np.delete(np.ravel(slope), 1) != 0)


# --- higher orders and transformations ---


LOGITS64, LOC64, SCALE64 = (np.asarray(x, np.float64) for x in (LOGITS, LOC, SCALE))


@pytest.mark.parametrize(
    ("inner", "outer"), [(jax.jacfwd, jax.jacrev), (jax.jacrev, jax.jacfwd)]
)
def test_a_moved_draw_stays_at_its_quantile_to_third_order(inner, outer):
    directions = LOGITS64**2, LOC64 + 0.3, SCALE64 * np.array([[1.0, -0.4]])
    signs = np.linspace(-1, 2, 8)

    def moved(step):
        parameters = (LOGITS64, LOC64, SCALE64)
        return [p + step * d for p, d in zip(parameters, directions, strict=True)]

    def quantiles(draws, step):
        logits, loc, scale = moved(step)
        weights = jax.nn.softmax(logits)[None]
        mixed = jnp.sum(weights * norm.cdf(draws[:, None], loc, scale), -1)
        return jnp.sum(signs * mixed)

    def along(step):
        return quantiles(normals(key(), *moved(step), 8), step)

    def derivatives(function):
        first = inner(function)
        second = outer(first)
        return jax.jit(lambda x: (first(x), second(x), inner(second)(x)))(0.0)

    with jax.enable_x64(True):
        draws = normals(key(), *moved(0.0), 8)
        without = np.asarray(derivatives(functools.partial(quantiles, draws)))
        assert np.min(np.abs(without)) > 0.03
        assert np.max(np.abs(derivatives(along))) < 1e-11


def test_captured_trees_nested_jit_scan_and_vmap():
    tree = {"logits": LOGITS, "components": (LOC, SCALE)}

    def total(tree, key):
        draws = normals(key, tree["logits"], *tree["components"], 50)
        return jnp.sum(draws**2)

    def scanned(tree, keys):
        @jax.jit
        def one(sum_, key):
            return sum_ + total(tree, key), None

        return jax.lax.scan(one, jnp.float32(0), keys)[0]

    keys = jax.random.split(key(), 3)
    slopes = jax.jit(jax.grad(scanned))(tree, jax.random.clone(keys))
    parts = jax.vmap(jax.grad(total), (None, 0))(tree, keys)
    for whole, part in zip(
        jax.tree.leaves(slopes), jax.tree.leaves(parts), strict=True
    ):
        np.testing.assert_allclose(whole, part.sum(0), rtol=2e-4, atol=1e-3)


# --- vectors ---

DIM, PARTS = 3, 2


def conditionals(z, loc, factor):
    """Of normal vectors: for each coordinate given those before, its law's values."""
    # The components' axis of z is of length 1.
    centred = z - loc
    factor = jnp.broadcast_to(factor, (*centred.shape, DIM))
    residual = jax.lax.linalg.triangular_solve(
        factor, centred[..., None], left_side=True, lower=True
    )[..., 0]
    width = jnp.diagonal(factor, axis1=-2, axis2=-1)
    return norm.cdf(residual), norm.logpdf(residual) - jnp.log(width)


def normal_vectors(key, logits, loc, factor, count):
    return rj.mixture(
        key,
        logits,
        lambda key, shape: rj.multivariate_normal(
            key, loc, scale_tril=factor, shape=shape
        ),
        lambda z: conditionals(z, loc, factor)[0],
        lambda z: conditionals(z, loc, factor)[1],
        event_ndim=1,
        shape=(count, DIM),
    )


@functools.cache
def vector_parameters():
    rng = np.random.default_rng(8)
    loc = rng.normal(size=(1, PARTS, DIM))
    factor = np.tril(0.5 * rng.normal(size=(1, PARTS, DIM, DIM))) + np.eye(DIM)
    return rng.normal(size=PARTS), loc, factor


def rosenblatt(z, logits, loc, factor):
    """The uniforms of the draws, one coordinate after the other."""
    cdf, logpdf = conditionals(z[:, None], loc, factor)
    log_weights = logits[None]
    uniforms = []
    for place in range(DIM):
        weights = jax.nn.softmax(log_weights, -1)
        uniforms.append(jnp.sum(weights * cdf[..., place], -1))
        log_weights = log_weights + logpdf[..., place]
    return jnp.stack(uniforms, -1)


def test_vectors_move_along_the_knothe_rosenblatt_map():
    """To second order, in float64: the uniforms of the moved draws stay."""
    with jax.enable_x64(True):
        parameters = vector_parameters()
        rng = np.random.default_rng(9)
        directions = [rng.normal(size=p.shape) for p in parameters]
        directions[2] = np.tril(directions[2])

        def uniforms(step):
            moved = [p + step * d for p, d in zip(parameters, directions, strict=True)]
            return rosenblatt(normal_vectors(key(), *moved, 6), *moved)

        def slope(step):
            return jax.jvp(uniforms, (step,), (1.0,))[1]

        first = jax.jit(slope)(0.0)
        second = jax.jit(lambda step: jax.jvp(slope, (step,), (1.0,))[1])(0.0)
        alone = jax.jit(
            lambda z: jax.jvp(
                lambda step: rosenblatt(
                    z,
                    *(
                        p + step * d
                        for p, d in zip(parameters, directions, strict=True)
                    ),
                ),
                (0.0,),
                (1.0,),
            )[1]
        )(normal_vectors(key(), *parameters, 6))
        assert np.max(np.abs(alone)) > 0.1
        np.testing.assert_allclose(first, 0 * first, atol=1e-13)
        np.testing.assert_allclose(second, 0 * second, atol=1e-11)

        def cost(step):
            return jnp.sum(uniforms(step) ** 2)

        reverse = jax.jit(jax.grad(cost))(0.0)
        assert abs(float(reverse)) < 1e-12


def test_the_law_of_vectors_is_uniform_in_its_conditionals(alpha):
    logits, loc, factor = (np.float32(x) for x in vector_parameters())
    draws = normal_vectors(key(), logits, loc, factor, 4000)
    for column in np.asarray(rosenblatt(draws, logits, loc, factor)).T:
        assert scipy.stats.kstest(column, "uniform").pvalue > alpha / DIM


def test_products_of_one_dimensional_families():
    """A location of logistic coordinates, weights depending on those before."""
    loc = np.array([[[-1.0, 2.0], [1.0, -2.0]]])

    def draw(logits, loc):
        return rj.mixture(
            key(),
            logits,
            lambda key: rj.logistic(key, loc, 1.0, shape=(5, 2, 2)),
            lambda z: logistic.cdf(z, loc),
            lambda z: logistic.logpdf(z, loc),
            event_ndim=1,
        )

    def uniforms(step):
        moved = loc + step * np.array([[[3.0, 1.0]]])
        logits = np.array([0.2, -0.4]) + step * np.array([1.0, 2.0])
        z = draw(logits, moved)[:, None]
        cdf, logpdf = logistic.cdf(z, moved), logistic.logpdf(z, moved)
        weights = jax.nn.softmax(logits)[None]
        later = jax.nn.softmax(jnp.log(weights) + logpdf[..., 0], -1)
        return jnp.sum(jnp.stack([weights + 0 * later, later], -1) * cdf, -2)

    with jax.enable_x64(True):
        slopes = jax.jvp(uniforms, (0.0,), (1.0,))[1]
        np.testing.assert_allclose(slopes, 0 * slopes, atol=1e-13)


# --- what callers pass ---


def test_shapes_of_batches_and_functions():
    loc = np.float32([-1.0, 1.5])
    logits = np.zeros((4, 2), np.float32)

    def draw(cdf, sample=None, logits=logits, **options):
        sample = sample or (lambda key, shape: rj.normal(key, loc, 1.0, shape=shape))
        return rj.mixture(
            key(), logits, sample, cdf, lambda z: norm.logpdf(z - loc[None]), **options
        )

    right = draw(lambda z: norm.cdf(z - loc[None]))
    assert right.shape == (4,)
    # The axis of the components made once more is taken away.
    more = draw(lambda z: norm.cdf(z[..., None] - loc[None, None]))
    np.testing.assert_array_equal(more, right)
    alone = draw(
        lambda z: norm.cdf(z - loc[None]),
        lambda key: rj.normal(key, loc, 1.0, shape=(4, 2)),
    )
    np.testing.assert_array_equal(alone, right)
    with pytest.raises(ValueError, match=r"`cdf` .* \(4, 2\), got \(4, 1\)"):
        draw(norm.cdf)
    with pytest.raises(ValueError, match=r"`sample_components` .* K = 2.* \(4, 3\)"):
        draw(norm.cdf, lambda key: jax.random.normal(key, (4, 3)))
    with pytest.raises(ValueError, match=r"`sample_components` .* \(4, 2\), got"):
        draw(norm.cdf, lambda key, shape: jax.random.normal(key, (4,)))
    with pytest.raises(TypeError, match="`sample_components` to return floats"):
        draw(norm.cdf, lambda key, shape: jnp.zeros(shape, jnp.int32))
    with pytest.raises(ValueError, match="cannot broadcast `logits` of shape"):
        draw(norm.cdf, shape=(5,))
    with pytest.raises(ValueError, match=r"`logits` to be of shape \(\.\.\., K\)"):
        draw(norm.cdf, logits=0.0)
    with pytest.raises(ValueError, match=r"needs `shape=\(\.\.\., dim\)`"):
        draw(norm.cdf, event_ndim=1)
    with pytest.raises(ValueError, match="event_ndim=2"):
        draw(norm.cdf, event_ndim=2)


def test_bad_logits_raise_or_are_nan_exactly_there():
    logits = np.float32([[0, 1], [np.nan, 0], [0, np.inf], [-np.inf, -np.inf], [1, 1]])
    bad = np.array([False, True, True, True, False])
    loc, scale = np.tile(LOC, (5, 1)), np.tile(SCALE, (5, 1))
    with pytest.raises(ValueError, match=r"`mixture` needs `logits` .* 3 of its 5"):
        normals(key(), logits, loc, scale, 5)

    def masked(logits, loc):
        draws = normals(key(), logits, loc, scale, 5)
        return draws[0] + draws[4], draws

    program = jax.jit(jax.grad(masked, (0, 1), has_aux=True))
    slopes, draws = program(logits, loc)
    np.testing.assert_array_equal(np.isnan(draws), bad)
    for slope in slopes:
        np.testing.assert_array_equal(np.isnan(slope), np.stack([bad, bad], 1))
    checked = jax.jit(checkify.checkify(program))
    assert "`mixture` needs `logits`" in checked(logits, loc)[0].get()


def test_a_component_that_is_nan_makes_the_draw_nan():
    """Although another component is drawn: a bad scale there moves the weights."""
    scale = np.tile(SCALE, (3, 1))
    scale[1, 0] = -1
    logits = np.float32([-30, 0])
    draws = jax.jit(lambda scale: normals(key(), logits, LOC, scale, 3))(scale)
    np.testing.assert_array_equal(np.isnan(draws), [False, True, False])


def test_the_key_is_used_once():
    def twice(key):
        draw = functools.partial(normals, key, LOGITS, LOC, SCALE, 3)
        return draw() + draw()

    for use in (twice, jax.jit(twice)):
        with pytest.raises(jax.errors.KeyReuseError):
            use(key())
