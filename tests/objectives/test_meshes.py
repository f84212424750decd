"""Bounds on eight devices with explicit axes: those of one."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import reparam_jax as rj

X = np.linspace(0.5, 4, 8, dtype=np.float32)

# Some parameters are split and some are not.
GUIDES = {
    "gamma": lambda x: dist.Gamma(x, 1.5),
    "truncated normal": lambda x: dist.TruncatedNormal(x, 1.0, low=-1.0, high=2.0),
    "bits": lambda x: dist.Bernoulli(logits=jnp.stack([x, -x], -1)).to_event(1),
    "category": lambda x: dist.Categorical(logits=jnp.stack([x, 0 * x, -x], -1)),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("gamma", "bits") else pytest.mark.slow)
        for name in GUIDES
    ],
)
def test_eight_devices_give_the_bounds_of_one(name):
    def bounds(x):
        guide = GUIDES[name](x)

        def log_joint(draw):
            draw = jnp.reshape(draw, (*guide.batch_shape, -1))
            return -jnp.sum((draw - 1.3) ** 2, -1)

        return rj.elbo(jax.random.key(0), log_joint, guide, num_samples=4)

    @jax.jit
    def program(x):
        bound, pullback = jax.vjp(bounds, x)
        return bound, pullback(jnp.cos(x))[0]

    wanted = program(X)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        rows = NamedSharding(mesh, PartitionSpec("data"))
        found = program(jax.device_put(X, rows))
    for each, expected in zip(found, wanted, strict=True):
        assert each.sharding.is_equivalent_to(rows, 1)
        np.testing.assert_allclose(each, expected, rtol=1e-4, atol=1e-5)
