"""A family made up for the test: what `_family` does for every sampler."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reparam_jax as rj
from reparam_jax import noise
from reparam_jax._domains import FINITE, POSITIVE, Parameter
from reparam_jax.samplers import _family

TENT = _family.Family(
    "tent",
    noise.uniform,
    lambda noise, height, width: height - width * noise,
    lambda height, width: {
        "height": Parameter(height, FINITE),
        "width": Parameter(width, POSITIVE, "Make it wider."),
    },
)
PARAMETERS = {"height": np.array([[1.0, 2.0]]), "width": np.array([[3.0], [4.0]])}


def key():
    return jax.random.key(89)


def test_draws_map_the_noise_of_the_broadcast_shape():
    draws = _family.draw(TENT, key(), PARAMETERS, None, None)
    uniforms = noise.uniform(key(), (2, 2))
    expected = PARAMETERS["height"] - PARAMETERS["width"] * uniforms
    np.testing.assert_allclose(draws, expected, rtol=3e-7)
    given = _family.from_noise(TENT, uniforms, PARAMETERS, None)
    np.testing.assert_allclose(given, expected, rtol=3e-7)


def test_both_names_are_reported_with_the_way_out():
    bad = PARAMETERS | {"width": -1.0}
    with pytest.raises(ValueError, match=r"`tent` needs `width` .* Make it wider\."):
        _family.draw(TENT, key(), bad, None, None)
    with pytest.raises(ValueError, match="`tent_from_noise` needs `width`"):
        _family.from_noise(TENT, 0.5, bad, None)


def test_a_bad_element_is_nan_in_draw_and_gradient():
    with rj.validation(False):
        bad = {"height": jnp.ones(3), "width": jnp.array([1.0, -1.0, 2.0])}

        def total(parameters):
            draws = _family.draw(TENT, key(), parameters, None, None)
            return jnp.sum(draws), draws

        slopes, draws = jax.grad(total, has_aux=True)(bad)
    for array in (draws, *slopes.values()):
        np.testing.assert_array_equal(np.isnan(array), [False, True, False])
