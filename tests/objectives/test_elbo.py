import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from tests.estimators import exact
from tests.estimators.precisions import both_in_time, precision
from tests.hlo import collectives, compiled
from tests.objectives.given import GivenNoise

# The model z ~ N(0, 1), x | z ~ N(z, noise), the guide N(mean, std^2). Of precision
# A = 1 + 1 / noise and mean m = x / (noise A), the posterior is Gaussian, and so:
#   log p(x) - elbo = (A s^2 + A (mean - m)^2 - 1 - log(A s^2)) / 2
#   variances, standard:  mean: A^2 s^2,        std: A^2 (mean - m)^2 + 2 A^2 s^2
#   and stuck to landing: mean: (1/s - A s)^2,  std: A^2 (mean - m)^2 + 2 (1/s - A s)^2
CASES = {
    "mean": np.array([0.75, 0.0, 0.75, 0.75, -1.3, 0.2]),
    "std": np.array([0.5**0.5, 1.0, 0.4, 0.5, 0.8, 2.1]),
    "x": np.array([1.5, 1.5, 1.5, 1.5, 0.7, -2.0]),
    "noise": np.array([1.0, 1.0, 1.0, 1.0, 0.3, 2.5]),
}
PRECISION = 1 + 1 / CASES["noise"]
CENTRE = CASES["x"] / (CASES["noise"] * PRECISION)
OFF, STD = CASES["mean"] - CENTRE, CASES["std"]


def log_joint(z, x, noise):
    likelihood = dist.Normal(z, jnp.sqrt(noise)).log_prob(x)
    return dist.Normal().log_prob(z) + likelihood


def bounds(parameters, data, noise, **options):
    """The bounds of all cases, at one draw of base noise for each."""
    guide = dist.Normal(parameters["mean"], parameters["std"])
    options = {"estimator": GivenNoise(noise=noise[None])} | options
    key, args = jax.random.key(0), (data["x"], data["noise"])
    return rj.elbo(key, log_joint, guide, *args, **options)


def at_nodes(dtype, **options):
    """The bounds and their gradients at all nodes, and the nodes' weights."""
    with precision(dtype):
        given = {name: jnp.asarray(value, dtype) for name, value in CASES.items()}
        parameters = {name: given.pop(name) for name in ("mean", "std")}
        nodes, weights = exact.hermite(6, dtype)

        def loss(parameters, node):
            noise = jnp.broadcast_to(node, given["x"].shape)
            found = bounds(parameters, given, noise, **options)
            return jnp.sum(found), found

        slopes, values = jax.jit(jax.vmap(jax.grad(loss, has_aux=True), (None, 0)))(
            parameters, nodes
        )
        assert values.dtype == dtype
    return np.asarray(values, np.float64), slopes, weights


@both_in_time
@pytest.mark.parametrize("sticks", [False, True])
def test_value_and_moments_of_the_gradient_are_the_closed_forms(sticks, dtype, rtol):
    values, slopes, weights = at_nodes(dtype, sticking_the_landing=sticks)
    scaled = PRECISION * STD**2
    gap = (scaled + PRECISION * OFF**2 - 1 - np.log(scaled)) / 2
    total = 1 + CASES["noise"]
    evidence = -(CASES["x"] ** 2 / total + np.log(2 * np.pi * total)) / 2
    mean, variance = exact.moments(values, weights)
    np.testing.assert_allclose(mean, evidence - gap, rtol=4 * rtol)
    spread = 1 / STD - PRECISION * STD if sticks else PRECISION * STD
    wanted = {
        "mean": (-PRECISION * OFF, spread**2),
        "std": (1 / STD - PRECISION * STD, (PRECISION * OFF) ** 2 + 2 * spread**2),
    }
    for name, (slope, variance) in wanted.items():
        found = exact.moments(slopes[name], weights)
        size = np.sqrt(np.max(slope**2 + variance))
        np.testing.assert_allclose(found[0], slope, rtol=8 * rtol, atol=4 * rtol * size)
        np.testing.assert_allclose(found[1], variance, rtol=2e3 * rtol, atol=1e-10)


