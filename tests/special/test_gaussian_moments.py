import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from reparam_jax.special._elementwise import elementwise
from reparam_jax.special._gaussian_moments import gaussian_moment
from tests.special.reference_data import derivatives_and_differences, error

RNG = np.random.default_rng(2)
START = np.float32(np.concatenate([10.0 ** RNG.uniform(-3, 3, 12), [0.0, 0, 5]]))
WIDTH = np.float32(np.concatenate([10.0 ** RNG.uniform(-4, 2, 12), [0.5, 1e3, 1e3]]))
POWERS = ((0, 0), (1, 0), (2, 0), (0, 1), (1, 1))


def exact(i, j, start, width):
    start, width = mpmath.mpf(float(start)), mpmath.mpf(float(width))
    end = min(width, 60 / (1 + start))

    def integrand(t):
        return t**i * (width - t) ** j * mpmath.exp(-t * (start + t / 2))

    return float(mpmath.quad(integrand, [0, end / 8, end / 2, end]))


@pytest.mark.slow
@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize(("i", "j"), POWERS)
def test_moments_are_right_for_narrow_distant_and_wide_pieces(i, j, bits):
    expected = [exact(i, j, *point) for point in zip(START, WIDTH, strict=True)]
    with jax.enable_x64(bits == 64):
        dtype = np.dtype(f"float{bits}")
        actual = gaussian_moment(i, j, jnp.asarray(START, dtype), WIDTH.astype(dtype))
        assert actual.dtype == dtype
    assert error(actual, np.array(expected)) < (8e-7 if bits == 32 else 4e-15)


@pytest.mark.parametrize(("i", "j"), [(0, 0), (1, 0), (1, 1)])
def test_derivatives_are_those_of_the_integral(i, j):
    """In forward mode, which is what ``elementwise`` asks of a kernel."""

    @elementwise
    def moment(start, width):
        return gaussian_moment(i, j, start, width)

    with jax.enable_x64(True):
        actual, truth = derivatives_and_differences(moment, [0.7, 1.1], [1.0, 0.6])
    np.testing.assert_allclose(actual, truth, rtol=1e-9)


def test_starts_whose_square_overflows_have_their_mass():
    start = np.float32([1e5, 1e19, 1e34])
    mass = gaussian_moment(0, 0, start, np.full_like(start, 1e3))
    assert error(mass, 1 / np.float64(start)) < 1e-6
