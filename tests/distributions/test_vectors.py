"""Laws of vectors and matrices."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.special
import scipy.stats

import reparam_jax as rj
from reparam_jax.distributions._paths import find_path
from tests.distributions.table import parametrized

MATRIX = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 1.5]])
FACTOR = np.linalg.cholesky(MATRIX)
ADJACENT = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], float)
LOC, SCALE = np.array([-1.0, 0.3, 2.0]), np.array([0.5, 2.0, 1.3])


KINDS = {
    dist.MultivariateNormal,
    dist.LowRankMultivariateNormal,
    dist.CAR,
    dist.MatrixNormal,
    dist.GaussianRandomWalk,
    dist.CirculantNormal,
    dist.GaussianStateSpace,
    dist.ZeroSumNormal,
    dist.EulerMaruyama,
    dist.Dirichlet,
    dist.MultivariateStudentT,
    dist.ProjectedNormal,
    dist.Wishart,
    dist.WishartCholesky,
    dist.InverseWishart,
    dist.InverseWishartCholesky,
    dist.LKJ,
    dist.LKJCholesky,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One way to make a distribution of vectors.

    Args:
      name: of the row.
      make: from the parameters to the distribution.
      parameters: arrays.
      covariance: of the flattened draw, for normal laws; ``None`` for others.
      statistic: of draws, for others.
      mean: its expectation, of the parameters, in NumPy.
    """

    name: str
    make: Callable[..., dist.Distribution]
    parameters: tuple[np.ndarray, ...]
    covariance: Callable[..., np.ndarray] | None = None
    statistic: Callable[[jax.Array], jax.Array] | None = None
    mean: Callable[..., np.ndarray] | None = None

    def at(self, parameters):
        with jax.numpy_rank_promotion("allow"):
            return self.make(*parameters)

    def in_dtype(self, dtype):
        return tuple(jnp.asarray(x, dtype) for x in self.parameters)


def walk(scale):
    return scale**2 * np.minimum.outer(np.arange(1, 6), np.arange(1, 6))


def conditional(loc, correlation, precision):
    degree = np.diag(ADJACENT.sum(0))
    return np.linalg.inv(precision * (degree - correlation * ADJACENT))


def circulant(loc, row):
    return np.stack([np.roll(row, shift) for shift in range(3)])


# x_t = A x_{t-1} + e_t: blocks A^(t-s) V_s, V_t = A V_{t-1} A' + L L'.
def state_space(transition, factor):
    blocks, variance = np.zeros((4, 3, 4, 3)), np.zeros((3, 3))
    for s in range(4):
        variance = transition @ variance @ transition.T + factor @ factor.T
        block = variance
        for t in range(s, 4):
            blocks[t, :, s], blocks[s, :, t] = block, block.T
            block = transition @ block
    return blocks.reshape(12, 12)


# Steps of 1/3: x' = (1 - d/3) x + g e / sqrt(3), from a normal start.
def process(drift, diffusion, start):
    decay, out = 1 - drift / 3, np.zeros((4, 4))
    variance = start**2
    for s in range(4):
        out[s:, s] = out[s, s:] = variance * decay ** np.arange(4 - s)
        variance = decay**2 * variance + diffusion**2 / 3
    return out


def stochastic(drift, diffusion, start):
    return dist.EulerMaruyama(
        jnp.linspace(0.0, 1.0, 4),
        lambda x, t: (-drift * x, diffusion),
        dist.Normal(0.0, start),
    )


