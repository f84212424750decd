"""The samplers, a row each: every general property is tested on every row.

``python -m tests.samplers.table`` prints the README's table.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.stats
import numpy as np
import scipy.stats

import reparam_jax as rj
from tests.samplers import oracles
from tests.samplers.oracles import Oracle

Parameters = Mapping[str, np.ndarray]


class Gradient(NamedTuple):
    """What the docstring promises of one parameter's gradient."""

    kind: str = "exact"
    modes: tuple[str, ...] = ("forward", "reverse")
    order: float = math.inf

    def __str__(self):
        order = "every order" if self.order == math.inf else f"to order {self.order}"
        return f"{self.kind}, {order}, {' and '.join(self.modes)}"


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One sampler, called in one way.

    Args:
      name: the public name.
      domains: what each parameter may be, by name.
      grid: points to test at, from one end of the ordinary domain to the other.
      oracle: the law and the implicit gradient, independent of this library.
      noise: name of the base noise that ``{name}_from_noise`` takes, or ``None`` where
        the sampler has no such twin.
      bad: parameters outside the domain, by the name that the error reports.
      ulps: largest relative error of float32 gradients, in units of the last place.
      gradients: promises by parameter, where they differ from ``Gradient()``.
      arguments: turns the parameters into keyword arguments.
      shown: the call, for the README.
      output: which one is tested of several results: "[0]" or "[1]".
    """

    name: str
    domains: Mapping[str, str]
    grid: tuple[Mapping[str, Any], ...]
    oracle: Oracle
    noise: str | None
    ulps: float
    bad: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    gradients: Mapping[str, Gradient] = dataclasses.field(default_factory=dict)
    arguments: Callable[[Mapping], Mapping] = dict
    shown: str = ""
    output: str = ""

    @property
    def title(self) -> str:
        return f"{self.name}({', '.join(self.domains)}){self.output}"

    def gradient(self, parameter: str) -> Gradient:
        return self.gradients.get(parameter, Gradient())

    def draw(self, key, parameters, **options):
        result = getattr(rj, self.name)(key, **self.arguments(parameters), **options)
        return result[OUTPUTS[self.output]] if self.output else result

    def from_noise(self, noise, parameters, **options):
        sampler = getattr(rj, f"{self.name}_from_noise")
        result = sampler(noise, **self.arguments(parameters), **options)
        return result[OUTPUTS[self.output]] if self.output else result

    def spread(self, batch: tuple[int, ...], dtype=np.float32) -> dict[str, np.ndarray]:
        """The points of the grid in turn, one for each element of a batch."""
        index = np.arange(math.prod(batch)).reshape(batch) % len(self.grid)
        return {
            name: np.stack([point[name] for point in self.grid])[index].astype(dtype)
            for name in self.domains
        }


OUTPUTS = {"[0]": 0, "[1]": 1}
REAL, NON_NEGATIVE, POSITIVE = "real", ">= 0", "> 0"
BAD_VALUES = {REAL: (np.nan, np.inf), NON_NEGATIVE: (-1.0, np.nan), POSITIVE: (0.0, -2)}


def points(**axes) -> tuple[dict[str, float], ...]:
    """Parameters side by side: ``points(loc=(0, 1), scale=(2, 3))`` are two points."""
    values = zip(*axes.values(), strict=True)
    return tuple(dict(zip(axes, point, strict=True)) for point in values)


def elementwise(name, law, grid, noise, ulps, bad=(), shown="", **domains) -> Row:
    bad_values = tuple(
        (parameter, {parameter: value})
        for parameter, domain in domains.items()
        for value in BAD_VALUES.get(domain, ())
    )
    shown = shown or f"{name}(key, {', '.join(domains)})"
    oracle = oracles.one_dimensional(law)
    return Row(
        name, domains, grid, oracle, noise, ulps, bad_values + tuple(bad), shown=shown
    )


LOCS, SCALES = (-3.0, 0.0, 2.0, 1e3), (0.01, 1.0, 5.0, 3e3)
LOCATION_SCALE = points(loc=LOCS, scale=SCALES)
SCALE_ALONE = points(scale=(1e-6, 0.7, 20.0, 1e6))
SHAPES = points(scale=(0.5, 2.0, 30.0, 1.0), concentration=(0.4, 1.0, 3.0, 50.0))


# The oracle sees draws next to 1 rounded, the sampler has their logits: what the kernel
# can do, the rows of the logarithms show.
ROUNDED_NEXT_TO_ONE = 4096
IMPLICIT = Gradient("implicit", order=2)


def implicit(name, law, grid, ulps, pathwise=(), output="", **domains) -> Row:
    """A row of a sampler whose gradients are implicit, but for some parameters."""
    row = elementwise(name, law, grid, None, ulps, **domains)
    gradients = {name: IMPLICIT for name in domains if name not in pathwise}
    return dataclasses.replace(row, gradients=gradients, output=output)


def dirichlet(name):
    concentrations = ((0.3, 2.0, 1.0), (5.0, 0.5, 3.0), (1.0, 1.0, 30.0), (90, 4, 7))
    return Row(
        name,
        {"concentration": POSITIVE},
        points(concentration=tuple(map(np.array, concentrations))),
        oracles.dirichlet(DIM, is_log=name == "log_dirichlet"),
        None,
        ulps=64 if name == "log_dirichlet" else ROUNDED_NEXT_TO_ONE,
        bad=tuple(
            ("concentration", {"concentration": np.array([1.0, bad, 2.0])})
            for bad in BAD_VALUES[POSITIVE]
        ),
        gradients={"concentration": IMPLICIT},
        shown=f"{name}(key, concentration)",
    )


def on_the_sphere(name, law_of_gap, gradient):
    means = np.random.default_rng(8).normal(size=(4, 3))
    means /= np.linalg.norm(means, axis=-1, keepdims=True)
    return Row(
        name,
        {"mean_direction": "of length 1", "concentration": NON_NEGATIVE},
        points(mean_direction=tuple(means), concentration=(0.3, 2.0, 50.0, 7.0)),
        oracles.sphere(law_of_gap),
        None,
        ulps=512,  # of each component, also where it crosses zero
        bad=(
            ("mean_direction", {"mean_direction": np.array([3.0, 0.0, 0.0])}),
            ("mean_direction", {"mean_direction": np.array([0.0, np.nan, 1.0])}),
            ("concentration", {"concentration": -1.0}),
            ("concentration", {"concentration": np.nan}),
        ),
        gradients={"concentration": gradient},
        shown=f"{name}(key, mean_direction, concentration)",
    )


def location_scale(name, law, noise, ulps=1):
    domains = {"loc": REAL, "scale": NON_NEGATIVE}
    return elementwise(name, law, LOCATION_SCALE, noise, ulps, **domains)


def normal(scale_name, std_of, scales, domain, bad=(), ulps=2):
    def law(mean, **scale):
        return scipy.stats.norm(mean, std_of(scale[scale_name]))

    return elementwise(
        "normal",
        law,
        points(mean=LOCS, **{scale_name: scales}),
        "normal",
        ulps,
        bad,
        "normal(key, mean, var)"
        if scale_name == "var"
        else f"normal(…, {scale_name}=)",
        mean=REAL,
        **{scale_name: domain},
    )


STDS = np.array(SCALES)
DIM = 3
MATRICES = tuple(
    np.tril(np.random.default_rng(5).uniform(-1, 1, (4, DIM, DIM))) + 1.5 * np.eye(DIM)
)
COVARIANCES = (*(factor @ factor.T for factor in MATRICES[:3]), 0.01 * np.eye(DIM))
MEANS = tuple(np.linspace(-2, 3, 4 * DIM).reshape(4, DIM))
INDEFINITE = np.diag([1.0, -2.0, 3.0])


def multivariate_normal(form, factor_of, matrices, domain, bad):
    grid = points(mean=MEANS, **{form: matrices})
    return Row(
        "multivariate_normal",
        {"mean": REAL, form: domain},
        grid,
        oracles.linear(form, factor_of, DIM),
        "normal",
        ulps=16,
        bad=(("mean", {"mean": np.array([0.0, np.nan, 0.0])}), (form, {form: bad})),
        shown=f"multivariate_normal(key, mean, {form}=)",
    )


FACTORS = tuple(np.random.default_rng(6).uniform(-1, 1, (4, DIM, 2)))
DIAGONALS = tuple(np.random.default_rng(7).uniform(0.1, 2, (4, DIM)))
LOW_RANK = Row(
    "multivariate_normal",
    {"mean": REAL, "factor": REAL, "diagonal": NON_NEGATIVE},
    points(mean=MEANS, factor=FACTORS, diagonal=DIAGONALS),
    oracles.low_rank(DIM, rank=2),
    "normal",
    ulps=16,
    bad=(
        ("factor", {"factor": np.full((DIM, 2), np.nan)}),
        ("diagonal", {"diagonal": np.array([1.0, -1.0, 1.0])}),
    ),
    arguments=lambda p: {"mean": p["mean"], "low_rank": (p["factor"], p["diagonal"])},
    shown="multivariate_normal(key, mean, low_rank=(factor, diagonal))",
)

BETAS = points(
    concentration1=(0.3, 2.0, 30.0, 1.0), concentration0=(0.4, 5.0, 3.0, 200.0)
)


def scipy_beta(concentration1, concentration0):
    return scipy.stats.beta(concentration1, concentration0)


def tanh_normal():
    row = elementwise(
        "tanh_normal",
        lambda mean, var: oracles.TanhNormal(mean, np.sqrt(var)),
        points(mean=(-1.0, 0.1, 0.5, 2.0), var=(0.5, 1.0, 0.01, 0.25)),
        "normal",
        16,
        mean=REAL,
        var=NON_NEGATIVE,
    )
    return dataclasses.replace(row, output="[0]")


# Functions of no row, as a caller has them.
norm = jax.scipy.stats.norm


def two_normals(parameters):
    """The arguments of a mixture of two normals."""
    logits, mean = (jnp.asarray(x) for x in parameters.values())
    logits = jnp.stack([logits, 0 * logits], -1)
    loc = jnp.stack([mean, mean + 3], -1)
    scale = jnp.asarray([1, 0.5], loc.dtype)

    def evaluated(function):
        def at(z):
            lead = (1,) * (z.ndim - loc.ndim)
            wide = loc.reshape(lead + loc.shape)
            return function(z, wide, scale.reshape((1,) * (z.ndim - 1) + (2,)))

        return at

    def tails(z, loc, scale):
        upper = z > jnp.mean(loc, -1, keepdims=True)
        return jnp.where(upper, -norm.sf(z, loc, scale), norm.cdf(z, loc, scale))

    return {
        "logits": logits,
        "sample_components": lambda key, shape: rj.normal(
            key, loc, std=scale, shape=shape
        ),
        "cdf": evaluated(tails),
        "logpdf": evaluated(norm.logpdf),
    }


def mixture():
    row = implicit(
        "mixture",
        oracles.Mixture,
        points(logits=(-1.0, 0.3, 2.0, 0.0), mean=(-4.0, 0.5, 2.0, 10.0)),
        256,
        logits=REAL,
        mean=REAL,
    )
    bad = (("logits", {"logits": np.nan}), ("logits", {"logits": np.inf}))
    return dataclasses.replace(
        row,
        domains={"logits": "real or -inf", "mean": "and all others of the components"},
        bad=bad,
        arguments=two_normals,
        shown="mixture(key, logits, sample_components, cdf, logpdf)",
    )


def upper_or_lower(z, mean):
    logistic = jax.scipy.stats.logistic
    return jnp.where(z > mean, -logistic.sf(z, mean), logistic.cdf(z, mean))


@dataclasses.dataclass(frozen=True, eq=False)
class MadeRow(Row):
    """A sampler that ``rj.implicit_sampler`` makes of the logistic law."""

    made = staticmethod(
        rj.implicit_sampler(
            lambda key, mean, shape: (
                mean
                + rj.noise.logistic(
                    key, shape, mean.dtype, out_sharding=jax.typeof(mean).sharding
                )
            ),
            upper_or_lower,
            jax.scipy.stats.logistic.logpdf,
        )
    )

    def draw(self, key, parameters, **options):
        return self.made(key, *parameters.values(), **options)


def implicit_sampler():
    row = implicit(
        "implicit_sampler",
        scipy.stats.logistic,
        points(mean=LOCS),
        32,
        mean=REAL,
    )
    fields = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    fields |= {
        "oracle": oracles.one_dimensional(lambda mean: scipy.stats.logistic(mean)),
        "domains": {"mean": "and all others of the law"},
        "bad": (("mean", {"mean": np.nan}),),
        "shown": "implicit_sampler(sample_fn, cdf, logpdf)(key, *params)",
    }
    return MadeRow(**fields)


TABLE = (
    normal("var", np.sqrt, tuple(STDS**2), NON_NEGATIVE),
    normal("std", np.asarray, SCALES, NON_NEGATIVE),
    normal(
        "log_var",
        lambda log_var: np.exp(log_var / 2),
        tuple(2 * np.log(STDS)),
        "log of a finite variance",
        bad=(("log_var", {"log_var": 400.0}), ("log_var", {"log_var": np.nan})),
        ulps=4,
    ),
    location_scale("laplace", scipy.stats.laplace, "laplace"),
    location_scale("logistic", scipy.stats.logistic, "logistic"),
    location_scale("gumbel", scipy.stats.gumbel_r, "gumbel"),
    location_scale("cauchy", scipy.stats.cauchy, "cauchy"),
    elementwise(
        "uniform",
        oracles.Uniform,
        points(low=(-3.0, 0.0, 2.0, 1e3), high=(-2.5, 1.0, 50.0, 1050.0)),
        "uniform",
        1,
        bad=(
            ("high - low", {"low": 60.0, "high": 50.0}),
            ("high", {"high": np.nan}),
            ("high", {"high": np.inf}),
        ),
        low=REAL,
        high=">= low",
    ),
    elementwise(
        "log_normal",
        lambda loc, scale: scipy.stats.lognorm(scale, scale=np.exp(loc)),
        points(loc=(-3.0, 0.0, 2.0, 10.0), scale=(0.01, 1.0, 5.0, 0.3)),
        "normal",
        32,
        loc=REAL,
        scale=NON_NEGATIVE,
    ),
    elementwise(
        "half_normal",
        lambda scale: scipy.stats.halfnorm(scale=scale),
        SCALE_ALONE,
        "half_normal",
        1,
        scale=NON_NEGATIVE,
    ),
    elementwise(
        "half_cauchy",
        lambda scale: scipy.stats.halfcauchy(scale=scale),
        SCALE_ALONE,
        "half_cauchy",
        1,
        scale=NON_NEGATIVE,
    ),
    elementwise(
        "exponential",
        lambda rate: scipy.stats.expon(scale=1 / rate),
        points(rate=(1e-6, 0.7, 20.0, 1e6)),
        "exponential",
        4,
        rate=POSITIVE,
    ),
    elementwise(
        "rayleigh",
        lambda scale: scipy.stats.rayleigh(scale=scale),
        SCALE_ALONE,
        "exponential",
        2,
        scale=NON_NEGATIVE,
    ),
    elementwise(
        "weibull",
        lambda scale, concentration: scipy.stats.weibull_min(
            concentration, scale=scale
        ),
        SHAPES,
        "exponential",
        64,
        scale=NON_NEGATIVE,
        concentration=POSITIVE,
    ),
    elementwise(
        "pareto",
        lambda scale, concentration: scipy.stats.pareto(concentration, scale=scale),
        SHAPES,
        "exponential",
        64,
        scale=NON_NEGATIVE,
        concentration=POSITIVE,
    ),
    elementwise(
        "kumaraswamy",
        oracles.Kumaraswamy,
        points(
            concentration1=(0.3, 1.0, 3.0, 50.0), concentration0=(0.4, 1.0, 2.0, 9.0)
        ),
        "exponential",
        64,
        concentration1=POSITIVE,
        concentration0=POSITIVE,
    ),
    elementwise(
        "truncated_normal",
        lambda loc, scale, low, high: scipy.stats.truncnorm(
            (low - loc) / scale, (high - loc) / scale, loc, scale
        ),
        points(
            loc=(-3.0, 0.0, 2.0, 1e3),
            scale=(0.5, 1.0, 5.0, 3e3),
            low=(-2.5, -1.0, -8.0, -2e3),
            high=(-1.0, 2.0, 4.0, 500.0),
        ),
        "logistic",
        500,
        bad=(
            ("high - low", {"low": 5.0, "high": 4.0}),
            ("low", {"low": np.nan}),
            ("high", {"high": np.nan}),
        ),
        loc=REAL,
        scale=POSITIVE,
        low="< high, or -inf",
        high="> low, or inf",
    ),
    multivariate_normal(
        "covariance", np.linalg.cholesky, COVARIANCES, "positive definite", INDEFINITE
    ),
    multivariate_normal(
        "scale_tril", np.asarray, MATRICES, "lower triangular", np.full((3, 3), np.nan)
    ),
    multivariate_normal(
        "precision",
        lambda precision: np.linalg.inv(np.linalg.cholesky(precision)).mT,
        COVARIANCES,
        "positive definite",
        INDEFINITE,
    ),
    LOW_RANK,
    implicit(
        "gamma",
        lambda concentration, rate: scipy.stats.gamma(concentration, scale=1 / rate),
        points(concentration=(0.3, 1.0, 7.0, 300.0), rate=(1e-3, 1.0, 5.0, 30.0)),
        32,
        pathwise=("rate",),
        concentration=POSITIVE,
        rate=POSITIVE,
    ),
    implicit(
        "log_gamma",
        lambda concentration, rate: oracles.Log(
            scipy.stats.gamma(concentration, scale=1 / rate)
        ),
        points(concentration=(0.02, 1.0, 7.0, 300.0), rate=(1e-3, 1.0, 5.0, 30.0)),
        32,
        pathwise=("rate",),
        concentration=POSITIVE,
        rate=POSITIVE,
    ),
    implicit(
        "inverse_gamma",
        lambda concentration, rate: scipy.stats.invgamma(concentration, scale=rate),
        points(concentration=(0.3, 1.0, 7.0, 300.0), rate=(1e-3, 1.0, 5.0, 30.0)),
        32,
        pathwise=("rate",),
        concentration=POSITIVE,
        rate=POSITIVE,
    ),
    implicit(
        "beta",
        scipy_beta,
        BETAS,
        ROUNDED_NEXT_TO_ONE,
        concentration1=POSITIVE,
        concentration0=POSITIVE,
    ),
    implicit(
        "log_beta",
        lambda **parameters: oracles.Log(scipy_beta(**parameters)),
        BETAS,
        64,
        output="[0]",
        concentration1=POSITIVE,
        concentration0=POSITIVE,
    ),
    implicit(
        "log_beta",
        lambda **parameters: oracles.LogOfComplement(scipy_beta(**parameters)),
        BETAS,
        64,
        output="[1]",
        concentration1=POSITIVE,
        concentration0=POSITIVE,
    ),
    dirichlet("dirichlet"),
    dirichlet("log_dirichlet"),
    implicit(
        "chi2",
        scipy.stats.chi2,
        points(df=(0.5, 1.0, 12.0, 900.0)),
        32,
        df=POSITIVE,
    ),
    implicit(
        "von_mises",
        oracles.VonMises,
        points(loc=(-1.0, 0.7, 1.5, -2.0), concentration=(0.4, 2.0, 9.0, 40.0)),
        64,
        pathwise=("loc",),
        loc=REAL,
        concentration=NON_NEGATIVE,
    ),
    implicit(
        "student_t",
        scipy.stats.t,
        points(
            df=(0.7, 2.0, 9.0, 300.0),
            loc=(-3.0, 0.0, 2.0, 10.0),
            scale=(0.3, 1.0, 5.0, 30.0),
        ),
        64,
        pathwise=("loc", "scale"),
        df=POSITIVE,
        loc=REAL,
        scale=NON_NEGATIVE,
    ),
    implicit(
        "inverse_gaussian",
        lambda mean, shape_parameter: scipy.stats.invgauss(
            mean / shape_parameter, scale=shape_parameter
        ),
        points(mean=(0.2, 1.0, 5.0, 30.0), shape_parameter=(0.6, 1.0, 90.0, 5e3)),
        64,
        mean=POSITIVE,
        shape_parameter=POSITIVE,
    ),
    tanh_normal(),
    mixture(),
    implicit_sampler(),
    on_the_sphere("von_mises_fisher", oracles.TruncatedExponential, IMPLICIT),
    on_the_sphere(
        "power_spherical",
        lambda concentration: scipy.stats.beta(1, 1 + concentration),
        IMPLICIT,
    ),
)


# Each row is compiled some thirty times, into which the time of the tests goes. Of one
# row with base noise and of one without, all tests run by default; of the others they
# are slow, and those of their programs thorough.
LEADERS = {
    "normal(mean, var)",
    "gamma(concentration, rate)",
}


def as_markdown() -> str:
    """Lays the table out for the README."""
    lines = [
        "| sampler | parameters | base noise | gradient |",
        "|---|---|---|---|",
    ]
    for row in TABLE:
        domains = ", ".join(f"`{name}` {words}" for name, words in row.domains.items())
        promises = {str(row.gradient(name)): None for name in row.domains}
        noise = f"`{row.noise}`" if row.noise else "none"
        promise = "; ".join(promises)
        lines.append(f"| `rj.{row.shown}` | {domains} | {noise} | {promise} |")
    return "\n".join(dict.fromkeys(lines))  # once for all outputs of a sampler


if __name__ == "__main__":
    print(as_markdown())