@both_in_time
def test_stuck_to_the_landing_every_gradient_is_0_at_the_posterior(dtype, rtol):
    # To rounding: the terms that cancel are A |z| + |x| / noise, at most 15 here.
    _, slopes, _ = at_nodes(dtype, sticking_the_landing=True)
    _, standard, _ = at_nodes(dtype)
    for name in ("mean", "std"):
        assert np.max(np.abs(slopes[name][:, 0])) <= 15 * rtol
        assert np.min(np.abs(standard[name][:, 0])) > 0.5


def test_sticking_is_worse_where_the_guide_is_narrow():
    # Iff s^2 < 1 / (2 A): at (0.75, 0.4) it is, at (0.75, 0.5) both are equal.
    _, sticking, weights = at_nodes(np.float32, sticking_the_landing=True)
    _, standard, _ = at_nodes(np.float32)
    _, ours = exact.moments(sticking["mean"], weights)
    _, theirs = exact.moments(standard["mean"], weights)
    tie = np.isclose(2 * PRECISION * STD**2, 1)
    narrow = 2 * PRECISION * STD**2 < 1
    np.testing.assert_array_equal((ours > theirs)[~tie], narrow[~tie])
    np.testing.assert_allclose(ours[tie], theirs[tie], rtol=1e-4)
    assert 0 < np.sum((ours > theirs)[~tie]) < np.sum(~tie)


LOGITS = jnp.array([[0.3, -1.2], [0.0, 2.0], [-0.4, 0.6]])
BITS_DATA = jnp.array([0.5, -1.0, 2.0])
ALL_BITS = jnp.asarray(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]))


def bits_model(bits, x):
    return dist.Normal(bits @ jnp.array([1.0, -2.0]), 0.8).log_prob(x)


def exact_bits_bound(logits, x):
    """By a sum over all outcomes, with the divergence written out."""
    p = jax.nn.sigmoid(logits)
    weights = jnp.prod(jnp.where(ALL_BITS == 1, p[None], 1 - p[None]), -1)
    likelihood = jnp.sum(weights * jax.vmap(bits_model, (0, None))(ALL_BITS, x))
    return likelihood - jnp.sum(p * jnp.log(2 * p) + (1 - p) * jnp.log(2 * (1 - p)))


def bits_bound(logits, key=None, **options):
    prior = dist.Bernoulli(0.5 * jnp.ones(2)).to_event(1)
    key = jax.random.key(3) if key is None else key
    guide = dist.Bernoulli(logits=logits).to_event(1)
    return rj.elbo(key, bits_model, guide, BITS_DATA, prior=prior, **options)


