import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from tests.estimators import pairs

both = pytest.mark.parametrize("estimator", pairs.ESTIMATORS, ids=repr)


@both
@pytest.mark.parametrize("bits", [pytest.param(32, marks=pytest.mark.slow), 64])
@pytest.mark.parametrize("name", pairs.TREES)
def test_several_laws_have_the_exact_mean(estimator, name, bits):
    tree, gradients = pairs.tree(name, bits)
    exact = tree.exact_gradients()
    for found, expected in zip(gradients[estimator], exact, strict=True):
        mean = np.tensordot(tree.weights, found, 1)
        pairs.close(mean, expected, bits, scale=np.max(np.abs(expected)))


def test_draws_are_symmetric_and_never_at_an_end():
    leaf = dist.Bernoulli(logits=jnp.zeros(2)).expand([3, 2]).to_event(1)
    laws = [leaf, dist.Categorical(logits=jnp.zeros((4, 5)))]
    bit, category = jax.jit(lambda key: rj.DisARM().draw(key, laws, 7))(
        jax.random.key(3)
    )
    assert bit.shape == (7, 3, 2)
    assert category.shape == (7, 4, 4)
    fractions = np.concatenate([np.ravel(bit), np.ravel(category)]) * 2**24
    np.testing.assert_array_equal(fractions % 2, 1)
    assert np.ptp(fractions) > 0.9 * 2**24
    assert len(np.unique(fractions)) == fractions.size
    law = dist.Multinomial(1, jnp.ones(3) / 3)
    one_hot = jax.eval_shape(lambda: rj.ARM().draw(jax.random.key(0), law, 2))
    assert one_hot.shape == (2, 2)


@pytest.mark.slow
@both
def test_a_pair_is_two_evaluations_however_many_laws(estimator):
    seen = []

    def cost_fn(draws):
        seen.append([(draw.shape, draw.dtype) for draw in draws])
        return draws[0] * 1.0

    laws = [dist.Bernoulli(logits=0.3), dist.Bernoulli(logits=jnp.zeros(2)).to_event(1)]
    laws.append(dist.Multinomial(1, logits=jnp.zeros(3)))
    laws.append(dist.Categorical(logits=jnp.zeros(4)))
    draws = jax.eval_shape(lambda: estimator.draw(jax.random.key(0), laws, 5))
    jax.eval_shape(lambda draws: estimator.estimate(cost_fn, laws, draws), draws)
    whole = jnp.result_type(int)
    assert seen == [[((), whole), ((2,), whole), ((3,), whole), ((), whole)]]

    rows = []

    def counted(draws):
        jax.debug.callback(rows.append, draws[0])
        return draws[0] * 1.0

    def value(key):
        return estimator.estimate(counted, laws, estimator.draw(key, laws, 5))

    jax.block_until_ready(jax.jit(value)(jax.random.key(0)))
    jax.effects_barrier()
    assert len(rows) == 2 * 5


@both
def test_the_value_is_the_mean_of_the_pair(estimator):
    noise = jnp.array([0.1, 0.6, 0.15])
    # Of probability .2: pairs (0, 1), (0, 0), (0, 1).
    law = dist.Bernoulli(probs=0.2)
    value = estimator.estimate(lambda bit: 3.0 * bit - 1.0, law, noise)
    np.testing.assert_allclose(value, 2 * 3.0 / 6 - 1.0, rtol=1e-6)


@both
def test_pairs_are_right_at_extreme_logits(estimator):
    logits = jnp.array([-100.0, -60.0, -60.0, 60.0, 60.0, 100.0, 0.0])
    noise = jnp.array([1e-38, 1e-30, 1e-20, 1e-30, 1e-20, 1 - 2**-24, 0.5])
    law = dist.Bernoulli(logits=logits).to_event(1)

    def mean_of(place):
        return estimator.estimate(lambda bits: bits[place], law, noise[None])

    # Of the two draws 0 0 0 0 1 1 1 and 0 1 0 1 1 1 0.
    means = [mean_of(place) for place in range(7)]
    np.testing.assert_array_equal(means, [0, 0.5, 0, 0.5, 1, 1, 0.5])


