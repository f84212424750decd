"""Gaussian quadrature against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from tests.estimators.precisions import both, both_in_time, precision


def expected(cost_fn, dist_of, num_points=32):
    def mean(parameters):
        return rj.expectation(
            jax.random.key(0),
            cost_fn,
            dist_of(parameters),
            estimator=rj.Quadrature(num_points=num_points),
        )

    return jax.jit(mean)


def normal(parameters):
    return dist.Normal(parameters["loc"], parameters["scale"])


def closed_forms(loc, scale):
    """E f and its derivatives for the mean and the scale."""
    var = scale**2
    yield (
        lambda z: (z - 0.3) ** 2,
        var + (loc - 0.3) ** 2,
        2 * (loc - 0.3),
        2 * scale,
    )
    mean = np.exp(loc + var / 2)
    yield jnp.exp, mean, mean, scale * mean
    decay = np.exp(-(1.5**2) * var / 2)
    mean = np.cos(1.5 * loc) * decay
    slope = -1.5 * np.sin(1.5 * loc) * decay
    yield lambda z: jnp.cos(1.5 * z), mean, slope, -(1.5**2) * scale * mean
    wide = 1 + 0.4 * var
    mean = wide**-0.5 * np.exp(-0.2 * loc**2 / wide)
    by_scale = mean * (-0.4 * scale / wide + 0.16 * scale * loc**2 / wide**2)
    yield lambda z: jnp.exp(-0.2 * z**2), mean, -0.4 * loc * mean / wide, by_scale


@both
def test_normal_laws(dtype, rtol):
    loc, scale = 0.75, 0.5
    with precision(dtype):
        point = {"loc": jnp.asarray(loc, dtype), "scale": jnp.asarray(scale, dtype)}
        costs, *exact = zip(*closed_forms(loc, scale), strict=True)

        def values_and_slopes(point):
            pairs = [jax.value_and_grad(expected(f, normal))(point) for f in costs]
            return [(value, slope["loc"], slope["scale"]) for value, slope in pairs]

        actual = np.array(jax.jit(values_and_slopes)(point))
        assert actual.dtype == dtype
    np.testing.assert_allclose(actual, np.array(exact).T, rtol=2 * rtol)


def test_second_derivatives():
    # E z^4 = m^4 + 6 m^2 s^2 + 3 s^4.
    hessian = jax.jit(jax.hessian(expected(lambda z: z**4, normal, 3)))
    curvature = hessian({"loc": 2.0, "scale": 0.5})
    np.testing.assert_allclose(curvature["loc"]["loc"], 48 + 3, rtol=2e-6)
    np.testing.assert_allclose(curvature["loc"]["scale"], 24 * 2 * 0.5, rtol=2e-6)
    np.testing.assert_allclose(curvature["scale"]["scale"], 48 + 9, rtol=2e-6)


@pytest.mark.parametrize("num_points", [1, 2, 3, 4])
def test_polynomials_below_twice_the_points_are_exact(num_points):
    moments = [1.0, 0.0, 1.0, 0.0, 3.0, 0.0, 15.0, 0.0, 105.0]
    for degree in range(2 * num_points + 1):
        mean = expected(lambda z, d=degree: z**d, normal, num_points)
        value = mean({"loc": 0.0, "scale": 1.0})
        gap = abs(float(value) - moments[degree])
        assert (gap < 1e-5 * max(1.0, moments[degree])) == (degree < 2 * num_points)


@both_in_time
def test_exponential_laws(dtype, rtol):
    with precision(dtype):
        mean = expected(lambda z: z**3, lambda rate: dist.Exponential(rate), 8)
        value, slope = jax.value_and_grad(mean)(jnp.asarray(2.0, dtype))
    np.testing.assert_allclose([value, slope], [6 / 8, -18 / 16], rtol=2 * rtol)


@both_in_time
def test_multivariate_normal_laws(dtype, rtol):
    loc, tril = np.array([1.0, -2.0]), np.array([[1.0, 0.0], [0.5, 2.0]])
    weights = np.array([1.0, -0.5])
    with precision(dtype):
        arrays = [jnp.asarray(x, dtype) for x in (loc, tril)]
        weights = jnp.asarray(weights, dtype)

        @jax.jit
        def values_and_slopes(loc, tril):
            def mean(loc, tril):
                law = dist.MultivariateNormal(loc, scale_tril=tril)
                return expected(lambda z: jnp.sum(z * weights) ** 2, lambda _: law, 3)(
                    0
                )

            batch = jnp.stack([loc, 2 * loc])
            law = dist.MultivariateNormal(batch, scale_tril=tril)
            squares = expected(lambda z: (z @ weights) ** 2, lambda _: law, 3)(0)
            return *jax.value_and_grad(mean, (0, 1))(loc, tril), squares

        value, slopes, rows = values_and_slopes(*arrays)
        value, *slopes = map(np.asarray, (value, *slopes))
    weights = np.asarray(weights, np.float64)
    projected = weights @ loc
    np.testing.assert_allclose(
        value, projected**2 + np.sum((weights @ tril) ** 2), rtol=2 * rtol
    )
    np.testing.assert_allclose(slopes[0], 2 * projected * weights, rtol=2 * rtol)
    by_tril = np.tril(2 * np.outer(weights, weights @ tril))
    np.testing.assert_allclose(slopes[1], by_tril, rtol=2 * rtol, atol=rtol)
    np.testing.assert_allclose(
        rows, value + np.array([0, 3 * projected**2]), rtol=2 * rtol
    )


def test_several_elements_jointly_and_one_by_one():
    loc = jnp.array([1.0, -0.5, 2.0])

    def law(x):
        return dist.Normal(x, 0.3)

    together = expected(jnp.prod, law, 2)
    np.testing.assert_allclose(jax.grad(together)(loc), [-1.0, 2.0, -0.5], rtol=1e-6)
    squared = expected(lambda z: z**2 * jnp.arange(1.0, 4), law, 2)
    slopes = np.diag(2 * np.arange(1, 4) * np.asarray(loc))
    np.testing.assert_allclose(jax.jacobian(squared)(loc), slopes, rtol=1e-6, atol=1e-6)
    rows = jnp.stack([loc, 2 * loc])
    events = expected(lambda z: jnp.prod(z, 1), lambda x: law(x).to_event(1), 2)
    np.testing.assert_allclose(events(rows), [-1.0, -8.0], rtol=1e-6)
    tree = expected(
        lambda z: z["a"] * z["b"] ** 2,
        lambda x: {"a": law(x), "b": dist.Exponential(jnp.full(3, 2.0))},
        3,
    )
    np.testing.assert_allclose(tree(loc), loc / 2, rtol=1e-6)


@pytest.mark.parametrize(("shape", "evaluations"), [((), 5), ((2,), 25)])
def test_evaluations_of_the_cost(shape, evaluations):
    seen = []

    def counted(z):
        jax.debug.callback(lambda _: seen.append(0), z)
        return jnp.sum(z)

    mean = expected(counted, lambda x: dist.Normal(x, 1.0), 5)
    mean(jnp.zeros(shape)).block_until_ready()
    jax.effects_barrier()
    assert len(seen) == evaluations


def test_programs_agree():
    point = {"loc": jnp.array([0.3, -1.0]), "scale": jnp.array([0.5, 2.0])}
    slope = jax.grad(expected(lambda z: jnp.sum(jnp.sin(z)), normal, 5))
    rows = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), point)
    batched = jax.jit(jax.vmap(slope))(rows)
    scanned = jax.lax.scan(lambda carry, row: (carry, slope(row)), 0, rows)[1]
    alone = slope(point)
    for name in point:
        np.testing.assert_allclose(batched[name][0], alone[name], rtol=1e-6)
        np.testing.assert_allclose(scanned[name], batched[name], rtol=1e-6)


def test_what_is_refused():
    with pytest.raises(TypeError, match=r"got Laplace: `Pathwise` works"):
        expected(jnp.sum, lambda x: dist.Laplace(x, 1.0))(0.0)
    with pytest.raises(TypeError, match=r"got Poisson: `ScoreFunction` works"):
        expected(jnp.sum, dist.Poisson)(1.0)
    with pytest.raises(ValueError, match=r"at 1048576 joint points, at most 65536"):
        expected(jnp.sum, lambda x: dist.Normal(x, 1.0))(jnp.zeros(4))
    with pytest.raises(ValueError, match=r"`num_points` of at least 1, got 0"):
        rj.Quadrature(num_points=0)
    with pytest.raises(TypeError, match=r"`num_points` to be an integer, got 2.0"):
        rj.Quadrature(num_points=2.0)
