"""A density made up for the test."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reparam_jax._domains import Parameter
from reparam_jax.relaxations._density import density
from reparam_jax.relaxations._scores import POSITIVE


def _constraints(width):
    return {"width": Parameter(width, POSITIVE, "Make it wider.")}


def _tent(draw, width):
    return jnp.where(width > 0, draw / width, 1)


def tent(draw, width):
    return density("tent", _tent, _constraints, {"draw": draw}, {"width": width})


def test_arguments_broadcast_in_their_promoted_dtype():
    values = tent(jnp.arange(3.0), jnp.array([[2.0], [4.0]]))
    np.testing.assert_allclose(values, [[0, 0.5, 1], [0, 0.25, 0.5]])
    short = tent(jnp.bfloat16(1), jnp.bfloat16(3))
    assert short == jnp.bfloat16(1 / 3)
    assert short.dtype == jnp.bfloat16


def test_bad_parameters_raise_or_reach_every_gradient():
    """Also one that a ``where`` cuts off."""
    with pytest.raises(ValueError, match=r"`tent` needs `width` .* Make it wider\."):
        tent(1.0, 0.0)
    with pytest.raises(TypeError, match="`tent` needs `draw` to be an array"):
        tent(None, 1.0)
    width = jnp.array([1.0, -1.0])
    slopes = jax.jit(jax.grad(lambda *args: tent(*args)[0], (0, 1)))(jnp.ones(2), width)
    for slope in slopes:
        np.testing.assert_array_equal(np.isnan(slope), [False, True])
