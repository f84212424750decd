import jax
import numpyro.distributions as dist
import pytest
from numpyro.distributions import transforms

from reparam_jax.distributions._support import moving_ends

EXPONENTIAL = dist.Exponential(1.0)


def transformed(base, *steps):
    return dist.TransformedDistribution(base, list(steps))


# By name: the law of two parameters, and where its support ends for them, as far as
# they move that.
CASES = {
    "normal": (dist.Normal, []),
    "gamma": (dist.Gamma, []),
    "uniform": (lambda a, b: dist.Uniform(a, a + b), [0.5, 2.5]),
    "pareto": (dist.Pareto, [0.5]),
    "batch": (lambda a, b: dist.Uniform(a, a + b).expand([2]).to_event(1), [0.5, 2.5]),
    "scaled": (
        lambda a, b: transformed(EXPONENTIAL, transforms.AffineTransform(0.0, b)),
        [],
    ),
    "shifted": (
        lambda a, b: transformed(EXPONENTIAL, transforms.AffineTransform(a, b)),
        [0.5],
    ),
    "exponentiated": (
        lambda a, b: transformed(
            dist.Beta(2.0, 3.0),
            transforms.AffineTransform(a, b),
            transforms.ExpTransform(),
        ),
        [1.64872, 12.18249],
    ),
    "normal with affine": (
        lambda a, b: transformed(dist.Normal(0, 1), transforms.AffineTransform(a, b)),
        [],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_ends_that_parameters_move(name):
    make, expected = CASES[name]
    ends = jax.jit(lambda a, b: moving_ends(make(a, b)))(0.5, 2.0)
    assert [round(float(end), 4) for end in ends] == [round(x, 4) for x in expected]
