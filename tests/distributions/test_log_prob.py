"""Log-densities and their scores, against exact ones, for every law of NumPyro."""

import pytest

from reparam_jax.distributions._log_prob import log_prob
from tests.distributions.audit import audit
from tests.distributions.laws import LAWS

# Those that are cheap to compile, and special at ordinary parameters.
FAST = {
    "BernoulliLogits",
    "BernoulliProbs",
    "CategoricalLogits",
    "GeometricLogits",
    "GeometricProbs",
    "Poisson",
    "ZeroInflatedLogits",
    "nested BernoulliLogits",
    "Cauchy",
    "Pareto",
}
SLOW = pytest.mark.slow
# The largest relative error in float32 and in float64; terms that cancel in these laws
# lose digits where the result is small beside them.
TOLERANCES = (2e-5, 1e-12)
LOOSER = {
    "HurdlePoisson": (1e-4, 1e-12),
    "BetaBinomial": (2e-3, 1e-11),
    "BetaNegativeBinomial": (1e-3, 1e-12),
    "Beta": (3e-4, 1e-9),
    "Dirichlet": (1e-4, 1e-12),
    "StudentT": (1e-4, 1e-12),
    "TruncatedStudentT": (2e-4, 1e-11),
    "TruncatedCauchy": (2e-4, 1e-11),
    "TruncatedLaplace": (1e-4, 1e-12),
    "TruncatedLogistic": (1e-4, 1e-12),
    "TruncatedSoftLaplace": (1e-4, 1e-12),
    "RightTruncatedCauchy": (2e-4, 1e-12),
    "InverseGamma": (1e-4, 1e-12),
    "RelaxedBernoulliLogits": (1e-4, 1e-11),
}


@pytest.mark.parametrize(
    "law",
    [
        pytest.param(
            law, marks=[] if law.name in FAST else pytest.mark.slow, id=law.name
        )
        for law in LAWS
    ],
)
@pytest.mark.parametrize("x64", [False, True], ids=["float32", "float64"])
def test_densities_and_scores_are_exact(law, x64):
    tolerance = LOOSER.get(law.name, TOLERANCES)[x64]
    error, *where = audit(law, log_prob, x64)
    assert error < tolerance, where
