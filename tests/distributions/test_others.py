"""One value, and a sum of exponential variables."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import reparam_jax as rj


def key():
    return jax.random.key(47)


def test_one_value_is_drawn_with_its_gradient():
    value = jnp.array([1.0, 2.0])
    law = dist.Delta(value, event_dim=1)

    def total(value):
        law = dist.Delta(value, event_dim=1).expand((4,))
        draws = rj.sample(key(), law, (3,))
        return jnp.sum(draws * jnp.array([[[1.0, 10.0]]]))

    np.testing.assert_array_equal(
        rj.sample(key(), law, (3,)), np.broadcast_to(value, (3, 2))
    )
    np.testing.assert_array_equal(jax.grad(total)(value), [12.0, 120.0])


# Half a lifetime of the truncated sum is known: E x = 1/4 for one of shape 1.
def test_polya_gamma_draws_have_their_mean():
    draws = rj.sample(key(), dist.TruncatedPolyaGamma((3,)), (2000,))
    assert draws.shape == (2000, 3)
    assert draws.max() <= dist.TruncatedPolyaGamma.truncation_point
    # The variance is 1/24.
    assert abs(float(draws.mean()) - 0.25) < 5 * np.sqrt(1 / 24 / draws.size) + 1e-3
