import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import reparam_jax as rj
from reparam_jax.distributions._values import draw_values


def key():
    return jax.random.key(79)


def test_values_of_a_path_are_its_draws_without_gradient():
    def draw(loc):
        return draw_values(key(), dist.Normal(loc, 2.0), (5,))

    draws, slopes = jax.jvp(draw, (jnp.zeros(3),), (jnp.ones(3),))
    np.testing.assert_array_equal(
        draws, rj.sample(key(), dist.Normal(jnp.zeros(3), 2.0), (5,))
    )
    np.testing.assert_array_equal(slopes, 0)


def test_values_of_other_laws_are_numpyros():
    law = dist.Poisson(jnp.array([1.0, 9.0])).expand((4, 2)).to_event(1)
    found = draw_values(key(), law, (3,))
    assert found.shape == (3, 4, 2)
    assert jnp.issubdtype(found.dtype, jnp.integer)
    with jax.numpy_rank_promotion("allow"):
        np.testing.assert_array_equal(found, law.sample(key(), (3,)))
