import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from reparam_jax.distributions._log_prob import log_prob
from reparam_jax.objectives._model import Model
from reparam_jax.objectives._multi_sample import (
    bounds_without,
    draw_leaves,
    estimate_together,
    estimators_of,
    log_mean_exp,
)

LOG_WEIGHTS = np.array([[0.3, -900.0], [-1.2, 400.0], [2.0, 399.0], [0.1, 398.5]])


def bounds_by_hand(log_weights):
    found = np.empty_like(log_weights)
    for k in range(len(log_weights)):
        others = np.delete(log_weights, k, 0)
        replaced = np.vstack([others, others.mean(0)])
        top = replaced.max(0)
        found[k] = top + np.log(np.exp(replaced - top).mean(0))
    return found


def test_the_bound_without_a_draw_has_the_geometric_mean_of_the_others():
    found = bounds_without(jnp.asarray(LOG_WEIGHTS, jnp.float32))
    np.testing.assert_allclose(found, bounds_by_hand(LOG_WEIGHTS), rtol=3e-6)


@pytest.mark.parametrize("changed", [0, 1, 3])
@pytest.mark.parametrize("value", [1e6, -jnp.inf])
def test_it_does_not_depend_on_the_draw_in_any_bit(changed, value):
    log_weights = jnp.asarray(LOG_WEIGHTS[:, 0], jnp.float32)
    other = bounds_without(log_weights.at[changed].set(value))
    assert other[changed] == bounds_without(log_weights)[changed]
    assert np.all(np.delete(np.asarray(other != bounds_without(log_weights)), changed))


def test_weights_of_0_leave_a_finite_baseline():
    none = -np.inf
    log_weights = jnp.array([[none, none, none], [0.5, none, none], [1.5, 2.0, none]])
    found = bounds_without(log_weights)
    # Two weights of e^0.5, e^1.5 and their geometric mean e; then a weight of 0 in the
    # mean makes that 0; with no other weight it is 0 for want of a better one.
    first = [np.log((np.exp(0.5) + np.exp(1.5) + np.e) / 3), 1.5 - np.log(3)]
    wanted = np.array(
        [[first[0], 2 - np.log(3), 0], [first[1], 2 - np.log(3), 0], [0, 0, 0]]
    )
    wanted[2, 0] = 0.5 - np.log(3)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_a_single_draw_has_no_others():
    np.testing.assert_array_equal(bounds_without(jnp.array([[3.0, -jnp.inf]])), 0)


def test_the_log_of_a_mean_of_huge_weights():
    found = log_mean_exp(jnp.array([[1000.0, -jnp.inf], [1000.0, -jnp.inf]]))
    np.testing.assert_array_equal(found, [1000.0, -np.inf])


GUIDE = {"bit": dist.Bernoulli(logits=jnp.array([0.3, -0.2])), "z": dist.Normal()}
PATH, SCORE = rj.Pathwise(), rj.ScoreFunction()


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (None, [SCORE, PATH]),
        (rj.Auto(), [SCORE, PATH]),
        (SCORE, [SCORE, SCORE]),
        ({"bit": SCORE, "z": PATH}, [SCORE, PATH]),
        ({"bit": SCORE, "z": rj.Auto()}, [SCORE, PATH]),
        ({"bit": rj.DisARM(), "z": PATH}, None),
        (rj.ScoreFunction(coupling="antithetic"), None),
        (rj.ScoreFunction(baseline=jnp.zeros(2)), None),
        (rj.Enumerate(), None),
    ],
)
def test_estimators_that_take_each_draw_by_itself(estimator, expected):
    model = Model("objective", lambda draw: 0.0, GUIDE, None)

    def default(leaf):
        return SCORE if isinstance(leaf, dist.BernoulliLogits) else PATH

    assert estimators_of(model, GUIDE, estimator, default) == expected


def test_what_has_no_score_is_refused():
    model = Model("objective", lambda draw: 0.0, dist.Delta(1.0), None)
    with pytest.raises(TypeError, match="Delta"):
        draw_leaves(model, jax.random.key(0), 3, [SCORE])


def test_draws_of_the_parts_have_keys_of_their_own():
    model = Model("objective", lambda draw: 0.0, (dist.Normal(), dist.Normal()), None)
    first, second = draw_leaves(model, jax.random.key(0), 3, [PATH, PATH])
    assert np.min(np.abs(first - second)) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator",
    [rj.DisARM(), rj.Rebar(), rj.MeasureValued(), rj.ScoreFunction(), rj.Enumerate()],
    ids=lambda estimator: type(estimator).__name__,
)
def test_together_is_the_expectation_of_a_cost_of_all_draws(estimator):
    def log_joint(bits, x):
        return -((bits @ jnp.array([1.0, -2.0]) - x) ** 2)

    data = jnp.array([0.5, -1.0])

    def guide_of(logits):
        return dist.Bernoulli(logits=logits).to_event(1)

    def ours(logits):
        guide = guide_of(logits)
        model = Model("objective", log_joint, guide, None)
        key, args = jax.random.key(5), (guide, (data,), 2, estimator)
        return jnp.sum(estimate_together(model, key, *args, [log_mean_exp])[0])

    def by_hand(logits):
        guide = guide_of(logits)

        def cost(draws, x):
            terms = [log_joint(1.0 * z, x) - log_prob(guide, z) for z in draws]
            return jax.nn.logsumexp(jnp.stack(terms), 0) - jnp.log(2)

        key = jax.random.key(5)
        return jnp.sum(
            rj.expectation(key, cost, (guide, guide), data, estimator=estimator)
        )

    logits = jnp.array([[0.3, -1.2], [0.5, 0.9]])
    found, wanted = (jax.jit(jax.value_and_grad(f))(logits) for f in (ours, by_hand))
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5)
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-4, atol=1e-5)