@pytest.mark.parametrize("sticks", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_default_for_bits_is_the_exact_bound(sticks):
    def total(logits):
        found = bits_bound(logits, sticking_the_landing=sticks)
        return jnp.sum(found), found

    slope, found = jax.jit(jax.grad(total, has_aux=True))(LOGITS)
    by_sum = jax.jit(jax.vmap(jax.value_and_grad(exact_bits_bound)))
    wanted, slopes = by_sum(LOGITS, BITS_DATA)
    np.testing.assert_allclose(found, wanted, rtol=2e-6)
    np.testing.assert_allclose(slope, slopes, rtol=2e-5, atol=2e-6)


ESTIMATORS = {
    "disarm": rj.DisARM(),
    "arm": rj.ARM(),
    "rebar": rj.Rebar(),
    "measure_valued": rj.MeasureValued(),
    "score": rj.ScoreFunction(),
    "leave_one_out": rj.ScoreFunction(baseline="leave_one_out"),
}


@pytest.mark.slow
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_is_unbiased(name, closed, alpha):
    # Without the closed form, the divergence is in the cost.
    options = {"estimator": ESTIMATORS[name], "num_samples": 2}
    options["sticking_the_landing"] = not closed

    def total(logits, key):
        return jnp.sum(bits_bound(logits, key, **options))

    keys = jax.random.split(jax.random.key(7), 40_000)
    found = np.asarray(over_keys(total)(LOGITS, keys), np.float64)
    wanted = jax.vmap(jax.grad(exact_bits_bound))(LOGITS, BITS_DATA)
    errors = found.std(0, ddof=1) / np.sqrt(len(found)) + 1e-6
    worst = np.max(np.abs(found.mean(0) - wanted) / errors)
    assert worst < np.sqrt(2 * np.log(2 * found[0].size / alpha))


def over_keys(loss):
    return jax.jit(jax.vmap(jax.grad(loss), (None, 0)))


def one_hot_model(draw, x):
    """Of a category, as an index or one-hot."""
    if draw.ndim == x.ndim:
        draw = jax.nn.one_hot(draw, 3)
    return dist.Normal(draw @ jnp.array([1.0, -2.0, 0.3]), 0.8).log_prob(x)


@pytest.mark.slow
@pytest.mark.parametrize("sticks", [False, True])
def test_one_hot_draws_of_relaxing_estimators_have_their_density(sticks, alpha):
    logits = jnp.array([[0.3, -0.6, 0.0], [1.0, 0.2, -1.0], [0.0, 0.0, 0.5]])
    prior = dist.Categorical(probs=jnp.array([0.2, 0.5, 0.3]))

    def total(logits, key, estimator):
        guide = dist.Categorical(logits=logits)
        options = {"estimator": estimator, "sticking_the_landing": sticks}
        args = one_hot_model, guide, BITS_DATA
        return jnp.sum(rj.elbo(key, *args, prior=prior, **options))

    wanted = jax.grad(total)(logits, jax.random.key(1), rj.Enumerate())
    keys = jax.random.split(jax.random.key(2), 40_000)
    found = over_keys(lambda logits, key: total(logits, key, rj.Rebar()))(logits, keys)
    found = np.asarray(found, np.float64)
    errors = found.std(0, ddof=1) / np.sqrt(len(found))
    worst = np.max(np.abs(found.mean(0) - wanted) / errors)
    assert worst < np.sqrt(2 * np.log(2 * found[0].size / alpha))


@pytest.mark.slow
def test_model_and_prior_parameters_have_their_gradient():
    # At given noise e, with z = m + s e: d log p(x|z) / d noise, and d KL / d location.
    def bound(noise, location):
        guide = dist.Normal(0.4, 0.7)
        prior = dist.Normal(location, 1.3)
        return rj.elbo(
            jax.random.key(0),
            lambda z, noise: dist.Normal(z, noise).log_prob(1.5),
            guide,
            noise,
            prior=prior,
            estimator=GivenNoise(noise=jnp.array([0.6])),
        )

    slopes = jax.grad(bound, (0, 1))(0.8, -0.2)
    z = 0.4 + 0.7 * 0.6
    np.testing.assert_allclose(slopes[0], (1.5 - z) ** 2 / 0.8**3 - 1 / 0.8, rtol=1e-5)
    np.testing.assert_allclose(slopes[1], (0.4 + 0.2) / 1.3**2, rtol=1e-5)


@pytest.mark.slow
def test_second_derivatives():
    def bound(parameters, noise, sticks):
        data = {"x": CASES["x"], "noise": noise}
        draw = jnp.full(6, 0.7)
        found = bounds(parameters, data, draw, sticking_the_landing=sticks)
        return jnp.sum(found)

    at = {name: jnp.asarray(CASES[name], jnp.float32) for name in ("mean", "std")}
    noise = jnp.asarray(CASES["noise"], jnp.float32)

    def curvature(noise):
        def along(mean):
            return bound(at | {"mean": mean}, noise, False)

        return jax.jvp(jax.grad(along), (at["mean"],), (jnp.ones(6),))[1]

    np.testing.assert_allclose(curvature(noise), -PRECISION, rtol=1e-5)
    for first, second in ((0, 0), (1, 0)):
        slope = jax.grad(bound, first)
        for mode in jax.jacfwd, jax.jacrev:
            with pytest.raises(NotImplementedError, match="no second derivatives"):
                mode(slope, second)(at, noise, True)
    # Of the guide's gradient for the model, and the model's own, as they are.
    for first in (0, 1):
        found = jax.jacfwd(jax.grad(bound, first), 1)(at, noise, True)
        wanted = jax.jacfwd(jax.grad(bound, first), 1)(at, noise, False)
        for a, b in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
            assert np.max(np.abs(b)) > 0.1


@pytest.mark.slow
def test_a_support_that_moves_cannot_stick_to_the_landing():
    # E d log q is -1 / high there, not 0.
    def bound(high, sticks):
        guide = dist.Uniform(0.0, high)
        log_joint = dist.Normal(1.0, 1.0).log_prob
        key, options = jax.random.key(0), {"sticking_the_landing": sticks}
        return rj.elbo(key, log_joint, guide, **options)

    u = jax.random.uniform(jax.random.key(0), (1,))[0]
    slope = jax.grad(bound)(2.0, False)
    np.testing.assert_allclose(slope, -u * (2 * u - 1) + 0.5, rtol=1e-5)
    with pytest.raises(ValueError, match="sticking_the_landing"):
        jax.grad(bound)(2.0, True)


WEIGHTS = jnp.linspace(-1.0, 1.0, 12).reshape(3, 4)


def vector_bound(parameters, key, x, **options):
    guide = dist.Normal(parameters["mean"], jnp.exp(parameters["log_std"])).to_event(1)
    prior = dist.Normal(jnp.zeros(3, x.dtype), jnp.ones(3, x.dtype)).to_event(1)

    def log_likelihood(z, x):
        center = jnp.tanh(z @ WEIGHTS.astype(x.dtype))
        return dist.Normal(center, jnp.ones_like(center)).to_event(1).log_prob(x)

    return rj.elbo(key, log_likelihood, guide, x, prior=prior, **options)


def by_hand(parameters, key, x):
    mean, std = parameters["mean"], jnp.exp(parameters["log_std"])
    z = mean + std * jax.random.normal(key, (1, *mean.shape))[0]
    error = x - jnp.tanh(z @ WEIGHTS.astype(x.dtype))
    likelihood = -jnp.sum(error**2 + jnp.log(2 * jnp.pi), -1) / 2
    return likelihood - jnp.sum((std**2 + mean**2 - 1) / 2 - jnp.log(std), -1)


def given(batch=8, dtype=jnp.float32):
    rng = np.random.default_rng(1)
    draw = [jnp.asarray(rng.normal(size=(batch, n)), dtype) for n in (3, 3, 4)]
    return {"mean": draw[0], "log_std": 0.3 * draw[1]}, draw[2]


@pytest.mark.slow
def test_it_is_what_one_writes_by_hand():
    parameters, x = given()

    def program(bound):
        def loss(parameters, key):
            return jnp.sum(bound(parameters, key, x))

        return jax.jit(jax.value_and_grad(loss))

    ours, hand = (
        program(bound).lower(parameters, jax.random.key(4)).compile()
        for bound in (vector_bound, by_hand)
    )
    alike(ours(parameters, jax.random.key(4)), hand(parameters, jax.random.key(4)))
    flops = [each.cost_analysis()["flops"] for each in (ours, hand)]
    # Of a decoder this small the divergence, as NumPyro writes it, is a good part.
    assert flops[0] <= 1.2 * flops[1]


def alike(found, wanted, rtol=2e-5):
    def check(a, b):
        size = float(jnp.max(jnp.abs(b)))
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * size)

    jax.tree.map(check, found, wanted)


