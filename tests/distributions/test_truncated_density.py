"""What the table of laws does not hold; that is in ``test_log_prob.py``."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from reparam_jax.distributions._truncated_density import log_density_between


def test_laws_without_a_mass_of_ours_are_left_to_numpyro():
    assert log_density_between(dist.Gumbel(0.0, 1.0), 0.5, 0.0, low=0.0) is None


# Without bounds a law is itself, with the derivatives of itself.
@pytest.mark.parametrize(
    "law",
    [dist.Normal, dist.Cauchy, dist.Laplace, dist.Logistic, dist.SoftLaplace],
)
def test_infinite_bounds_change_nothing(law):
    def bounded(loc, scale):
        base = law(loc, scale)
        return log_density_between(base, 1.5, base.log_prob(1.5))

    def free(loc, scale):
        return law(loc, scale).log_prob(1.5)

    got, want = (
        jax.jit(jax.value_and_grad(f, (0, 1)))(0.5, 2.0) for f in (bounded, free)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, want)


@pytest.mark.slow
def test_student_t_with_one_bound():
    def bounded(df, low, high):
        base = dist.StudentT(df, 0.5, 2.0)
        return log_density_between(base, 1.5, base.log_prob(1.5), low, high)

    # Half of the mass is on either side of loc.
    free = dist.StudentT(3.0, 0.5, 2.0).log_prob(1.5)
    for low, high, mass in ((0.5, jnp.inf, 0.5), (-jnp.inf, jnp.inf, 1.0)):
        np.testing.assert_allclose(
            bounded(3.0, low, high), free - np.log(mass), rtol=1e-5
        )
    assert np.isfinite(jax.grad(bounded)(3.0, 0.5, jnp.inf))
