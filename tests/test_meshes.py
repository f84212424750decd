import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from reparam_jax import _meshes

MATRICES = np.stack([(n + 1) * np.array([[2.0, 1.0], [1.0, 3.0]]) for n in range(8)])
MATRICES = MATRICES.astype(np.float32)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_cholesky_keeps_the_layout_and_differentiates(kind):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
    sharding = NamedSharding(mesh, PartitionSpec("data", None, None))

    def total(matrices):
        factors = _meshes.cholesky(matrices)
        return jnp.sum(factors), factors

    gradient = jax.jit(jax.grad(total, has_aux=True))
    with jax.set_mesh(mesh):
        slopes, factors = gradient(jax.device_put(MATRICES, sharding))
    assert factors.sharding.is_equivalent_to(sharding, 3)
    np.testing.assert_allclose(factors, np.linalg.cholesky(MATRICES), rtol=1e-6)
    expected, _ = gradient(jnp.asarray(MATRICES))
    np.testing.assert_allclose(slopes, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_elementwise_functions_follow_the_array_that_is_split(kind):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    a, z = np.linspace(0.5, 4, 8, dtype=np.float32), np.ones(8, np.float32)
    with jax.set_mesh(mesh):
        split = jax.device_put(z, rows)
        found = jax.jit(_meshes.elementwise(jax.lax.igamma))(a, split)
    assert found.sharding.is_equivalent_to(rows, 1)
    np.testing.assert_allclose(found, jax.lax.igamma(a, z), rtol=1e-6)


def test_place_calls_the_function_where_no_axis_is_explicit():
    assert _meshes.place(lambda x, y: x - y, 3, 2, out_sharding=None) == 1


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_arrays_are_laid_out_where_axes_are_explicit(kind):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    with jax.set_mesh(mesh):
        array = jnp.zeros(8)
        laid_out = _meshes.laid_out(
            array, jax.typeof(jax.device_put(array, rows)).sharding
        )
    explicit = kind == AxisType.Explicit
    assert laid_out.sharding.is_equivalent_to(rows, 1) is explicit
    assert (laid_out is array) is not explicit
