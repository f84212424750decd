import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from reparam_jax.estimators._estimator import check_count, instead_for


def test_one_leaf_gets_the_key_and_several_get_their_own():
    law = dist.Normal(jnp.zeros(3), 1.0)
    alone = rj.Pathwise().draw(jax.random.key(4), law, 2)
    np.testing.assert_array_equal(alone, jax.random.normal(jax.random.key(4), (2, 3)))
    first, second = jax.random.split(jax.random.key(4))
    tree = rj.Pathwise().draw(jax.random.key(4), {"a": law, "b": law}, 2)
    np.testing.assert_array_equal(tree["a"], jax.random.normal(first, (2, 3)))
    np.testing.assert_array_equal(tree["b"], jax.random.normal(second, (2, 3)))


def test_draws_of_zero_elements_work():
    law = dist.Normal(jnp.zeros((0, 3)), 1.0)
    value = rj.expectation(jax.random.key(0), lambda z: jnp.sum(z), law, num_samples=2)
    assert value == 0


@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (True, TypeError), (1.0, TypeError)]
)
def test_only_positive_integers_pass(value, error):
    check_count("Grid", count=1)
    with pytest.raises(error, match=f"`Grid` needs `count`.* got {value}"):
        check_count("Grid", count=value)


def test_what_has_a_path_is_pointed_to_it():
    assert instead_for(dist.Normal(0.0, 1.0)) == "`Pathwise`"
    assert instead_for(dist.Poisson(2.0)) == "`ScoreFunction`"
