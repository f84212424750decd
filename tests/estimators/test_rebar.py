import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from tests.estimators import conditional, exact

# Of the mean, and of rounding in the terms of an estimate, which are of order 1.
TOLERANCE = {False: 1e-6, True: 1e-12}


def sigmoid(logits):
    return 1 / (1 + np.exp(-np.asarray(logits)))


def mean_gradient(estimator, cost_fn, dist_of, parameters, draws, weights):
    draws = jax.tree.map(jnp.asarray, draws)
    slopes = exact.gradients(
        estimator, cost_fn, dist_of, jnp.asarray(parameters), draws
    )
    return exact.moments(slopes, weights)[0]


def bernoulli(logits):
    return dist.Bernoulli(logits=logits)


def bernoulli_probs(probs):
    return dist.Bernoulli(probs=probs)


@functools.partial(jax.jit, static_argnums=0)
def one_bit_slopes(dist_of, parameter, p0, temperature, scale, draws):
    """Of every draw by itself, with the quadratic cost of one bit."""

    def estimate(parameter, draw):
        draw = jax.tree.map(lambda x: x[None], draw)
        rebar = rj.Rebar(temperature, scale)
        return rebar.estimate(lambda b: (b - p0) ** 2, dist_of(parameter), draw)

    return jax.vmap(jax.grad(estimate), (None, 0))(parameter, draws)


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize(
    ("theta", "p0", "temperature", "scale"),
    [(0.5, 0.499, 0.5, 1.0), (0.3, 0.45, 1.0, 0.7), (0.9, 0.499, 0.7, -2.0)],
)
def test_the_mean_over_one_bit_is_exact(theta, p0, temperature, scale, x64):
    logit = np.log(theta / (1 - theta))
    draws, weights = conditional.one_bit(logit, *conditional.logistic())
    with jax.enable_x64(x64):
        for dist_of, parameter, factor in [
            (bernoulli, logit, theta * (1 - theta)),
            (bernoulli_probs, theta, 1),
        ]:
            slopes = one_bit_slopes(dist_of, parameter, p0, temperature, scale, draws)
            mean, _ = exact.moments(slopes, weights)
            assert abs(mean - factor * (1 - 2 * p0)) < TOLERANCE[x64] * factor


def paper(logit, p0, temperature, scale, u, v):
    """The estimate by the formulas of Tucker et al. 2017, in uniforms."""
    theta = jax.nn.sigmoid(logit)
    bit = u > 1 - theta

    def control(logit, uniform):
        z = logit + jnp.log(uniform / (1 - uniform))
        return scale * (jax.nn.sigmoid(z / temperature) - p0) ** 2

    def given(logit):
        theta = jax.nn.sigmoid(logit)
        return control(logit, jnp.where(bit, v * theta + 1 - theta, v * (1 - theta)))

    score = (bit - p0) ** 2 * (bit - theta) - given(logit) * (bit - theta)
    return score + jax.grad(control)(logit, u) - jax.grad(given)(logit)


def test_every_estimate_is_that_of_the_paper():
    with jax.enable_x64(True):
        u, v = jnp.asarray(np.random.default_rng(0).uniform(size=(2, 500)))
        logit, p0, temperature, scale = jnp.array([0.6, 0.45, 0.4, 0.8])
        over_uniforms = jax.jit(jax.vmap(paper, (None,) * 4 + (0, 0)))
        expected = over_uniforms(logit, p0, temperature, scale, u, v)
        draws = jnp.log(u / (1 - u)), jnp.log(v / (1 - v))
        found = one_bit_slopes(bernoulli, logit, p0, temperature, scale, draws)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_the_variance_at_the_best_scale_is_below_that_of_the_score_function(
    temperature,
):
    theta, p0 = 0.3, -1.0
    draws, weights = conditional.one_bit_product(
        np.log(theta / (1 - theta)), *conditional.logistic(0.5, 30.0)
    )
    logit, variances = np.log(theta / (1 - theta)), []
    with jax.enable_x64(True):
        for scale in (0.0, 1.0, 2.0):
            slopes = one_bit_slopes(bernoulli, logit, p0, temperature, scale, draws)
            variances.append(exact.moments(slopes, weights)[1])
    score_function = theta * (1 - theta) * ((1 - theta) * 4 + theta) ** 2
    np.testing.assert_allclose(variances[0], score_function, rtol=1e-10)
    # A parabola in the scale, by three of its points.
    bend = variances[0] - 2 * variances[1] + variances[2]
    tilt = (4 * variances[1] - 3 * variances[0] - variances[2]) / 2
    assert 0 < variances[0] - tilt**2 / (2 * bend) < 0.7 * score_function


LOGITS = np.array([0.3, -1.1, 0.8])


