import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from reparam_jax.distributions._path import batch_shape_of, path_of_family
from reparam_jax.samplers import _gamma, _laplace


# Base draws and their map, apart, are the sampler: bit for bit, gradients too.
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(
    ("family", "sampler", "names"),
    [
        pytest.param(
            *(_gamma.FAMILY, rj.gamma, ("concentration", "rate")),
            marks=pytest.mark.slow,
        ),
        (_laplace.FAMILY, rj.laplace, ("loc", "scale")),
    ],
)
def test_base_and_map_make_the_sampler(family, sampler, names, dtype):
    values = jnp.array([0.3, 2.0, 1.0], dtype), jnp.array([1.0, 3.0, 0.2], dtype)

    def ours(*values):
        path = path_of_family(family, **dict(zip(names, values, strict=True)))
        return path.at(path.draw(jax.random.key(3), (5, 3)))

    def theirs(*values):
        return sampler(jax.random.key(3), *values, shape=(5, 3))

    ones = jax.tree.map(jnp.ones_like, values)
    found, expected = (jax.jvp(draw, values, ones) for draw in (ours, theirs))
    assert found[0].dtype == dtype
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_base_draws_have_no_gradient_and_values_are_checked_by_the_map():
    def base(concentration):
        path = path_of_family(_gamma.FAMILY, concentration=concentration, rate=1.0)
        return path.draw(jax.random.key(3), (4,))

    _, slope = jax.jvp(base, (2.0,), (1.0,))
    np.testing.assert_array_equal(slope, 0)
    path = path_of_family(_gamma.FAMILY, concentration=-1.0, rate=1.0)
    with pytest.raises(ValueError, match="`gamma` needs `concentration`"):
        path.at(jnp.ones(4))
    with rj.validation(False):
        np.testing.assert_array_equal(path.at(jnp.ones(4)), np.nan)


def test_the_batch_is_what_comes_before_the_event():
    assert batch_shape_of(dist.Dirichlet(jnp.ones((2, 3))), (5, 2, 3)) == (5, 2)
    assert batch_shape_of(dist.Normal(), (5, 2)) == (5, 2)
