"""Laws of numbers, a row each: their draws and gradients are tested on every row."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.special
import scipy.stats
from numpyro.distributions import transforms

Make = Callable[..., dist.Distribution]


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One way to make a distribution of numbers.

    Args:
      name: of the row.
      make: from the parameters to the distribution.
      parameters: arrays, of shape (3,).
      cdf: ``(draws, *parameters)``, in NumPy; by default, NumPyro's.
      covers: the NumPyro classes whose paths the row tests.
      monotone: whether each draw is a monotone map of its own noise.
      quick: whether it is a closed form, or otherwise soon compiled.
    """

    name: str
    make: Make
    parameters: tuple[np.ndarray, ...]
    cdf: Callable[..., np.ndarray] | None
    covers: tuple[type, ...]
    monotone: bool
    quick: bool

    def at(self, parameters) -> dist.Distribution:
        with jax.numpy_rank_promotion("allow"):
            return self.make(*parameters)

    def in_dtype(self, dtype) -> tuple[jax.Array, ...]:
        return tuple(jnp.asarray(x, dtype) for x in self.parameters)


def row(
    make, *parameters, cdf=None, covers=(), name=None, monotone=False, quick=False
) -> Row:
    arrays = tuple(np.asarray(x, np.float64) for x in parameters)
    name = name or make.__name__
    if not covers and isinstance(make, type):
        covers = (make,)
    return Row(name, make, arrays, cdf, covers, monotone, quick)


def map_of_noise(make, *parameters, **options) -> Row:
    """A row of draws that are elementwise, monotone maps of noise: quick to compile."""
    return row(make, *parameters, monotone=True, quick=True, **options)


def von_mises_cdf(x, loc, concentration):
    """From -π, where the circle is cut."""
    law = scipy.stats.vonmises(concentration, loc=loc)
    return law.cdf(x) - law.cdf(-np.pi)


def categorical(logits):
    return dist.Categorical(logits=logits)


def mixture(components):
    """Of three components each, whatever the parameters' shape."""
    return lambda logits, *parameters: dist.MixtureSameFamily(
        categorical(logits), components(*parameters)
    )


def mixture_of_two_families(logits, loc, scale, rate):
    components = [
        dist.Normal(loc[0], scale[0]),
        dist.StudentT(3.0, loc[1], scale[1]),
        dist.Exponential(rate[2]),
    ]
    return dist.MixtureGeneral(
        categorical(logits), components, support=dist.constraints.real
    )


def mixture_of_two_families_cdf(x, logits, loc, scale, rate):
    weights = scipy.special.softmax(logits)
    parts = [
        scipy.stats.norm.cdf(x, loc[0], scale[0]),
        scipy.stats.t.cdf(x, 3.0, loc[1], scale[1]),
        scipy.stats.expon.cdf(x, scale=1 / rate[2]),
    ]
    return sum(w * part for w, part in zip(weights, parts, strict=True))


def mixture_cdf(law):
    def cdf(x, logits, *parameters):
        parts = law(x[..., None], *parameters)
        return np.sum(scipy.special.softmax(logits) * parts, -1)

    return cdf


class Bump(dist.Distribution):
    """A caller's own law: density 3 (scale^2 - x^2) / (4 scale^3) within scale."""

    support = dist.constraints.real

    def __init__(self, scale):
        self.scale = scale
        super().__init__(jnp.shape(scale))

    def sample(self, key, sample_shape=()):
        u = jax.random.uniform(key, (*sample_shape, *self.batch_shape))
        return self.scale * 2 * jnp.sin(jnp.arcsin(2 * u - 1) / 3)

    def log_prob(self, value):
        z = value / self.scale
        return jnp.log(0.75 * (1 - z**2) / self.scale)

    def cdf(self, value):
        z = value / self.scale
        return 0.5 + 0.75 * z - 0.25 * z**3


class RenamedGamma(dist.Gamma):
    """A subclass that draws as its parent does."""


def truncated(base):
    return lambda loc, scale, low, width: dist.TruncatedDistribution(
        base(loc, scale), low=low, high=low + width
    )


def left_truncated(base):
    return lambda loc, scale, low: dist.TruncatedDistribution(base(loc, scale), low=low)


def right_truncated(base):
    return lambda loc, scale, high: dist.TruncatedDistribution(
        base(loc, scale), high=high
    )


def transformed(base, *parts):
    return lambda *parameters: dist.TransformedDistribution(
        base(*parameters), list(parts)
    )


def affine(base):
    return lambda loc, scale, *parameters: dist.TransformedDistribution(
        base(*parameters), transforms.AffineTransform(loc, scale)
    )


def copula(concentration, rate):
    correlation = jnp.array([[1.0, 0.4, 0.0], [0.4, 1.0, 0.3], [0.0, 0.3, 1.0]])
    return dist.GaussianCopula(
        dist.Gamma(concentration, rate), correlation_matrix=correlation
    )


