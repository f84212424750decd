"""Kumaraswamy draws at concentrations far from 1, against mpmath."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import reparam_jax as rj

NOISE = np.geomspace(1e-9, 20, 9)
CONCENTRATIONS = np.geomspace(1e-4, 1e6, 11)


def exact(noise, a, b):
    """The draw, and its slopes for a, b and the noise."""
    y = noise / b
    log_draw = mpmath.log1p(-mpmath.exp(-y)) / a
    draw = mpmath.exp(log_draw)
    slope = draw * mpmath.exp(-y) / -mpmath.expm1(-y) / (a * b)
    return draw, -draw * log_draw / a, -slope * y, slope


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draws_and_slopes_are_right_or_underflow(dtype):
    noise, a, b = (
        x.ravel().astype(dtype)
        for x in np.meshgrid(NOISE, CONCENTRATIONS, CONCENTRATIONS)
    )

    def total(a, b, noise):
        draws = rj.kumaraswamy_from_noise(noise, a, b)
        return jnp.sum(draws), draws

    with jax.enable_x64(dtype == np.float64):
        gradient = jax.jit(jax.grad(total, (0, 1, 2), has_aux=True))
        slopes, draws = jax.device_get(gradient(a, b, noise))
    assert draws.dtype == dtype
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).tiny)
    with mpmath.workprec(200):
        for number, point in enumerate(zip(noise, a, b, strict=True)):
            e, a_here, b_here = map(mpmath.mpf, map(float, point))
            truth = exact(e, a_here, b_here)
            # Rounding log y = log e - log b moves log z by 1 / a times that, and
            # exp(-y) by y times that; rounding log z moves z.
            log_y_error = 1 + abs(mpmath.log(e)) + abs(mpmath.log(b_here))
            log_draw = abs(truth[1] * a_here / truth[0])
            condition = 16 + 4 * log_draw + log_y_error * (e / b_here + 1 / a_here)
            underflow = 4 * tiny / (min(1, a_here) ** 2 * min(1, b_here) * min(1, e))
            for actual, wanted in zip((draws, *slopes), truth, strict=True):
                error = abs(mpmath.mpf(float(actual[number])) - wanted)
                assert error <= condition * eps * abs(wanted) + underflow, point
