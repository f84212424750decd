import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from reparam_jax.distributions._structure import flatten, lead, unwrap

NORMAL = dist.Normal(jnp.zeros((2, 1)), 1.0)


def test_trees_are_flattened_to_their_distributions_and_back():
    tree = {"b": (NORMAL, dist.Poisson(2.0)), "a": dist.Gamma(2.0, 1.0).to_event(0)}
    leaves, structure = flatten("sample", tree)
    assert [type(leaf) for leaf in leaves] == [dist.Gamma, dist.Normal, dist.Poisson]
    assert structure.unflatten([1, 2, 3]) == {"a": 1, "b": (2, 3)}


@pytest.mark.parametrize(
    ("tree", "found"), [(0.5, "float"), ({}, "none"), (None, "none")]
)
def test_what_is_no_distribution_is_named(tree, found):
    with pytest.raises(TypeError, match=f"`sample` takes a NumPyro.*got {found}"):
        flatten("sample", tree)


def test_wrappers_are_peeled_in_any_order():
    mask = jnp.ones((4, 2), bool)
    for wrapped in (
        NORMAL.expand((2, 3)).to_event(1).expand((4, 2)).mask(mask),
        NORMAL.to_event(1).mask(jnp.ones(2, bool)),
        NORMAL,
    ):
        assert unwrap(wrapped) is NORMAL


def test_a_transformed_law_is_no_wrapper():
    law = dist.TransformedDistribution(NORMAL, dist.transforms.ExpTransform())
    assert unwrap(law.to_event(1)) is law


def test_leading_axes_of_length_one_are_added():
    np.testing.assert_array_equal(lead(3, [1.0, 2.0]), [[[1.0, 2.0]]])
    assert lead(0, 2.0) == 2.0