def beta_copula(concentration1, concentration0):
    correlation = jnp.array([[1.0, 0.4, 0.0], [0.4, 1.0, 0.3], [0.0, 0.3, 1.0]])
    return dist.GaussianCopulaBeta(
        concentration1, concentration0, correlation_matrix=correlation
    )


def hyperbolic_cdf(x):
    return 2 / np.pi * np.arctan(np.exp(x))


def truncated_cdf(law):
    """Of standard laws, by the tail that is the smaller at the lower bound."""

    def cdf(x, loc, scale, low=None, width=None, high=None):
        def sides(place):
            z = (place - loc) / scale
            return law(z), law(-z)

        high = high if width is None else low + width
        below_low, above_low = (0.0, 1.0) if low is None else sides(low)
        below_high, above_high = (1.0, 0.0) if high is None else sides(high)
        below, above = sides(x)
        left = (below - below_low) / (below_high - below_low)
        right = (above_low - above) / (above_low - above_high)
        return np.where(below_low > 0.5, right, left)

    return cdf


LOC, SCALE = (-1.0, 0.3, 2.0), (0.5, 2.0, 1.3)
FEW, SOME = (0.6, 2.0, 30.0), (4.0, 0.7, 1.5)
SIGNED = (1.0, -2.0, 0.5)
BOUNDS = LOC, SCALE, (-0.2, -1.0, 6.0), (1.0, 2.5, 2.0)
TAILS = {
    dist.Normal: scipy.stats.norm.cdf,
    dist.Laplace: scipy.stats.laplace.cdf,
    dist.Logistic: scipy.stats.logistic.cdf,
    dist.Cauchy: scipy.stats.cauchy.cdf,
    dist.SoftLaplace: hyperbolic_cdf,
}
TRUNCATED = (
    dist.TwoSidedTruncatedDistribution,
    dist.LeftTruncatedDistribution,
    dist.RightTruncatedDistribution,
)