@pytest.mark.slow
def test_a_batch_of_costs_is_credited_element_by_element():
    # The batches (2,), (2, 1) and (2, 1), with an event of 3, make one of (2, 2).
    logits = [jnp.array([0.5, -1.0]), jnp.array([[0.2], [-0.3]]), jnp.zeros((2, 1, 3))]
    weights = jnp.array([[1.0, -2.0], [0.5, 3.0]])

    def cost_fn(draws, weights):
        low, one, two = draws
        return (low + 0.5) * (one + two @ jnp.arange(3.0)) * weights

    def laws(logits):
        low, one, two = (dist.Bernoulli(logits=leaf) for leaf in logits)
        return [low, one, two.to_event(1)]

    def whole(logits, draws):
        def cost(draws, weights):
            return cost_fn([draws[0][None], *draws[1:]], weights)

        return rj.DisARM().estimate(cost, laws(logits), draws, weights)

    def element(row, column):
        def alone(logits):
            def at(low, one, two):
                return [low[..., column], one[..., row, 0], two[..., row, 0, :]]

            return rj.DisARM().estimate(
                cost_fn, laws(at(*logits)), at(*draws), weights[row, column]
            )

        return jax.grad(alone)(logits)

    noise = jax.random.uniform(jax.random.key(1), (20, 10))
    draws = [noise[:, :2], noise[:, 2:4, None], noise[:, 4:].reshape(-1, 2, 1, 3)]

    @jax.jit
    def slopes(index):
        each = jax.vmap(jax.vmap(element, (None, 0)), (0, None))
        return jax.jacrev(whole)(logits, draws), each(index, index)

    found, expected = slopes(jnp.arange(2))
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6),
        found,
        expected,
    )


def test_a_scalar_cost_is_credited_to_all_of_a_batch():
    # The same bits as one event, and as a batch.
    def cost_fn(draw):
        return jnp.prod(draw - 0.4) + draw[0] * 1.0

    def gradient(events):
        def estimate(logits):
            law = dist.Bernoulli(logits=logits).to_event(events)
            return rj.DisARM().estimate(cost_fn, law, noise)

        return jax.jit(jax.grad(estimate))(jnp.array([0.3, -0.8]))

    noise = jax.random.uniform(jax.random.key(0), (9, 2))
    np.testing.assert_array_equal(gradient(0), gradient(1))


def test_gradients_go_to_probabilities_through_wrappers():
    def laws(probs):
        bit, category = probs
        return [
            dist.Bernoulli(probs=bit).expand([2]).to_event(1).mask(False),
            dist.Categorical(probs=category),
        ]

    def logits(probs):
        return [jnp.log(probs[0] / (1 - probs[0])), jnp.log(probs[1])]

    def laws_of_logits(logits):
        bit, category = logits
        law = dist.Bernoulli(logits=jnp.stack([bit, bit]))
        return [law.to_event(1), dist.Categorical(logits=category)]

    def cost_fn(draws):
        return draws[0] @ jnp.array([1.0, -3.0]) * (draws[1] + 1.0)

    def estimate(laws, probs):
        return rj.DisARM().estimate(cost_fn, laws(probs), draws)

    @jax.jit
    def gradients(probs):
        def through_logits(probs):
            return laws_of_logits(logits(probs))

        return [jax.grad(estimate, 1)(make, probs) for make in (laws, through_logits)]

    probs = [jnp.float32(0.3), jnp.array([0.2, 0.5, 0.3])]
    noise = jax.random.uniform(jax.random.key(2), (30, 4))
    draws = [noise[:, :2], noise[:, 2:]]
    for found, leaf in zip(*gradients(probs), strict=True):
        # Probabilities are normalized: along them there is no slope.
        leaf = leaf - jnp.sum(leaf * probs[1]) if leaf.ndim else leaf
        np.testing.assert_allclose(found, leaf, rtol=1e-4, atol=1e-5)
        assert jnp.all(jnp.abs(found) > 1e-2)


def test_all_else_has_the_mean_of_both_derivatives():
    noise = jnp.array([0.1, 0.6, 0.15])
    law = dist.Bernoulli(probs=0.2)  # Pairs (0, 1), (0, 0), (0, 1).

    def estimate(weight, closed_over):
        def cost_fn(bit, weight):
            return jnp.sin(weight * (1.0 + bit)) * closed_over

        return rj.DisARM().estimate(cost_fn, law, noise, weight)

    def exact(weight, closed_over):
        return (4 * jnp.sin(weight) + 2 * jnp.sin(2 * weight)) / 6 * closed_over

    @jax.jit
    def derivatives(weight, closed_over):
        at = weight, closed_over
        return [
            (jax.grad(f, (0, 1))(*at), jax.hessian(f, (0, 1))(*at))
            for f in (estimate, exact)
        ]

    found, expected = derivatives(0.7, 1.3)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), found, expected
    )


def test_the_gradient_for_the_logits_has_a_derivative_for_all_else():
    noise = jnp.array([0.3])

    def estimate(logits, weight):
        law = dist.Bernoulli(logits=logits)
        return rj.DisARM().estimate(lambda bit: jnp.exp(weight * bit), law, noise)

    # A fair bit: the slope is (exp(weight) - 1) / 4.
    found = jax.jit(jax.grad(jax.grad(estimate), 1))(0.0, 0.7)
    np.testing.assert_allclose(found, jnp.exp(0.7) / 4, rtol=1e-6)