def three_bit_cost(bits):
    """Not separable, and linear in every bit."""
    first, second, third = bits
    return 2 * first * second * third - first * second + second * third / 2 + third


def three_bit_gradient(cost_fn, logits):
    outcomes = np.asarray(exact.bits(3))
    chances = np.where(outcomes == 1, sigmoid(logits), sigmoid(-logits)).prod(1)
    costs = np.array([cost_fn(outcome) for outcome in outcomes])
    return (costs * chances) @ (outcomes - sigmoid(logits))


@pytest.mark.parametrize("x64", [False, True])
def test_the_mean_over_three_bits_is_exact(x64):
    draws, weights = conditional.several_bits(LOGITS, 0.7)
    with jax.enable_x64(x64):
        found = mean_gradient(
            rj.Rebar(0.7, 1.3), three_bit_cost, bernoulli, LOGITS, draws, weights
        )
    expected = three_bit_gradient(three_bit_cost, LOGITS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[x64])


def test_the_mean_over_a_tree_of_bits_is_exact():
    def dist_of(logits):
        pair = dist.Bernoulli(logits=logits[:2]).to_event(1)
        return {"pair": pair, "single": dist.Bernoulli(logits=logits[2])}

    def cost_fn(bits):
        return three_bit_cost([*bits["pair"], bits["single"]])

    (free, given), weights = conditional.several_bits(LOGITS, 0.7)
    draws = {
        "pair": (free[:, :2], given[:, :2]),
        "single": (free[:, 2], given[:, 2]),
    }
    with jax.enable_x64(True):
        found = mean_gradient(rj.Rebar(0.7), cost_fn, dist_of, LOGITS, draws, weights)
    expected = three_bit_gradient(three_bit_cost, LOGITS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


PROBS = np.array([0.2, 0.5, 0.3])
COSTS = np.array([1.0, 4.0, 0.25])


def category_cost(y):
    """The costs at the corners, and a function that is neither linear nor symmetric."""
    return jnp.sum(jnp.array([1.0, -2.0, 0.5], y.dtype) * y) ** 2 + y[0] * y[1]


@pytest.mark.parametrize(
    ("dist_of", "of_probs", "x64"),
    [
        (lambda logits: dist.Categorical(logits=logits), False, False),
        (lambda logits: dist.Multinomial(1, logits=logits), False, True),
        (lambda probs: dist.Categorical(probs=probs), True, True),
    ],
    ids=["categorical", "multinomial", "probs"],
)
def test_the_mean_over_three_categories_is_exact(dist_of, of_probs, x64):
    draws, weights = conditional.three_categories(PROBS)
    parameters = PROBS if of_probs else np.log(PROBS) + 0.7
    with jax.enable_x64(x64):
        found = mean_gradient(
            rj.Rebar(0.8, 1.3), category_cost, dist_of, parameters, draws, weights
        )
    # A Categorical normalizes its probs.
    expected = COSTS - COSTS @ PROBS
    expected = expected if of_probs else PROBS * expected
    np.testing.assert_allclose(found, expected, rtol=0, atol=4 * TOLERANCE[x64])


def test_costs_of_a_batch_are_credited_element_by_element():
    """Each as in an expectation of its own, a leaf that lacks an axis too."""
    parameters = {
        "bits": jnp.linspace(-1, 1, 6).reshape(2, 3),
        "shared": jnp.linspace(-0.5, 2, 24).reshape(3, 2, 4),
        "events": jnp.linspace(-2, 1, 4).reshape(2, 1, 2),
    }
    weights = jnp.arange(1.0, 7).reshape(2, 3)
    rebar = rj.Rebar(0.6, 0.9)

    def dist_of(parameters):
        return {
            "bits": dist.Bernoulli(logits=parameters["bits"]),
            "shared": dist.Categorical(logits=parameters["shared"]).to_event(1),
            "events": dist.Bernoulli(logits=parameters["events"]).to_event(1),
        }

    def cost_fn(draw):
        categories = jnp.prod(draw["shared"] @ jnp.array([0.3, -1, 2, 0.7]), -1)
        events = draw["events"][..., 0] * draw["events"][..., 1]
        return jnp.sin(draw["bits"] + lead(categories, draw["bits"]) * events)

    def lead(array, like):
        return jnp.expand_dims(array, tuple(range(like.ndim - array.ndim)))

    draws = {
        name: conditional.noise(seed, (5, *array.shape))
        for seed, (name, array) in enumerate(parameters.items())
    }

    @jax.grad
    def together(parameters):
        estimate = rebar.estimate(cost_fn, dist_of(parameters), draws)
        assert estimate.shape == (2, 3)
        return jnp.sum(weights * estimate)

    def one(own, own_draws):
        return rebar.estimate(cost_fn, dist_of(own), own_draws)

    def elements(tree):
        """What each of the six costs depends on, on a leading axis."""
        shapes = {"bits": (2, 3), "shared": (2, 3, 2, 4), "events": (2, 3, 2)}
        return {
            name: jnp.broadcast_to(tree[name], shape).reshape(6, *shape[2:])
            for name, shape in shapes.items()
        }

    @jax.grad
    def apart(parameters):
        noise = [
            jax.vmap(elements, out_axes=1)({name: draws[name][i] for name in draws})
            for i in (0, 1)
        ]
        own_draws = {name: (noise[0][name], noise[1][name]) for name in draws}
        costs = jax.vmap(one)(elements(parameters), own_draws)
        return weights.ravel() @ costs

    found, expected = jax.jit(lambda p: (together(p), apart(p)))(parameters)
    for name in parameters:
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=1e-6)


