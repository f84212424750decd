"""Laws that a sampler of this library draws, by the names of their parameters."""

import numpyro.distributions as dist

from reparam_jax.samplers import (
    _beta,
    _cauchy,
    _chi2,
    _dirichlet,
    _exponential,
    _gamma,
    _gumbel,
    _half_cauchy,
    _half_normal,
    _inverse_gamma,
    _kumaraswamy,
    _laplace,
    _log_normal,
    _logistic,
    _normal,
    _pareto,
    _student_t,
    _uniform,
    _von_mises,
    _weibull,
)

from ._path import Maker, in_family


def _same(*names):
    """Parameters of the same names there and here."""
    return lambda law: {name: getattr(law, name) for name in names}


_loc_scale = _same("loc", "scale")
_concentrations = in_family(_beta.FAMILY, _same("concentration1", "concentration0"))

MAKERS: dict[type, Maker] = {
    dist.Normal: in_family(
        _normal.FAMILIES["std"], lambda law: {"mean": law.loc, "std": law.scale}
    ),
    dist.Laplace: in_family(_laplace.FAMILY, _loc_scale),
    dist.Logistic: in_family(_logistic.FAMILY, _loc_scale),
    dist.Gumbel: in_family(_gumbel.FAMILY, _loc_scale),
    dist.Cauchy: in_family(_cauchy.FAMILY, _loc_scale),
    dist.LogNormal: in_family(_log_normal.FAMILY, _loc_scale),
    dist.Uniform: in_family(_uniform.FAMILY, _same("low", "high")),
    dist.HalfNormal: in_family(_half_normal.FAMILY, _same("scale")),
    dist.HalfCauchy: in_family(_half_cauchy.FAMILY, _same("scale")),
    dist.Exponential: in_family(_exponential.FAMILY, _same("rate")),
    dist.Weibull: in_family(_weibull.FAMILY, _same("scale", "concentration")),
    dist.Pareto: in_family(
        _pareto.FAMILY, lambda law: {"scale": law.scale, "concentration": law.alpha}
    ),
    # Its density falls as x^alpha, Pareto's as x^(-concentration - 1).
    dist.LowerTruncatedPowerLaw: in_family(
        _pareto.FAMILY,
        lambda law: {"scale": law.low, "concentration": -(law.alpha + 1)},
    ),
    dist.Kumaraswamy: in_family(
        _kumaraswamy.FAMILY, _same("concentration1", "concentration0")
    ),
    dist.Gamma: in_family(_gamma.FAMILY, _same("concentration", "rate")),
    dist.Chi2: in_family(_chi2.FAMILY, _same("df")),
    dist.InverseGamma: in_family(_inverse_gamma.FAMILY, _same("concentration", "rate")),
    dist.Beta: _concentrations,
    dist.BetaProportion: _concentrations,
    dist.Dirichlet: in_family(_dirichlet.FAMILY, _same("concentration")),
    dist.StudentT: in_family(_student_t.FAMILY, _same("df", "loc", "scale")),
    dist.VonMises: in_family(_von_mises.FAMILY, _same("loc", "concentration")),
}
