"""First derivatives: exact, in every mode, and the same eager and jitted."""

import chex
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import reparam_jax as rj
from tests.ulps import ulps

# float32 rounds exp and its argument, which reaches 34: a few units.
MOST_ULPS = {"var": 2, "std": 0, "log_var": 4}
VARIANCES = np.geomspace(1e-30, 1e30, 481).astype(np.float32)
SCALES = {"var": VARIANCES, "std": np.sqrt(VARIANCES), "log_var": np.log(VARIANCES)}
MEAN = np.linspace(-5, 5, 481).astype(np.float32)
NAMES = list(SCALES)


def key():
    return jax.random.key(17)


def noise(shape=MEAN.shape):
    return np.asarray(jax.random.normal(key(), shape))


def closed_form(name, scale, noise):
    scale, noise = scale.astype(np.float64), noise.astype(np.float64)
    slopes = {
        "var": lambda: noise / (2 * np.sqrt(scale)),
        "std": lambda: noise,
        "log_var": lambda: np.exp(scale / 2) * noise / 2,
    }
    return slopes[name]()


def reverse(name):
    """(mean, scale) -> (dz / dmean, dz / dscale), elementwise."""

    def slopes(mean, scale):
        _, pullback = jax.vjp(
            lambda m, s: rj.normal(key(), m, **{name: s}), mean, scale
        )
        return pullback(jnp.ones(mean.shape, mean.dtype))

    return slopes


def forward(name):
    def slopes(mean, scale):
        def draw(mean, scale):
            return rj.normal(key(), mean, **{name: scale})

        one, zero = jnp.ones_like(mean), jnp.zeros_like(mean)
        _, for_mean = jax.jvp(draw, (mean, scale), (one, zero))
        _, for_scale = jax.jvp(draw, (mean, scale), (zero, one))
        return for_mean, for_scale

    return slopes


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", [reverse, forward])
@pytest.mark.parametrize("program", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_gradients_are_exact_over_sixty_decades(name, mode, program):
    scale = SCALES[name]
    for_mean, for_scale = program(mode(name))(jnp.asarray(MEAN), jnp.asarray(scale))
    np.testing.assert_array_equal(for_mean, np.ones_like(MEAN))
    expected = closed_form(name, scale, noise())
    assert ulps(for_scale, expected) <= MOST_ULPS[name]
    chex.assert_trees_all_equal_shapes_and_dtypes(for_scale, jnp.asarray(scale))


@pytest.mark.parametrize("jacobian", [jax.jacfwd, jax.jacrev])
def test_jacobians_are_diagonal_and_exact(jacobian):
    mean, var = MEAN[:7], VARIANCES[200:207]

    def draw(mean, var):
        return rj.normal(key(), mean, var)

    for_mean, for_var = jax.jit(jacobian(draw, argnums=(0, 1)))(mean, var)
    np.testing.assert_array_equal(for_mean, np.eye(7))
    slopes = closed_form("var", var, noise((7,)))
    assert ulps(np.diagonal(for_var), slopes) <= 2
    np.testing.assert_array_equal(for_var - np.diag(np.diagonal(for_var)), 0)


def test_the_second_text_by_hand():
    def loss(mean, std):
        return rj.normal(key(), mean, std=std)

    for_mean, for_std = jax.grad(loss, argnums=(0, 1))(2.0, 5.0)
    assert for_mean == 1
    assert for_std == jax.random.normal(key())


def test_gradients_are_exact_in_float64():
    with jax.enable_x64(True):
        var = np.geomspace(1e-300, 1e300, 61)
        epsilon = np.asarray(jax.random.normal(key(), (61,), jnp.float64))
        modes = [jax.jit(mode("var")) for mode in (reverse, forward)]
        slopes = [mode(jnp.zeros(61), jnp.asarray(var)) for mode in modes]
    with mpmath.workprec(200):
        exact = [
            mpmath.mpf(e) / (2 * mpmath.sqrt(v))
            for e, v in zip(epsilon, var, strict=True)
        ]
        for for_mean, for_var in slopes:
            assert for_var.dtype == jnp.float64
            np.testing.assert_array_equal(for_mean, 1)
            for actual, expected in zip(for_var, exact, strict=True):
                unit = np.spacing(abs(float(expected)))
                assert abs(mpmath.mpf(float(actual)) - expected) <= 2 * unit


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_for_given_noise_is_the_std(name):
    def draw(noise, mean, scale):
        return jnp.sum(rj.normal_from_noise(noise, mean, **{name: scale}))

    scale = SCALES[name]
    slopes = jax.jit(jax.grad(draw, argnums=(0, 1, 2)))(noise(), MEAN, scale)
    wide = scale.astype(np.float64)
    std = {"var": np.sqrt, "std": np.asarray, "log_var": lambda x: np.exp(x / 2)}
    assert ulps(slopes[0], std[name](wide)) <= MOST_ULPS[name]
    np.testing.assert_array_equal(slopes[1], 1)
    assert ulps(slopes[2], closed_form(name, scale, noise())) <= MOST_ULPS[name]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_gradients_of_short_dtypes_are_those_of_float32_rounded_once(dtype):
    mean, var = jnp.asarray(MEAN, dtype), jnp.asarray(SCALES["var"] ** 0.1, dtype)
    for_mean, for_var = reverse("var")(mean, var)
    assert (for_mean.dtype, for_var.dtype) == (dtype, dtype)
    wide = reverse("var")(mean.astype(jnp.float32), var.astype(jnp.float32))[1]
    np.testing.assert_array_equal(for_var, wide.astype(dtype))
    np.testing.assert_array_equal(for_mean, 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_that_is_broadcast_gets_the_sum_over_its_elements(name):
    mean = jnp.zeros((6, 1, 4))
    scale = jnp.array([0.25, 1.0, 4.0, 9.0, 1.5]).reshape(5, 1)

    def loss(mean, scale, weight):
        return jnp.sum(weight * rj.normal(key(), mean, **{name: scale}))

    weight = np.linspace(-1, 2, 120).reshape(6, 5, 4).astype(np.float32)
    slopes = jax.jit(jax.grad(loss, argnums=(0, 1)))(mean, scale, weight)
    each = closed_form(name, np.broadcast_to(scale, weight.shape), noise((6, 5, 4)))
    expected = (
        weight.sum(1, keepdims=True),
        (weight * each).sum((0, 2))[:, None].astype(np.float32),
    )
    chex.assert_trees_all_close(slopes, expected, rtol=2e-6, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mean_shape", "scale_shape"),
    [
        ("var", (), (33, 50)),
        ("var", (100, 5), ()),
        ("log_var", (33, 50), (50,)),
    ],
    ids=str,
)
def test_eager_equals_jit_bit_for_bit(name, mean_shape, scale_shape):
    rng = np.random.default_rng(1)
    mean = jnp.asarray(rng.normal(size=mean_shape), jnp.float32)
    scale = jnp.asarray(rng.uniform(0.5, 2, scale_shape), jnp.float32)

    def draw(mean, scale):
        return rj.normal(key(), mean, **{name: scale})

    def slopes(mean, scale):
        return jax.grad(lambda *p: jnp.sum(draw(*p)), argnums=(0, 1))(mean, scale)

    chex.assert_trees_all_equal(draw(mean, scale), jax.jit(draw)(mean, scale))
    chex.assert_trees_all_equal(slopes(mean, scale), jax.jit(slopes)(mean, scale))