@pytest.mark.slow
def test_vmap_and_scan_over_keys_forward_mode_and_legacy_keys():
    parameters, x = given()

    def loss(parameters, key):
        return jnp.sum(vector_bound(parameters, key, x, num_samples=2))

    slope = jax.jit(jax.grad(loss))

    def keys():
        return jax.random.split(jax.random.key(5), 3)

    wanted = [slope(parameters, key) for key in keys()]
    total = jax.tree.map(lambda *leaves: sum(leaves), *wanted)
    each = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(parameters, keys())
    alike(jax.tree.map(lambda leaf: leaf.sum(0), each), total)

    def summed(parameters, keys):
        def step(carry, key):
            return carry + loss(parameters, key), None

        return jax.lax.scan(step, jnp.zeros(()), keys)[0]

    alike(jax.jit(jax.grad(summed))(parameters, keys()), total)
    legacy = [jax.random.key_data(key) for key in keys()]
    alike(slope(parameters, legacy[0]), wanted[0])
    along = jax.tree.map(jnp.cos, parameters)
    forward = jax.jvp(lambda p: loss(p, keys()[0]), (parameters,), (along,))[1]
    products = jax.tree.map(lambda a, b: jnp.sum(a * b), wanted[0], along)
    alike(forward, sum(jax.tree.leaves(products)), 1e-4)