NORMAL = (
    Row(
        "covariance",
        lambda loc, matrix: dist.MultivariateNormal(loc, covariance_matrix=matrix),
        (LOC, MATRIX),
        lambda loc, matrix: matrix,
    ),
    Row(
        "precision",
        lambda loc, matrix: dist.MultivariateNormal(loc, precision_matrix=matrix),
        (LOC, MATRIX),
        lambda loc, matrix: np.linalg.inv(matrix),
    ),
    Row(
        "scale_tril",
        lambda loc, factor: dist.MultivariateNormal(loc, scale_tril=factor),
        (LOC, FACTOR),
        lambda loc, factor: np.tril(factor) @ np.tril(factor).T,
    ),
    Row(
        "low rank",
        dist.LowRankMultivariateNormal,
        (LOC, FACTOR[:, :2], SCALE),
        lambda loc, factor, diagonal: factor @ factor.T + np.diag(diagonal),
    ),
    Row(
        "CAR",
        lambda *p: dist.CAR(*p, adj_matrix=ADJACENT.astype(np.float32)),
        (LOC, np.array(0.3), np.array(2.0)),
        conditional,
    ),
    Row(
        "matrix",
        dist.MatrixNormal,
        (MATRIX[:2], FACTOR[:2, :2], FACTOR),
        lambda loc, row, column: np.kron(row @ row.T, column @ column.T),
    ),
    Row(
        "random walk",
        lambda scale: dist.GaussianRandomWalk(scale, 5),
        (np.array(0.7),),
        walk,
    ),
    Row(
        "circulant",
        lambda loc, row: dist.CirculantNormal(loc, covariance_row=row),
        (LOC, np.array([2.0, 0.5, 0.5])),
        circulant,
    ),
    Row(
        "state space",
        lambda matrix, factor: dist.GaussianStateSpace(4, matrix, scale_tril=factor),
        (MATRIX / 3, FACTOR),
        state_space,
    ),
    Row(
        "zero sum",
        lambda scale: dist.ZeroSumNormal(scale, (3,)),
        (np.array(0.7),),
        lambda scale: scale**2 * (np.eye(3) - 1 / 3),
    ),
    Row(
        "Euler-Maruyama",
        stochastic,
        (np.array(0.5), np.array(0.3), np.array(2.0)),
        process,
    ),
)


def outer(factor):
    return factor @ jnp.swapaxes(factor, -1, -2)


def square(factor):
    return factor @ factor.T


def off_diagonal(correlation):
    """The squares of the correlations, each once."""
    return jnp.square(correlation[..., (1, 2, 2), (0, 0, 1)])


# Each is a beta variable of concentrations c - 1 + dim / 2 on (-1, 1).
def correlation_variance(concentration):
    return np.full(3, 1 / (2 * concentration + 2))


def other(name, make, *parameters, statistic, mean):
    parameters = tuple(np.asarray(x, float) for x in parameters)
    return Row(name, make, parameters, None, statistic, mean)


OTHERS = (
    other(
        "Dirichlet",
        dist.Dirichlet,
        (0.5, 2.0, 1.3),
        statistic=jnp.square,
        mean=lambda a: a * (a + 1) / (a.sum() * (a.sum() + 1)),
    ),
    other(
        "MultivariateStudentT",
        dist.MultivariateStudentT,
        *(12.0, LOC, FACTOR),
        statistic=lambda z: outer(z[..., None]),
        mean=lambda df, m, f: np.outer(m, m) + square(np.tril(f)) * df / (df - 2),
    ),
    other(
        "ProjectedNormal",
        dist.ProjectedNormal,
        (0.8, -1.3),
        statistic=lambda z: z,
        # exp(-r^2 / 4) sqrt(pi / 8) r (I0(r^2 / 4) + I1(r^2 / 4)) along the vector.
        mean=lambda c: (
            c
            * np.sqrt(np.pi / 8)
            * (scipy.special.i0e(c @ c / 4) + scipy.special.i1e(c @ c / 4))
        ),
    ),
    other(
        "Wishart",
        lambda df, f: dist.Wishart(df, scale_tril=f),
        *(5.0, FACTOR),
        statistic=lambda z: z,
        mean=lambda df, f: df * square(np.tril(f)),
    ),
    other(
        "WishartCholesky",
        lambda df, f: dist.WishartCholesky(df, scale_matrix=f),
        *(5.0, MATRIX),
        statistic=outer,
        mean=lambda df, matrix: df * matrix,
    ),
    other(
        "InverseWishart",
        lambda df, f: dist.InverseWishart(df, scale_tril=f),
        *(12.0, FACTOR),
        statistic=lambda z: z,
        mean=lambda df, f: square(np.tril(f)) / (df - 4),
    ),
    other(
        "InverseWishartCholesky",
        lambda df, f: dist.InverseWishartCholesky(df, scale_tril=f),
        *(12.0, FACTOR),
        statistic=outer,
        mean=lambda df, f: square(np.tril(f)) / (df - 4),
    ),
    other(
        "LKJ",
        lambda c: dist.LKJ(3, c),
        1.5,
        statistic=off_diagonal,
        mean=correlation_variance,
    ),
    other(
        "LKJCholesky",
        lambda c: dist.LKJCholesky(3, c),
        1.5,
        statistic=lambda z: off_diagonal(outer(z)),
        mean=correlation_variance,
    ),
    other(
        "vine",
        lambda c: dist.LKJCholesky(3, c, "cvine"),
        1.5,
        statistic=lambda z: off_diagonal(outer(z)),
        mean=correlation_variance,
    ),
)
VECTORS = NORMAL + OTHERS


