"""Distribution functions and their derivatives, against SciPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.special
import scipy.stats

from reparam_jax.distributions._laws import cdf, has_cdf
from tests.distributions.table import von_mises_cdf

PLACES = np.array([0.02, 0.3, 0.5, 0.97])
ANGLES = np.array([-3.1, -1.0, 0.2, 3.0])
LAWS = {
    "Gamma": (dist.Gamma, lambda x, a, b: scipy.special.gammainc(a, b * x), PLACES),
    "InverseGamma": (
        dist.InverseGamma,
        lambda x, a, b: scipy.special.gammaincc(a, b / x),
        PLACES,
    ),
    "Beta": (dist.Beta, lambda x, a, b: scipy.special.betainc(a, b, x), PLACES),
    "StudentT": (dist.StudentT, lambda x, df, m: scipy.stats.t.cdf(x, df, m), ANGLES),
    "VonMises": (dist.VonMises, von_mises_cdf, ANGLES),
    "exp of a negative": (
        lambda loc, scale: dist.TransformedDistribution(
            dist.Gamma(loc, scale),
            [
                dist.transforms.AffineTransform(0.0, -1.0),
                dist.transforms.ExpTransform(),
            ],
        ),
        lambda x, a, b: scipy.special.gammaincc(a, -b * np.log(x)),
        PLACES,
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "InverseGamma" else pytest.mark.slow)
        for name in LAWS
    ],
)
def test_values_and_derivatives_are_right(name):
    make, reference, places = LAWS[name]
    first, second = 1.3, 2.5

    def ours(first, second, x):
        return cdf(make(first, second), x)

    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        x = jnp.asarray(places)
        below = jax.jit(ours)(first, second, x)
        slopes = jax.jit(jax.jacfwd(ours, (0, 1)))(first, second, x)
    np.testing.assert_allclose(below, reference(places, first, second), rtol=1e-11)
    step = 1e-5
    for slope, up in zip(slopes, ((step, 0), (0, step)), strict=True):
        more = reference(places, first + up[0], second + up[1])
        less = reference(places, first - up[0], second - up[1])
        np.testing.assert_allclose(slope, (more - less) / (2 * step), rtol=1e-7)


class Shifted(dist.Gamma):
    """With a distribution function of its own."""

    def cdf(self, value):
        return 0.5 * value


def test_a_subclass_with_its_own_function_keeps_it():
    assert float(cdf(Shifted(2.0, 1.0), jnp.array(0.5))) == 0.25


@pytest.mark.parametrize(
    ("law", "has"),
    [
        (dist.VonMises(0.0, 1.0), True),
        (dist.Normal(jnp.zeros(2), 1.0).to_event(1), True),
        (dist.Poisson(1.0), False),
        (dist.Dirichlet(jnp.ones(2)), False),
        (dist.FoldedDistribution(dist.Normal()), False),
    ],
)
def test_only_laws_of_numbers_have_a_distribution_function(law, has):
    assert has_cdf(law) is has
