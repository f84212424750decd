"""Quadrature over the differences of scores, and densities in many digits."""

import mpmath
import numpy as np


def grid(dims, temperature, half_width=45.0, step=0.25):
    """Points of log y over ``temperature``, the last component 0, and their volume."""
    axis = np.arange(-half_width, half_width, step)
    points = np.stack(np.meshgrid(*[axis] * dims, indexing="ij"), -1).reshape(-1, dims)
    points = np.concatenate([points, np.zeros((len(points), 1))], -1)
    return points / temperature, (step / temperature) ** dims


def log_density(log_draw, logits, temperature):
    """By Maddison, Mnih, Teh, appendix C.3, with 50 digits."""
    with mpmath.workdps(50):
        tau = mpmath.mpf(float(temperature))
        terms = [
            mpmath.exp(mpmath.mpf(float(logit)) - tau * mpmath.mpf(float(x)))
            for x, logit in zip(log_draw, logits, strict=True)
        ]
        density = mpmath.factorial(len(terms) - 1) * tau ** (len(terms) - 1)
        for term in terms:
            density *= term / mpmath.fsum(terms)
        return float(mpmath.log(density))