TABLE = (
    map_of_noise(dist.Normal, LOC, SCALE),
    map_of_noise(dist.Laplace, LOC, SCALE),
    map_of_noise(dist.Logistic, LOC, SCALE),
    map_of_noise(dist.Gumbel, LOC, SCALE),
    map_of_noise(dist.Cauchy, LOC, SCALE),
    map_of_noise(dist.Uniform, LOC, (0.0, 1.0, 5.0)),
    map_of_noise(dist.LogNormal, LOC, SCALE),
    map_of_noise(dist.HalfNormal, SCALE),
    map_of_noise(dist.HalfCauchy, SCALE),
    map_of_noise(dist.Exponential, SCALE),
    map_of_noise(dist.Weibull, SCALE, SOME),
    map_of_noise(dist.Pareto, SCALE, SOME),
    map_of_noise(
        dist.Kumaraswamy, SOME, SCALE, cdf=lambda x, a, b: 1 - (1 - x**a) ** b
    ),
    map_of_noise(
        lambda alpha, low: dist.LowerTruncatedPowerLaw(alpha, low),
        (-1.5, -3.0, -2.0),
        SCALE,
        name="LowerTruncatedPowerLaw",
        covers=(dist.LowerTruncatedPowerLaw,),
    ),
    map_of_noise(dist.LogUniform, SCALE, (2.0, 2.5, 9.0)),
    map_of_noise(
        dist.RelaxedBernoulliLogits,
        SOME,
        LOC,
        cdf=lambda x, temperature, logits: scipy.special.expit(
            temperature * scipy.special.logit(x) - logits
        ),
    ),
    map_of_noise(dist.AsymmetricLaplace, LOC, SCALE, SOME),
    map_of_noise(dist.AsymmetricLaplaceQuantile, LOC, SCALE, (0.1, 0.5, 0.8)),
    map_of_noise(dist.Dagum, SOME, (2.0, 0.8, 3.0), SCALE),
    map_of_noise(dist.Gompertz, SCALE, SOME),
    map_of_noise(dist.Levy, LOC, SCALE),
    map_of_noise(dist.SoftLaplace, LOC, SCALE),
    map_of_noise(
        dist.DoublyTruncatedPowerLaw, (1.5, -2.5, -0.7), SCALE, (2.0, 2.5, 9.0)
    ),
    map_of_noise(affine(dist.Gumbel), LOC, SIGNED, LOC, SCALE, name="Affine of Gumbel"),
    *(
        map_of_noise(
            truncated(law),
            *BOUNDS,
            cdf=truncated_cdf(cdf),
            name=f"truncated {law.__name__}",
            covers=TRUNCATED[:1],
        )
        for law, cdf in TAILS.items()
    ),
    *(
        map_of_noise(
            left_truncated(law),
            *BOUNDS[:3],
            cdf=truncated_cdf(cdf),
            name=f"left-truncated {law.__name__}",
            covers=TRUNCATED[1:2],
        )
        for law, cdf in TAILS.items()
    ),
    *(
        map_of_noise(
            right_truncated(law),
            *BOUNDS[:2],
            (0.5, -2.0, 3.0),
            cdf=lambda x, loc, scale, high, cdf=cdf: truncated_cdf(cdf)(
                x, loc, scale, high=high
            ),
            name=f"right-truncated {law.__name__}",
            covers=TRUNCATED[2:],
        )
        for law, cdf in TAILS.items()
    ),
    row(dist.Gamma, (0.01, 2.0, 30.0), SCALE, quick=True),
    row(RenamedGamma, FEW, SCALE),
    row(dist.Chi2, FEW),
    row(
        dist.InverseGamma,
        FEW,
        SCALE,
        cdf=lambda x, a, b: scipy.special.gammaincc(a, b / x),
    ),
    row(dist.Beta, FEW, SOME, cdf=lambda x, a, b: scipy.special.betainc(a, b, x)),
    row(
        dist.BetaProportion,
        (0.2, 0.7, 0.4),
        FEW,
        cdf=lambda x, m, c: scipy.special.betainc(m * c, (1 - m) * c, x),
    ),
    row(
        dist.StudentT,
        FEW,
        LOC,
        SCALE,
        cdf=lambda x, df, loc, scale: scipy.stats.t.cdf(x, df, loc, scale),
    ),
    row(
        dist.VonMises,
        LOC,
        FEW,
        # The circle is cut opposite to loc.
        cdf=lambda x, loc, k: scipy.stats.vonmises.cdf(x, k, loc=loc),
        quick=True,
    ),
    row(
        lambda df, *bounds: truncated(lambda *loc: dist.StudentT(df, *loc))(*bounds),
        SOME,
        *BOUNDS,
        cdf=lambda x, df, *bounds: truncated_cdf(lambda t: scipy.stats.t.cdf(t, df))(
            x, *bounds
        ),
        name="truncated StudentT",
        monotone=True,
        covers=TRUNCATED[:1],
    ),
    row(
        lambda a, b, low: dist.TruncatedGamma(a, b, low=low),
        FEW,
        SCALE,
        (0.4, 4.0, 20.0),
        name="LeftTruncatedGamma",
        covers=(dist.LeftTruncatedGamma,),
    ),
    row(
        lambda a, b, high: dist.TruncatedGamma(a, b, high=high),
        FEW,
        SCALE,
        (0.4, 4.0, 20.0),
        name="RightTruncatedGamma",
        covers=(dist.RightTruncatedGamma,),
    ),
    row(
        lambda a, b, low, width: dist.TruncatedGamma(a, b, low=low, high=low + width),
        FEW,
        SCALE,
        (0.4, 4.0, 20.0),
        (0.4, 2.0, 5.0),
        name="TwoSidedTruncatedGamma",
        covers=(dist.TwoSidedTruncatedGamma,),
    ),
    row(
        mixture(dist.Normal),
        LOC,
        LOC,
        SCALE,
        name="mixture of Normal",
        covers=(dist.MixtureSameFamily,),
        quick=True,
    ),
    row(
        mixture(dist.Gamma),
        LOC,
        FEW,
        SOME,
        cdf=mixture_cdf(lambda x, a, b: scipy.special.gammainc(a, b * x)),
        name="mixture of Gamma",
    ),
    row(
        mixture(dist.Beta),
        LOC,
        FEW,
        SOME,
        cdf=mixture_cdf(lambda x, a, b: scipy.special.betainc(a, b, x)),
        name="mixture of Beta",
    ),
    row(
        mixture(dist.VonMises),
        LOC,
        LOC,
        SOME,
        cdf=mixture_cdf(von_mises_cdf),
        name="mixture of VonMises",
    ),
    row(
        mixture_of_two_families,
        LOC,
        LOC,
        SCALE,
        SOME,
        cdf=mixture_of_two_families_cdf,
        name="mixture of three families",
        covers=(dist.MixtureGeneral,),
    ),
    row(Bump, SCALE, name="a law of a caller's own", quick=True),
    row(
        copula,
        FEW,
        SCALE,
        cdf=lambda x, a, b: scipy.special.gammainc(a, b * x),
        covers=(dist.GaussianCopula,),
    ),
    row(
        beta_copula,
        SOME,
        SCALE,
        cdf=lambda x, a, b: scipy.special.betainc(a, b, x),
        covers=(dist.GaussianCopulaBeta,),
    ),
)


# One of each kind, for what is the same for all of a kind.
DEFAULT = (
    "Normal",
    "AsymmetricLaplace",
    "DoublyTruncatedPowerLaw",
    "truncated Cauchy",
    "Gamma",
    "VonMises",
    "mixture of Normal",
)


def parametrized(rows, names=DEFAULT):
    """Runs a test on all rows, and by default on those of some names."""
    values = [
        pytest.param(
            row, id=row.name, marks=() if row.name in names else pytest.mark.slow
        )
        for row in rows
    ]
    return pytest.mark.parametrize("row", values)