# The map is affine, z = m + J e: its law is normal with covariance J J', and as a path
# with that law for all parameters, its derivatives are right.
@parametrized(NORMAL, ("low rank",))
def test_normal_vectors_are_affine_maps_with_their_covariance(row):
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        law = row.at(row.in_dtype(np.float64))
        path = find_path(law)
        base = jax.tree.map(
            lambda x: jnp.zeros(x.shape, x.dtype),
            jax.eval_shape(lambda k: path.draw(k, law.shape()), jax.random.key(0)),
        )
        columns, mean = jax.jit(lambda b: (jax.jacfwd(path.at)(b), path.at(b)))(base)
    size = np.size(mean)
    jacobian = np.concatenate(
        [np.reshape(x, (size, -1)) for x in jax.tree.leaves(columns)], 1
    )
    expected = row.covariance(*row.parameters)
    np.testing.assert_allclose(
        jacobian @ jacobian.T, expected, rtol=1e-12, atol=1e-13 * np.abs(expected).max()
    )
    loc = row.parameters[0] if row.parameters[0].shape == np.shape(mean) else 0.0
    np.testing.assert_array_equal(mean, np.broadcast_to(loc, mean.shape))


def test_the_table_makes_the_kinds_it_names():
    made = [jax.eval_shape(row.at, row.in_dtype(np.float32)) for row in VECTORS]
    assert {type(law) for law in made} == KINDS


# Of draws without a distribution function each, what is known are expectations: theirs,
# and their derivatives for a shift of a parameter by a part of its size.
@parametrized(OTHERS, ())
def test_statistics_have_their_expectations_and_derivatives(row, alpha):
    count = 40_000
    parameters = row.in_dtype(np.float32)

    def statistic(shifts):
        law = row.at([x * (1 + h) for x, h in zip(parameters, shifts, strict=True)])
        draws = rj.sample(jax.random.key(29), law, (count,))
        with jax.numpy_rank_promotion("allow"):
            return row.statistic(draws)

    def along(direction):
        return jax.jvp(statistic, (jnp.zeros_like(direction),), (direction,))

    values, slopes = jax.jit(jax.vmap(along))(jnp.eye(len(parameters)))

    def mean(shifts):
        return row.mean(
            *[x * (1 + h) for x, h in zip(row.parameters, shifts, strict=True)]
        )

    basis = np.eye(len(parameters)) * 1e-6
    expected = [mean(0 * basis[0])]
    expected += [(mean(h) - mean(-h)) / 2e-6 for h in basis]
    found = np.stack([values[0], *slopes]).astype(np.float64)
    error = found.std(1) / np.sqrt(count)
    score = np.abs(found.mean(1) - np.stack(expected)) / np.maximum(error, 1e-6)
    assert score.max() < scipy.stats.norm.isf(alpha / score.size / 2)


@pytest.mark.slow
def test_dirichlet_draws_are_those_of_the_sampler():
    def total(concentration, draw):
        draws = draw(concentration)
        return jnp.sum(draws * jnp.arange(3.0)[None]), draws

    def ours(concentration):
        law = dist.Dirichlet(concentration)
        return rj.sample(jax.random.key(31), law, (5,))

    def sampler(concentration):
        return rj.dirichlet(jax.random.key(31), concentration, shape=(5, 3))

    gradient = jax.jit(jax.grad(total, has_aux=True), static_argnums=1)
    results = [gradient(jnp.array([0.02, 2.0, 1.3]), draw) for draw in (ours, sampler)]
    jax.tree.map(np.testing.assert_array_equal, *results)
