"""Every law of numbers: its draws, and their gradients at their places in the law."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import reparam_jax as rj
from tests.distributions.table import TABLE, parametrized

COUNT = 1000


def moved(row, parameters, shifts):
    """Each parameter by a part of its size."""
    return [
        x + shift * np.where(value == 0, 1, np.abs(value))
        for x, value, shift in zip(parameters, row.parameters, shifts, strict=True)
    ]


def draws_and_slopes(row):
    """Draws in float64, and their derivative for a shift of each parameter."""
    parameters = row.in_dtype(np.float64)

    def draw(shifts):
        law = row.at(moved(row, parameters, shifts))
        shape = () if law.event_shape == (3,) or law.batch_shape else (3,)
        return rj.sample(jax.random.key(17), law, (COUNT, *shape))

    def along(direction):
        return jax.jvp(draw, (jnp.zeros_like(direction),), (direction,))

    draws, slopes = jax.jit(jax.vmap(along))(jnp.eye(len(parameters)))
    return np.asarray(draws[0]), np.asarray(slopes)


def law_at(row, draws):
    """Probabilities, densities, and changes of the former for each shift."""

    @jax.jit
    def of_numpyro(shifts, x):
        law = row.at(moved(row, row.in_dtype(np.float64), shifts))
        law = getattr(law, "marginal_dist", law)
        with jax.numpy_rank_promotion("allow"):
            below = law.cdf(x) if row.cdf is None else x
            return below, jnp.exp(law.log_prob(x))

    def cdf(shifts):
        if row.cdf is None:
            return np.asarray(of_numpyro(shifts, draws)[0])
        return row.cdf(draws, *moved(row, row.parameters, shifts))

    def slope(direction, step=1e-5):
        near, far = (
            (cdf(h * direction) - cdf(-h * direction)) / (2 * h)
            for h in (step, 2 * step)
        )
        # They disagree where a bound or a kink lies within a step of the draw.
        smooth = np.abs(near - far) <= 1e-6 * np.abs(near).max()
        return np.where(smooth, (4 * near - far) / 3, np.nan)

    directions = np.eye(len(row.parameters))
    density = np.asarray(of_numpyro(np.zeros(len(row.parameters)), draws)[1])
    slopes = np.stack([slope(direction) for direction in directions])
    return cdf(np.zeros(len(row.parameters))), density, slopes


# At a draw z the gradient is -(dF/dtheta) / p: told apart from another path with the
# same law, and compared as probability, whose rounding in the differences is alike for
# all draws.
@pytest.mark.slow
@parametrized(TABLE)
def test_draws_have_the_law_and_stay_at_their_quantile(row, alpha):
    with jax.enable_x64(True):
        draws, slopes = draws_and_slopes(row)
        below, density, expected = law_at(row, draws)
    assert draws.shape == (COUNT, 3)
    assert scipy.stats.kstest(below.ravel() % 1, "uniform").pvalue > alpha
    # Where a draw underflows, so does its slope.
    known = (np.abs(draws) > 1e-290) & np.isfinite(expected)
    assert known.mean() > 0.97
    for slope, change, compared in zip(slopes, expected, known, strict=True):
        error = np.abs(density * slope + change)[compared]
        assert error.max() <= 1e-8 * np.abs(change[compared]).max()
