import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from reparam_jax.special._beta_point import point_of, point_of_logs

# Into compiling many programs goes the time.
pytestmark = pytest.mark.slow

# Draws within a few standard deviations of their mean, where all that large
# concentrations cancel shows, and some far out.
A = np.float32([1e6, 1e6, 1e5, 1e6, 30.0, 1e-3, 1e-3, 2.0, 1e3, 7e5])
B = np.float32([1e6, 1e5, 1e6, 1e-2, 50.0, 1e6, 1e-3, 3.0, 7e5, 9e2])
X = np.float32(
    [0.5004, 0.90911, 0.0909, 0.9999998, 0.3, 1e-20, 0.7, 0.9, 1.5e-3, 0.999]
)
FIELDS = ("log_y", "logit", "excess", "log_ratio_x", "log_ratio_y")


def features(a, b, log_x):
    """The point, as mpmath has it, before it is mirrored."""
    with mpmath.workdps(60):
        a, b, log_x = mpmath.mpf(float(a)), mpmath.mpf(float(b)), mpmath.mpf(log_x)
        x, y, n = mpmath.exp(log_x), -mpmath.expm1(log_x), a + b
        log_y = mpmath.log(y)
        ratios = mpmath.log(x * n / a), mpmath.log(y * n / b)
        return [float(v) for v in (log_y, log_x - log_y, n * x - a, *ratios)]


def mirrored(point):
    """What the point says of the draw itself: the fields, unmirrored."""
    upper = np.asarray(point.upper)
    values = {name: np.asarray(getattr(point, name), float) for name in point._fields}
    values["logit"] = np.where(upper, -values["logit"], values["logit"])
    values["excess"] = np.where(upper, -values["excess"], values["excess"])
    x, y = values["log_ratio_x"], values["log_ratio_y"]
    values |= {
        "log_ratio_x": np.where(upper, y, x),
        "log_ratio_y": np.where(upper, x, y),
    }
    values["log_y"] = np.where(
        upper, values["log_y"] - values["logit"], values["log_y"]
    )
    return values


@pytest.mark.parametrize("of_logs", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_differences_are_precise(dtype, of_logs):
    with mpmath.workdps(60):
        logs = [mpmath.log(mpmath.mpf(float(x))) for x in X]
    with jax.enable_x64(True):
        a, b, x = (jnp.asarray(v.astype(dtype)) for v in (A, B, X))
        if of_logs:
            logs = [float(dtype(float(log))) for log in logs]
            log_x = jnp.asarray(logs, dtype)
            log_y = jnp.log1p(-jnp.exp(log_x.astype(float))).astype(dtype)
            point = point_of_logs(a, b, log_x, log_y)
        else:
            point = point_of(a, b, x)
    found = mirrored(point)
    true = dict(zip(FIELDS, zip(*map(features, A, B, logs), strict=True), strict=True))
    # Some XLA logs are 20 units off in float64.
    eps = np.finfo(dtype).eps * (1 if dtype == np.float32 else 8)
    for name in FIELDS:
        if name in ("excess", "log_ratio_x", "log_ratio_y"):
            # Of the logs only two thirds of the bits are kept beyond the dtype's own.
            slack = 1e-9 if of_logs and dtype == np.float32 else 0
            slack = 5 * eps if of_logs and dtype == np.float64 else slack
            scale = {"excess": A, "log_ratio_x": 1, "log_ratio_y": A / B}[name]
            allowed = 8 * eps * np.abs(true[name]) + slack * scale * (1 + X)
        else:
            # A mirrored point holds log(x) instead, beside the logit.
            logit = np.abs(true["logit"]) * np.asarray(point.upper)
            allowed = 8 * eps * (np.abs(true[name]) + logit)
            allowed += eps * (name == "logit")
            allowed += 2 * eps * X if of_logs else 0  # from the logs themselves
        assert np.all(np.abs(found[name] - true[name]) <= allowed), name


def test_draws_below_the_mean_stay_and_others_are_mirrored():
    point = point_of(*map(jnp.asarray, (A, B, X)))
    low = X * (A + B + 1) <= A + 0.5
    np.testing.assert_array_equal(point.upper, ~low)
    np.testing.assert_array_equal(point.a, np.where(low, A, B))
    np.testing.assert_array_equal(point.x, np.where(low, X, 1 - X))


@pytest.mark.parametrize("name", FIELDS)
def test_tangents_are_those_of_the_plain_formulas(name):
    def plain(a, b, x):
        upper = x * (a + b + 1) > a + 0.5
        swap = lambda u, v: (jnp.where(upper, v, u), jnp.where(upper, u, v))  # noqa: E731
        (a, b), (x, y) = swap(a, b), swap(x, 1 - x)
        n = a + b
        return {
            "log_y": jnp.log(y),
            "logit": jnp.log(x) - jnp.log(y),
            "excess": n * x - a,
            "log_ratio_x": jnp.log(x) + jnp.log(n) - jnp.log(a),
            "log_ratio_y": jnp.log(y) + jnp.log(n) - jnp.log(b),
        }[name]

    def by_logs(a, b, x):
        return getattr(point_of_logs(a, b, jnp.log(x), jnp.log1p(-x)), name)

    with jax.enable_x64(True):
        args = [jnp.asarray(v.astype(float)) for v in (A, B, X)]
        expected = jax.grad(lambda *v: jnp.sum(plain(*v)), (0, 1, 2))(*args)
        for function in (lambda *v: getattr(point_of(*v), name), by_logs):
            actual = jax.grad(lambda *v, f=function: jnp.sum(f(*v)), (0, 1, 2))(*args)
            for mine, true in zip(actual, expected, strict=True):
                np.testing.assert_allclose(mine, true, rtol=1e-6)
