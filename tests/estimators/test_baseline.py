import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reparam_jax.estimators import moving_average_baseline


def test_it_is_the_weighted_mean_of_earlier_costs():
    costs = np.array([3.0, -1.0, 7.0, 2.5])
    init, update = moving_average_baseline(decay=0.8)
    state = init()
    assert state.value == 0
    for count, cost in enumerate(costs, 1):
        state = update(state, jnp.asarray(cost))
        weights = 0.8 ** np.arange(count)[::-1]
        mean = weights @ costs[:count] / weights.sum()
        np.testing.assert_allclose(state.value, mean, rtol=1e-6)


def test_one_for_each_element_of_the_batch_in_a_scan():
    init, update = moving_average_baseline(decay=0.5)
    costs = jnp.arange(12.0).reshape(2, 3, 2)

    def step(state, cost):
        return update(state, cost), state.value

    state, before = jax.lax.scan(step, init((2,)), costs)
    means = np.asarray(costs).mean(1)
    np.testing.assert_array_equal(before[0], 0)
    np.testing.assert_allclose(before[1], means[0], rtol=1e-6)
    np.testing.assert_allclose(state.value, (means[0] + 2 * means[1]) / 3, rtol=1e-6)


def test_costs_are_not_differentiated():
    init, update = moving_average_baseline()
    assert jax.grad(lambda cost: update(init(), cost).value)(2.0) == 0


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_other_decays_are_refused(decay):
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        moving_average_baseline(decay=decay)
