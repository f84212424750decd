"""Means and variances of implicit gradients that are known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

import reparam_jax as rj
from reparam_jax.special._log_beta import beta_logit_slopes

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow

COUNT = 200_000


def trigamma(x):
    return scipy.special.polygamma(1, x)


def slopes_of(cost, *parameters, number=0):
    """The gradients of every draw's cost, of shape (draws, *parameters' shape)."""
    parameters = np.broadcast_arrays(*(np.float32(p) for p in parameters))
    key = jax.random.key(71 + number)

    def total(*parameters):
        return jnp.sum(cost(key, *parameters))

    wide = [np.broadcast_to(p, (COUNT, *p.shape)) for p in parameters]
    places = tuple(range(len(parameters)))
    slopes = jax.jit(jax.grad(total, places))(*wide)
    return [np.asarray(slope, np.float64) for slope in slopes]


def assert_means(slopes, expected, alpha, seen=0.1):
    """Every column's mean, within the standard errors that ``alpha`` allows.

    Args:
      slopes: of every draw, along the first axis.
      expected: their means.
      alpha: the level of the test.
      seen: the smallest relative error that the test is sure to see.
    """
    columns = slopes.reshape(COUNT, -1)
    expected = np.broadcast_to(expected, slopes.shape[1:]).ravel()
    error = columns.std(0) / np.sqrt(COUNT)
    allowed = scipy.stats.norm.isf(alpha / 2 / columns.shape[1])
    off = np.abs(columns.mean(0) - expected)
    assert np.all(off <= allowed * error + 1e-6 * np.abs(expected)), (off, error)
    assert np.all((allowed + 3) * error < seen * np.abs(expected))


def log_gamma(key, concentration):
    return rj.log_gamma(key, concentration)


def test_the_logarithm_of_a_gamma_variable_from_1e_minus_6_to_1e4(alpha):
    concentrations = np.logspace(-6, 4, 11)
    (slopes,) = slopes_of(log_gamma, concentrations)
    expected = trigamma(np.float64(np.float32(concentrations)))
    columns = (slopes.mean(0) - expected) / (slopes.std(0) / np.sqrt(COUNT))
    assert np.max(np.abs(columns)) < scipy.stats.norm.isf(alpha / 22)
    np.testing.assert_allclose(slopes.mean(0), expected, rtol=0.03)


def test_moments_of_gamma_variables(alpha):
    concentrations = np.array([0.1, 1.0, 10.0, 1000.0])
    (slopes,) = slopes_of(rj.gamma, concentrations)
    assert_means(slopes, 1.0, alpha)
    (slopes,) = slopes_of(
        lambda key, a: jnp.square(rj.gamma(key, a)), concentrations, number=1
    )
    assert_means(slopes, 2 * concentrations + 1, alpha)
    (slopes,) = slopes_of(rj.chi2, concentrations, number=2)
    assert_means(slopes, 1.0, alpha)


def test_moments_of_inverse_gamma_variables(alpha):
    concentrations = np.array([6.0, 30.0, 1000.0])
    for_concentration, for_rate = slopes_of(rj.inverse_gamma, concentrations, 2.0)
    assert_means(for_concentration, -2 / (concentrations - 1) ** 2, alpha)
    assert_means(for_rate, 1 / (concentrations - 1), alpha)


BETA = np.array([[1e-3, 1e-3], [0.1, 2.0], [1.0, 1.0], [5.0, 0.3], [40.0, 900.0]])


def test_moments_of_beta_variables(alpha):
    a, b = BETA.T
    for_a, for_b = slopes_of(rj.beta, a, b)
    seen = np.array([0.4, 0.1, 0.1, 0.1, 0.1])
    assert_means(for_a, b / (a + b) ** 2, alpha, seen)
    assert_means(for_b, -a / (a + b) ** 2, alpha, seen)


def test_logarithms_of_beta_variables(alpha):
    a, b = BETA.T
    for_a, for_b = slopes_of(lambda *args: rj.log_beta(*args)[0], a, b)
    assert_means(for_a, trigamma(a) - trigamma(a + b), alpha)
    assert_means(for_b, -trigamma(a + b), alpha)


def test_beta_draws_with_a_power_law_have_their_gradient_in_closed_form():
    shape, ones = (1000,), np.ones(1000, np.float32)
    a = np.geomspace(0.05, 50, 1000).astype(np.float32)
    draws, slopes = jax.jvp(
        lambda a: rj.beta(jax.random.key(0), a, ones), (a,), (np.ones_like(a),)
    )
    x = np.asarray(draws, np.float64)
    seen = (x > 1e-30) & (x < 0.99)
    expected = -x * np.log(np.where(seen, x, 1)) / a
    np.testing.assert_allclose(slopes[seen], expected[seen], rtol=2e-5)
    assert np.mean(seen) > 0.6
    draws, slopes = jax.jvp(
        lambda b: rj.beta(jax.random.key(0), ones, b), (a,), (np.ones_like(a),)
    )
    x = np.asarray(draws, np.float64)
    seen = x < 0.99
    expected = (1 - x) * np.log1p(-np.where(seen, x, 0)) / a
    np.testing.assert_allclose(slopes[seen], expected[seen], rtol=2e-5)
    assert slopes.shape == shape


def dirichlet_slopes(draw, concentration, component, number=0):
    (slopes,) = slopes_of(
        lambda key, a: draw(key, a)[..., component], concentration, number=number
    )
    return slopes


@pytest.mark.parametrize(
    ("concentration", "seen"),
    [([1e-3] * 3, 0.5), ([0.2, 0.2, 1.0], 0.1), ([3.0, 0.5, 20.0], 0.1)],
    ids=str,
)
def test_dirichlet_variables_and_their_logarithms(concentration, seen, alpha):
    a = np.float64(np.float32(concentration))
    total = a.sum()
    slopes = dirichlet_slopes(rj.dirichlet, a, 0)
    expected = ((np.arange(3) == 0) * total - a[0]) / total**2
    assert_means(slopes, expected, alpha, seen)
    slopes = dirichlet_slopes(rj.log_dirichlet, a, 0, number=1)
    expected = (np.arange(3) == 0) * trigamma(a[0]) - trigamma(total)
    assert_means(slopes, expected, alpha)


def test_the_variance_of_a_dirichlet_component(alpha):
    """d/da E (x3 - E x3)^2 of Dirichlet(a, a, 1), at a = 0.2."""

    def square(key, a):
        centred = rj.dirichlet(key, a)[..., 2] - 1 / (1 + 2 * 0.2)
        return jnp.square(centred)

    (slopes,) = slopes_of(square, [0.2, 0.2, 1.0])
    along = slopes[:, :2].sum(1)
    assert_means(along, (1 - 0.4 - 0.16) / (1.2**2 * 1.4**3), alpha)


def test_dirichlet_of_two_components_is_beta():
    a, b = np.float32([0.3, 2, 50]), np.float32([4, 0.1, 3])

    def through(draw):
        slopes = jax.jit(jax.jacfwd(jax.jacfwd(draw, (0, 1)), (0, 1)))(a, b)
        return jax.tree.map(lambda x: np.einsum("iii->i", x), slopes)

    def draw(a, b):
        return rj.log_dirichlet(jax.random.key(3), jnp.stack([a, b], -1))

    first = through(lambda a, b: draw(a, b)[:, 0])
    draws = np.asarray(draw(a, b))
    log_x, log_rest = draws.T

    def implicit(a, b):
        """The log of a beta draw, at the same place."""
        return _log_x(a, b, log_x - log_rest)

    second = through(implicit)
    for mine, truth in zip(
        jax.tree.leaves(first), jax.tree.leaves(second), strict=True
    ):
        np.testing.assert_allclose(mine, truth, rtol=2e-4)


@jax.custom_jvp
def _logit(a, b, logit):
    return logit


@_logit.defjvp
def _logit_jvp(primals, tangents):
    a, b, _ = primals
    logit = _logit(*primals)
    slope_a, slope_b = beta_logit_slopes(a, b, logit)
    return logit, slope_a * tangents[0] + slope_b * tangents[1]


def _log_x(a, b, logit):
    return -jax.nn.softplus(-_logit(a, b, logit))


def test_one_component_is_all_of_a_dirichlet_variable():
    def draw(a):
        return rj.dirichlet(jax.random.key(0), a)

    np.testing.assert_array_equal(draw(np.float32([[2.0], [0.1]])), [[1.0], [1.0]])
    np.testing.assert_array_equal(jax.jacfwd(draw)(np.float32([0.3])), [[0.0]])


@pytest.mark.parametrize(
    ("df", "expected"),
    [(3, -0.14493407), (5, -0.04771184), (10, -0.01099028), (30, -0.00114811)],
)
def test_a_functional_of_student_t_with_finite_variance(df, expected, alpha):
    def log1p_of_square(key, df):
        return jnp.log1p(jnp.square(rj.student_t(key, df)) / df)

    (slopes,) = slopes_of(log1p_of_square, df)
    assert_means(slopes, expected, alpha)


@pytest.mark.parametrize(("df", "expected"), [(10, 9.8), (100, 103)])
def test_student_t_gradients_vary_less_than_through_normal_and_gamma(df, expected):
    """E log|t|: the ratio of variances, of which 2e5 draws know about 2 %."""

    def ours(key, df):
        return jnp.log(jnp.abs(rj.student_t(key, df)))

    def through_gamma(key, df):
        return -0.5 * jnp.log(rj.gamma(key, df / 2) / (df / 2))

    (mine,), (theirs,) = slopes_of(ours, df), slopes_of(through_gamma, df)
    assert abs(theirs.var() / mine.var() / expected - 1) < 0.1


def test_beta_gradients_vary_less_than_through_two_gammas():
    def through_gammas(key, a, b):
        first, second = jax.random.split(key)
        one, other = rj.gamma(first, a), rj.gamma(second, b)
        return one / (one + other)

    (mine, _), (theirs, _) = slopes_of(rj.beta, 2, 3), slopes_of(through_gammas, 2, 3)
    assert 1.7 < theirs.var() / mine.var() < 2.6
