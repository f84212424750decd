"""Which distributions are drawn with gradients, and what is said of the others."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import reparam_jax as rj
from reparam_jax.distributions._paths import MAKERS, find_path
from tests.distributions.table import TABLE, parametrized
from tests.distributions.test_vectors import KINDS

WRAPPERS = {
    dist.Distribution,
    dist.ExpandedDistribution,
    dist.Independent,
    dist.MaskedDistribution,
    dist.TransformedDistribution,
}
# Tested one by one.
SINGLE = {dist.Delta, dist.TruncatedPolyaGamma, dist.FoldedDistribution}

P, ONE = jnp.array([0.2, 0.8]), jnp.ones(())
NORMAL, POISSON = dist.Normal(), dist.Poisson(2.0)
ZEROS = jnp.zeros(2)
CIRCLES = dist.VonMises(ZEROS, jnp.ones(2)).to_event(1)
DISCRETE = (
    dist.BernoulliLogits(0.3),
    dist.BernoulliProbs(0.3),
    dist.BetaBinomial(1.0, 2.0, 3),
    dist.BetaNegativeBinomial(1.0, 2.0, 3),
    dist.BinomialLogits(0.3, 3),
    dist.BinomialProbs(0.3, 3),
    dist.CategoricalLogits(P),
    dist.CategoricalProbs(P),
    dist.DirichletMultinomial(P, 3),
    dist.DiscreteUniform(0, 3),
    dist.GammaPoisson(1.0, 2.0),
    dist.GeometricLogits(0.3),
    dist.GeometricProbs(0.3),
    dist.MultinomialLogits(P, 3),
    dist.MultinomialProbs(P, 3),
    dist.NegativeBinomial2(1.0, 2.0),
    dist.NegativeBinomialLogits(3, 0.3),
    dist.NegativeBinomialProbs(3, 0.3),
    dist.OrderedLogistic(0.3, P),
    POISSON,
    dist.ZeroInflatedPoisson(0.2, 2.0),
    dist.ZeroInflatedNegativeBinomial2(1.0, 2.0, gate=0.3),
    dist.HurdlePoisson(0.2, 2.0),
    dist.HurdleNegativeBinomial2(0.2, 2.0, 3.0),
)
MIXED = (
    dist.HurdleGamma(0.2, 2.0, 1.0),
    dist.HurdleLogNormal(0.2, 0.0, 1.0),
    dist.LeftCensoredDistribution(NORMAL, 1.0),
    dist.RightCensoredDistribution(NORMAL, 1.0),
    dist.IntervalCensoredDistribution(NORMAL, ONE * 0, ONE * 0),
)
WITHOUT_LAW = (dist.ImproperUniform(dist.constraints.real, (), ()), dist.Unit(0.0))
WITHOUT_MAP = (
    dist.SineBivariateVonMises(0.0, 0.0, 1.0, 1.0, 0.2),
    dist.SineSkewed(CIRCLES, ZEROS),
)
REFUSED = (*DISCRETE, *MIXED, *WITHOUT_LAW, *WITHOUT_MAP)
# Functions that make one of the others, and bases of several.
ABSTRACT = {"HurdleProbs", "HurdleLogits", "ZeroInflatedProbs", "ZeroInflatedLogits"}


def classes():
    return {
        value
        for name, value in vars(dist).items()
        if inspect.isclass(value)
        and issubclass(value, dist.Distribution)
        and name not in ABSTRACT
    }


def test_every_class_of_numpyro_is_drawn_or_refused():
    covered = {kind for row in TABLE for kind in row.covers}
    covered |= KINDS
    refused = {type(law) for law in REFUSED}
    assert covered & refused == set()
    assert classes() - covered - refused - WRAPPERS - SINGLE == set()
    assert set(MAKERS) <= covered | SINGLE | {dist.TransformedDistribution}


@pytest.mark.parametrize("law", REFUSED, ids=lambda law: type(law).__name__)
def test_what_has_no_path_is_refused(law):
    assert find_path(law) is None
    with pytest.raises(TypeError, match=r"`rj\.ScoreFunction\(\)`"):
        rj.sample(jax.random.key(0), law)


class Flip(dist.Normal):
    """A subclass of a law with a path that draws in its own way."""

    def sample(self, key, sample_shape=()):
        return super().sample(key, sample_shape) * 0 + 1

    def cdf(self, value):
        raise NotImplementedError


WORDS = (
    (POISSON, "got Poisson: its draws are discrete"),
    (POISSON.mask(False).expand((3,)).to_event(1), "got Poisson: its draws are discr"),
    (Flip(), "got Flip: it has no `cdf`"),
    (
        dist.TransformedDistribution(Flip(), dist.transforms.ExpTransform()),
        "TransformedDistribution of Flip: it has no `cdf`",
    ),
    (
        dist.MixtureSameFamily(dist.Categorical(P), dist.Poisson(P)),
        "MixtureSameFamily of Poisson: its draws are discrete",
    ),
    (
        dist.MixtureGeneral(
            dist.Categorical(P),
            [dist.Dirichlet(P), dist.Dirichlet(2 * P)],
        ),
        "MixtureGeneral of Dirichlet: no map from noise to its vectors is known",
    ),
    (MIXED[2], "LeftCensoredDistribution of Normal: some of its draws are one value"),
    (WITHOUT_LAW[0], "ImproperUniform: it has no draws"),
)


@pytest.mark.parametrize(("law", "words"), WORDS)
def test_the_refusal_says_why_and_what_works(law, words):
    with pytest.raises(TypeError, match=words) as raised:
        rj.sample(jax.random.key(0), law)
    for estimator in ("ScoreFunction", "DisARM", "Enumerate", "MeasureValued"):
        assert f"`rj.{estimator}()`" in str(raised.value)


def test_a_tree_with_one_refused_law_is_refused():
    with pytest.raises(TypeError, match="got Poisson"):
        rj.sample(jax.random.key(0), {"a": dist.Normal(), "b": POISSON})


def test_numpyros_flag_decides_nothing():
    assert not dist.VonMises(0.0, 1.0).has_rsample
    assert find_path(dist.VonMises(0.0, 1.0)) is not None
    assert Flip().has_rsample
    assert find_path(Flip()) is None


@parametrized([row for row in TABLE if row.quick], ("Normal",))
def test_monotone_maps_name_their_noise(row):
    path = find_path(row.at(row.in_dtype(np.float32)))
    assert path is not None
    assert (path.noise is not None) is row.monotone
    if path.noise is not None:
        noise = path.noise(jax.random.key(3), (40, 3), path.dtype)
        np.testing.assert_array_equal(noise, path.draw(jax.random.key(3), (40, 3)))
        order = np.argsort(noise, 0)
        steps = np.diff(
            np.take_along_axis(np.asarray(path.at(noise)), order, 0), axis=0
        )
        assert np.all((steps >= 0).all(0) | (steps <= 0).all(0))