@both
def test_a_second_derivative_in_the_logits_raises(estimator):
    def estimate(logits):
        law = dist.Bernoulli(logits=logits)
        return estimator.estimate(lambda bit: bit * 1.0, law, jnp.array([0.3]))

    with pytest.raises(NotImplementedError, match="no second derivatives"):
        jax.grad(jax.grad(estimate))(0.0)


def test_forward_mode_agrees_with_reverse_mode():
    noise = jax.random.uniform(jax.random.key(0), (6, 3))

    def estimate(logits):
        law = dist.Categorical(logits=logits)
        return rj.DisARM().estimate(lambda z: (z - 0.7) ** 2, law, noise)

    logits = jnp.array([0.1, 0.2, -0.4, 0.0])
    forward, reverse = jax.jit(
        lambda logits: [d(estimate)(logits) for d in (jax.jacfwd, jax.jacrev)]
    )(logits)
    np.testing.assert_allclose(forward, reverse, rtol=1e-5, atol=1e-6)
    assert jnp.max(jnp.abs(reverse)) > 0.1


@pytest.mark.slow
def test_keys_are_mapped_and_scanned_over():
    def loss(logits, key):
        laws = [dist.Bernoulli(logits=logits[0]), dist.Bernoulli(logits=logits[1])]

        def cost_fn(draws):
            return (draws[0] + 0.3) * (draws[1].sum() - 1.2) ** 2

        return rj.expectation(key, cost_fn, laws, num_samples=3, estimator=rj.DisARM())

    def scanned(logits):
        def step(total, key):
            return total + loss(logits, key), None

        return jax.lax.scan(step, 0.0, keys())[0]

    def keys():
        return jax.random.split(jax.random.key(0), 4)

    logits = [jnp.float32(0.4), jnp.array([0.0, 0.5])]
    gradient = jax.jit(jax.value_and_grad(loss))
    alone = [gradient(logits, key) for key in keys()]
    mapped = jax.jit(jax.vmap(gradient, (None, 0)))(logits, keys())
    rows = jax.tree.map(lambda *rows: jnp.stack(rows), *alone)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), mapped, rows)
    total = jax.jit(jax.value_and_grad(scanned))(logits)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y.sum(0), rtol=1e-5), total, rows
    )


@both
def test_short_floats_are_drawn_in_float32(estimator):
    law = dist.Bernoulli(logits=jnp.bfloat16(0.5))
    assert estimator.draw(jax.random.key(0), law, 2).dtype == jnp.float32

    one = jnp.bfloat16(1.0)

    def estimate(logits):
        law = dist.Bernoulli(logits=logits)
        return estimator.estimate(lambda bit: bit * one, law, jnp.array([0.25]))

    # Of probability .62: the pair (0, 1).
    gradient = jax.grad(estimate)(jnp.bfloat16(0.5))
    assert gradient.dtype == jnp.bfloat16
    expected = {rj.ARM(): 0.25, rj.DisARM(): jax.nn.sigmoid(0.5) / 2}[estimator]
    np.testing.assert_allclose(np.float32(gradient), expected, rtol=2**-8)


@both
def test_a_parameter_that_is_not_a_number_makes_its_gradient_so(estimator):
    @jax.jit
    @jax.grad
    def gradient(logits):
        law = dist.Bernoulli(logits=logits)
        noise = jnp.array([[0.3, 0.4]])
        return jnp.sum(estimator.estimate(lambda bits: bits * 1.0, law, noise))

    found = gradient(jnp.array([0.0, jnp.nan]))
    assert found[0] > 0.1
    assert jnp.isnan(found[1])


def test_one_category_and_an_empty_batch_have_no_gradient():
    @jax.jit
    @jax.value_and_grad
    def gradient(logits):
        one, none = logits
        laws = [dist.Categorical(logits=one), dist.Bernoulli(logits=none)]
        draws = [jnp.zeros((4, 0)), jnp.zeros((4, 0))]

        def cost_fn(draws):
            return draws[0] + jnp.sum(draws[1]) + 7.0

        return rj.DisARM().estimate(cost_fn, laws, draws)

    value, found = gradient([jnp.zeros(1), jnp.zeros(0)])
    assert value == 7
    np.testing.assert_array_equal(found[0], [0])
    assert found[1].shape == (0,)


def test_a_law_it_does_not_know_is_refused_by_name():
    with pytest.raises(TypeError, match=r"`DisARM` needs Bernoulli .*`Pathwise` works"):
        rj.DisARM().draw(jax.random.key(0), dist.Normal(0.0, 1.0), 1)
    with pytest.raises(
        TypeError, match=r"`ARM` needs Bernoulli .*ScoreFunction` works"
    ):
        rj.ARM().draw(jax.random.key(0), dist.Poisson(1.0), 1)