def test_all_else_that_the_cost_reaches_has_the_cost_s_own_derivative():
    weight = jnp.array([0.5, -1.0, 2.0])
    law = dist.Bernoulli(logits=jnp.asarray(LOGITS, jnp.float32))
    draws = conditional.noise(0, (7, 3))
    bits = LOGITS + draws[0] > 0

    def estimate(weight, offset):
        def cost_fn(bits, weight):
            return jnp.sum(weight * bits) ** 2 * offset

        return rj.Rebar().estimate(cost_fn, law, draws, weight)

    slopes = jax.jit(jax.grad(estimate, (0, 1)))(weight, 1.5)
    totals = bits @ np.asarray(weight)
    expected = np.mean(3 * totals[:, None] * bits, 0)
    np.testing.assert_allclose(slopes[0], expected, rtol=1e-5)
    np.testing.assert_allclose(slopes[1], np.mean(totals**2), rtol=1e-5)


def test_the_cost_sees_floats_of_the_dtype_of_the_logits():
    seen = []

    def cost_fn(draw):
        seen.extend(draw)
        return sum(jnp.sum(y) for y in draw)

    laws = [
        dist.Bernoulli(logits=jnp.zeros(2, jnp.bfloat16)),
        dist.Categorical(logits=jnp.zeros((2, 3), jnp.float16)),
        dist.Multinomial(1, logits=jnp.zeros(3)),
    ]
    shapes = (4, 2), (4, 2, 3), (4, 3)
    draws = [conditional.noise(0, shape) for shape in shapes]
    jax.eval_shape(lambda: rj.Rebar().estimate(cost_fn, laws, draws))
    dtypes = [jnp.bfloat16, jnp.float16, jnp.float32]
    assert [y.dtype for y in seen] == dtypes * (len(seen) // 3)
    assert [y.shape for y in seen[:3]] == [(2,), (2, 3), (3,)]


def loss(logits, key, estimator=None, num_samples=3):
    return rj.expectation(
        key,
        three_bit_cost,
        dist.Bernoulli(logits=logits),
        num_samples=num_samples,
        estimator=estimator or rj.Rebar(0.7, 1.3),
    )


@pytest.mark.slow
def test_transformations_agree():
    logits = jnp.asarray(LOGITS, jnp.float32)
    gradient = jax.grad(loss)

    def scanned(logits, keys):
        def step(total, key):
            return total + loss(logits, key), None

        return jax.lax.scan(step, 0.0, keys)[0]

    def batched(rows, keys):
        return jnp.sum(jax.vmap(loss)(rows, keys))

    @jax.jit
    def every_way(logits):
        def keys():
            return jax.random.split(jax.random.key(1), 4)

        rows = jnp.stack([logits] * 4)
        return (
            jax.vmap(gradient, (None, 0))(logits, keys()),
            jax.grad(batched)(rows, keys()),
            jax.grad(scanned)(logits, keys()),
        )

    keys = jax.random.split(jax.random.key(1), 4)
    alone = jax.jit(gradient)
    expected = jnp.stack([alone(logits, key) for key in keys])
    *each, total = every_way(logits)
    same = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    for found in each:
        same(found, expected)
    same(total, expected.sum(0))


def test_the_estimator_is_a_pytree_of_its_parameters():
    logits = jnp.asarray(LOGITS, jnp.float32)

    @jax.jit
    def slopes(estimator):
        def squared(estimator):
            gradient = jax.grad(loss)(logits, jax.random.key(2), estimator)
            return jnp.sum(gradient**2)

        def value(estimator):
            return loss(logits, jax.random.key(2), estimator)

        return jax.grad(squared)(estimator), jax.grad(value)(estimator)

    of_the_gradient, of_the_value = slopes(rj.Rebar(0.7, 1.3))
    assert isinstance(of_the_gradient, rj.Rebar)
    assert of_the_gradient.temperature != 0
    assert of_the_gradient.scale != 0
    assert jax.tree.leaves(of_the_value) == [0, 0]


@pytest.mark.parametrize("outer", [jax.jacfwd, jax.jacrev])
def test_second_derivatives_for_the_logits_raise(outer):
    gradient = jax.grad(lambda logits: loss(logits, jax.random.key(0)))
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        jax.eval_shape(outer(gradient), jnp.asarray(LOGITS, jnp.float32))


def test_a_cost_may_close_over_a_key():
    """An expectation inside the cost, with the same noise at all of its draws."""

    def nested(logit, inner_mean):
        inner_key = jax.random.key(5)

        def cost_fn(bit):
            return rj.expectation(
                inner_key,
                lambda inner, bit: (inner + 2 * bit) ** 2,
                dist.Normal(inner_mean, 1.0),
                bit,
                num_samples=2,
            )

        law = dist.Bernoulli(logits=logit)
        return rj.expectation(
            jax.random.key(6), cost_fn, law, num_samples=4, estimator=rj.Rebar()
        )

    noise = rj.noise.normal(jax.random.key(5), (2,))

    def written_out(logit, inner_mean):
        def cost_fn(bit):
            return jnp.mean((inner_mean + noise + 2 * bit) ** 2)

        law = dist.Bernoulli(logits=logit)
        return rj.expectation(
            jax.random.key(6), cost_fn, law, num_samples=4, estimator=rj.Rebar()
        )

    found = jax.jit(jax.grad(nested, (0, 1)))(0.4, 0.8)
    expected = jax.jit(jax.grad(written_out, (0, 1)))(0.4, 0.8)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_estimates_of_one_law_nest_in_those_of_another():
    """Either inside the other: the same, of the joint cost at all pairs of draws."""
    rebar = rj.Rebar(0.7, 1.1)
    draws = [conditional.noise(seed, (3,)) for seed in (0, 1)]

    def cost_fn(bits):
        return jnp.exp(bits[0] * (1 + bits[1]) + bits[1])

    def nested(logits, outer, inner):
        def outer_cost(outer_bit):
            def inner_cost(inner_bit):
                bits = {outer: outer_bit, inner: inner_bit}
                return cost_fn((bits[0], bits[1]))

            return estimate(inner_cost, logits, inner)

        return estimate(outer_cost, logits, outer)

    def estimate(cost_fn, logits, which):
        law = dist.Bernoulli(logits=logits[which])
        return rebar.estimate(cost_fn, law, draws[which])

    def one_alone(logits):
        """At hard draws of the other."""
        bits = (logits[0] + draws[0][0] > 0).astype(jnp.float32)
        return estimate(lambda bit: jnp.mean(cost_fn((bits, bit))), logits, 1)

    @jax.jit
    def slopes(logits):
        ways = (0, 1), (1, 0)
        found = [jax.grad(nested)(logits, *way) for way in ways]
        return *found, jax.grad(one_alone)(logits)

    first, second, alone = slopes(jnp.array([0.4, -0.9]))
    np.testing.assert_allclose(first, second, rtol=1e-5)
    np.testing.assert_allclose(first[1], alone[1], rtol=1e-5)
    assert (jnp.abs(first) > 0.01).all()


def test_wrong_arguments_are_refused():
    law = dist.Bernoulli(logits=0.0)
    draws = conditional.noise(0, (2,))
    with pytest.raises(ValueError, match="`temperature`"):
        rj.Rebar(0.0).estimate(lambda bit: bit, law, draws)
    with pytest.raises(TypeError, match="`Rebar` takes Bernoulli"):
        rj.Rebar().draw(jax.random.key(0), dist.Poisson(1.0), 2)


def test_a_batch_split_over_devices_gives_the_same():
    def gradient(logits, noise, given):
        def estimate(logits):
            law = dist.Bernoulli(logits=logits).to_event(1)
            costs = rj.Rebar().estimate(
                lambda bits: jnp.sum(bits, -1) ** 2, law, (noise, given)
            )
            return jnp.sum(costs)

        return jax.grad(estimate)(logits)

    logits = jnp.linspace(-1, 1, 16).reshape(8, 2)
    draws = [jnp.asarray(noise) for noise in conditional.noise(0, (3, 8, 2))]
    expected = jax.jit(gradient)(logits, *draws)
    mesh = jax.make_mesh((8,), ("batch",), (jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec
    whole = jax.NamedSharding(mesh, spec("batch"))
    rows = jax.NamedSharding(mesh, spec(None, "batch"))
    split = [jax.device_put(noise, rows) for noise in draws]
    program = jax.jit(gradient).lower(jax.device_put(logits, whole), *split).compile()
    assert "all-" not in program.as_text()
    found = program(jax.device_put(logits, whole), *split)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
