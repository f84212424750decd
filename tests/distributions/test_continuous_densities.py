"""What the table of laws does not hold; that is in ``test_log_prob.py``."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from reparam_jax.distributions._log_prob import log_prob


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "value", "density", "score"),
    [
        (lambda c: dist.Gamma(c, 2.0), 0.0, np.log(2), -np.inf),
        (lambda c: dist.Beta(c, 3.0), 0.0, np.log(3), -np.inf),
        (lambda c: dist.Beta(3.0, c), 1.0, np.log(3), -np.inf),
        (lambda c: dist.Weibull(2.0, c), 0.0, -np.log(2), -np.inf),
        (lambda rate: dist.Exponential(rate), 0.0, 0.0, 1.0),
        (lambda scale: dist.HalfNormal(scale), 0.0, np.log(2 / np.pi) / 2, -1.0),
        (lambda scale: dist.Pareto(scale, 3.0), 1.0, np.log(3), 3.0),
        (lambda rate: dist.Gompertz(rate, 2.0), 0.0, np.log(2), 1.0),
    ],
)
def test_ends_of_the_support_have_the_density_of_their_limit(
    law, value, density, score
):
    """At concentration 1 the power of the value is 1, and its logarithm is not."""
    value, slope = jax.value_and_grad(lambda x: log_prob(law(x), value))(1.0)
    np.testing.assert_allclose(value, density, rtol=1e-6)
    np.testing.assert_allclose(slope, score, rtol=1e-6)


def test_dirichlet_draws_with_a_0_have_the_density_of_their_limit():
    value = jnp.array([0.0, 0.25, 0.75])
    concentration = jnp.array([1.0, 2.0, 0.5])
    term, slope = jax.value_and_grad(lambda c: log_prob(dist.Dirichlet(c), value))(
        concentration
    )
    norm = sum(map(np.log, (np.pi**-0.5, 0.75**-0.5, 0.25))) + np.log(
        15 * np.pi**0.5 / 8
    )
    np.testing.assert_allclose(term, norm, rtol=1e-5)
    assert slope[0] == -np.inf
    assert np.all(np.isfinite(slope[1:]))


# Second derivatives of the kernels with rules of their own.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "value", "parameters"),
    [
        (dist.StudentT, 0.75, (5.0, 0.5, 2.0)),
        (dist.Gamma, 2.5, (1.5, 0.5)),
        (dist.Beta, 0.3, (1.5, 0.5)),
        (dist.VonMises, 0.75, (0.5, 2.0)),
        (dist.DoublyTruncatedPowerLaw, 2.0, (-1.25, 1.5, 4.0)),
    ],
)
def test_second_derivatives(law, value, parameters):
    with jax.enable_x64(True):

        def density(*given):
            *parameters, value = given
            return log_prob(law(*parameters), value)

        point = tuple(map(jnp.asarray, (*parameters, value)))
        jax.test_util.check_grads(density, point, 2, rtol=1e-6)
