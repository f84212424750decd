import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reparam_jax.special import _beta_tail as tail
from reparam_jax.special._beta_point import point_of

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow

# Draws below their mean, so that none is mirrored, with both kinds of reach.
A = np.float32([3.0, 40.0, 1e5, 2.0, 0.01, 1e-3, 2.6, 1e6, 5.0, 300.0])
B = np.float32([2.0, 60.0, 1e5, 5.0, 0.01, 1e3, 1e6, 3.0, 0.01, 300.0])
X = np.float32([0.3, 0.4, 0.4999, 0.1, 0.4, 4e-4, 2.5e-6, 0.99999, 0.9, 0.3])
MONOMIALS = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 1), (0, 2, 0))


def direct(a, b, x, length, monomial):
    """A Riemann sum in float64, far finer and from the definition of t alone."""
    s = (np.arange(40_000) + 0.5) / 40_000 * length
    logit = np.log(x) - np.log1p(-x)
    t = 1 / (1 + np.exp(s - logit))
    log_x = -np.logaddexp(0, s - logit) - np.log(x)
    log_y = -np.logaddexp(0, logit - s) - np.log1p(-x)
    powers = log_x, log_y, (x - t) / (x * (1 - x))
    integrand = np.exp(a * log_x + b * log_y)
    for power, times in zip(powers, monomial, strict=True):
        integrand = integrand * power**times
    return np.mean(integrand) * length


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_against_a_fine_sum(dtype):
    with jax.enable_x64(dtype == np.float64):
        point = point_of(*(jnp.asarray(v.astype(dtype)) for v in (A, B, X)))
        assert not np.any(point.upper)
        length = tail.reach(point)
        moments = jax.jit(tail.moments, static_argnums=0)
        found = moments(MONOMIALS, point.a, point.b, point.logit, point, length)
    a, b, x = (v.astype(float) for v in (A, B, X))
    length = np.asarray(length, float)
    for monomial, mine in zip(MONOMIALS, found, strict=True):
        true = [direct(*row, monomial) for row in zip(a, b, x, length, strict=True)]
        bound = 2e-6 if dtype == np.float32 else 1e-7  # the sum has 1e-8
        if sum(monomial) > 1:
            bound *= 10
        np.testing.assert_allclose(np.asarray(mine, float), true, rtol=bound)


def test_the_tail_ends_where_the_density_is_low():
    point = point_of(*map(jnp.asarray, (A, B, X)))
    length = np.asarray(tail.reach(point), float)
    a, b, x = (v.astype(float) for v in (A, B, X))
    logit = np.log(x) - np.log1p(-x)
    fall = a * (np.log(x) + np.logaddexp(0, length - logit))
    fall += b * (np.log1p(-x) + np.logaddexp(0, logit - length))
    far = A >= tail.SPLIT_BELOW
    assert np.all(fall[far] > 15.5)
    assert np.all(fall[far] < 24)
    np.testing.assert_array_equal(length[~far], 7)


def test_derivatives_of_moments_to_second_order():
    rows = [0, 1, 3, 4, 6, 7]

    def total(a, b, logit):
        x = jax.nn.sigmoid(logit)
        point = point_of(a, b, x)
        length = jax.lax.stop_gradient(tail.reach(point))
        return tail.moments(MONOMIALS, a, b, point.logit, point, length)

    with jax.enable_x64(True):
        a, b, x = (jnp.asarray(v[rows].astype(float)) for v in (A, B, X))
        args = a, b, jnp.log(x) - jnp.log1p(-x)
        length = tail.reach(point_of(a, b, x))

        def held(*args):
            x = jax.nn.sigmoid(args[2])
            point = point_of(*args[:2], x)
            return jnp.stack(
                tail.moments(MONOMIALS, *args[:2], point.logit, point, length)
            )

        for place in (0, 2):
            step = jnp.abs(args[place]) * 1e-6
            one = tuple(
                jnp.ones_like(v) if i == place else jnp.zeros_like(v)
                for i, v in enumerate(args)
            )

            def slope(*args, one=one):
                return jax.jvp(held, args, one)[1]

            for function, derivative in (
                (held, slope),
                (slope, lambda *args, s=slope, one=one: jax.jvp(s, args, one)[1]),
            ):
                function = jax.jit(function)
                ends = [
                    function(
                        *(v + sign * step * o for v, o in zip(args, one, strict=True))
                    )
                    for sign in (1, -1)
                ]
                derivative = jax.jit(derivative)
                expected = np.asarray(ends[0] - ends[1]) / (2 * np.asarray(step))
                np.testing.assert_allclose(derivative(*args), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log1p_without_its_first_term(dtype):
    u = np.array([-0.999, -0.5001, -0.4999, -1e-3, 1e-7, 0.3, 0.4999, 0.5001, 30.0])
    with jax.enable_x64(True):
        given = jnp.asarray(u, dtype)
        mine = tail.log1p_minus(given, jnp.log1p(given))
    u = np.asarray(given, np.longdouble)
    series = sum((-u) ** k / k for k in range(2, 12)) * -1
    true = np.where(np.abs(u) < 1e-2, series, np.log1p(u) - u).astype(float)
    bound = 2e-6 if dtype == np.float32 else 2e-15
    np.testing.assert_allclose(np.asarray(mine, float), true, rtol=bound)