@pytest.mark.slow
def test_on_a_mesh_of_eight_devices_without_collectives():
    parameters, x = given(16)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.NamedSharding(mesh, jax.P("data"))

    def bound_and_slope(parameters, x):
        found, pull = jax.vjp(
            lambda parameters: vector_bound(parameters, jax.random.key(6), x),
            parameters,
        )
        return found, pull(jnp.ones_like(found))

    spread = jax.device_put((parameters, x), rows)
    assert collectives(compiled(bound_and_slope, *spread)) == []
    program = jax.jit(bound_and_slope)
    alike(program(*spread), program(parameters, x))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "rtol"), [(jnp.bfloat16, 0.05), (jnp.float16, 0.01), (jnp.float64, 1e-12)]
)
def test_other_precisions_give_the_same_bounds(dtype, rtol):
    with precision(np.dtype(dtype)):
        parameters, x = given(8, dtype)
        found = vector_bound(parameters, jax.random.key(4), x)
        wide = jnp.float64 if dtype == jnp.float64 else jnp.float32
        parameters, x = given(8, wide)
        wanted = by_hand(parameters, jax.random.key(4), x)
    assert found.dtype == dtype
    alike(np.asarray(found, np.float64), np.asarray(wanted, np.float64), rtol)


@pytest.mark.parametrize(
    "shape", [(0, 3), pytest.param((2, 0), marks=pytest.mark.slow)]
)
def test_nothing_is_a_bound_of_nothing(shape):
    guide = dist.Normal(jnp.zeros(shape), 1.0).to_event(1)
    prior = dist.Normal(jnp.zeros(shape[1]), jnp.ones(shape[1])).to_event(1)
    found = rj.elbo(jax.random.key(0), lambda z: jnp.sum(z, -1), guide, prior=prior)
    np.testing.assert_array_equal(found, np.zeros(shape[0]))


NORMAL = dist.Normal(jnp.zeros((5, 2)), 1.0)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"key": 3}, TypeError, r"`elbo` takes a JAX PRNG key.*jax\.random\.key\(3\)"),
        ({"key": jnp.zeros(5)}, TypeError, "swapped"),
        ({"num_samples": 0}, ValueError, "`elbo` needs `num_samples` of at least 1"),
        ({"guide": 1.0}, TypeError, "`elbo` takes a NumPyro distribution"),
        (
            {"guide": NORMAL},
            ValueError,
            r"`elbo`.*\(5, 2\).*got \(5,\).*to_event",
        ),
        ({"prior": dist.Normal()}, ValueError, r"event shape, \(2,\).*got event \(\)"),
        ({"prior": (NORMAL,)}, ValueError, "prior in the tree of the guide"),
        ({"prior": 0.0}, TypeError, "got float"),
        ({"estimator": rj.DisARM()}, TypeError, "DisARM.*Normal"),
        ({"estimator": rj.Pathwise}, TypeError, r"rj\.Pathwise\(\)"),
        ({"log_joint_fn": lambda z: z > 0}, TypeError, "`elbo` needs real.*got bool"),
        ({"log_joint_fn": lambda z: None}, TypeError, "`elbo` needs real.*NoneType"),
    ],
)
def test_mistakes_are_named(options, error, words):
    arguments = {
        "key": jax.random.key(0),
        "log_joint_fn": lambda z: jnp.sum(z, -1),
        "guide": NORMAL.to_event(1),
    } | options
    first = [arguments.pop(name) for name in ("key", "log_joint_fn", "guide")]
    with pytest.raises(error, match=words):
        rj.elbo(*first, **arguments)
