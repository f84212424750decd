"""Laws of vectors and matrices that are maps of normal and gamma variables."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax import lax
from jax.scipy.linalg import solve_triangular
from numpyro.distributions.util import signed_stick_breaking_tril

from reparam_jax import _checks
from reparam_jax import noise as noise_room
from reparam_jax.samplers import _chi2, _log_beta, multivariate_normal_from_noise

from ._path import Find, Maker, Path, batch_shape_of, path_of_family


def _of_normals(parameters: dict[str, Any], to_draws, shape_of=lambda shape: shape):
    """A path from normal noise, of the result's shape unless said otherwise."""
    result = _checks.result_dtype("sample", None, **parameters)
    dtype = _checks.noise_dtype(result)

    def draw(key, shape):
        key = _checks.check_key("sample", key)
        return noise_room.normal(key, shape_of(shape), dtype)

    def at(noise):
        with jax.numpy_rank_promotion("allow"):
            return to_draws(noise).astype(result)

    return Path(draw, at)


def _multivariate_normal(law: Any, find: Find) -> Path:
    del find
    return normal_vectors(law.loc, scale_tril=law.scale_tril)


def _conditional_autoregressive(law: Any, find: Find) -> Path:
    del find
    return normal_vectors(law.loc, precision=law.precision_matrix)


def normal_vectors(loc: jax.Array, **matrix: Any) -> Path:
    """Returns the path of normal vectors, for a matrix as the sampler takes it."""

    def at(noise):
        return multivariate_normal_from_noise(noise, loc, **matrix)

    return _of_normals({"loc": loc, **matrix}, at)


def _low_rank(law: Any, find: Find) -> Path:
    del find
    length = law.loc.shape[-1] + law.cov_factor.shape[-1]

    def at(noise):
        low_rank = law.cov_factor, law.cov_diag
        return multivariate_normal_from_noise(noise, law.loc, low_rank=low_rank)

    parameters = {"loc": law.loc, "factor": law.cov_factor, "diagonal": law.cov_diag}
    return _of_normals(parameters, at, lambda shape: (*shape[:-1], length))


def _matrix_normal(law: Any, find: Find) -> Path:
    del find
    row, column = law.scale_tril_row, law.scale_tril_column

    def at(noise):
        return law.loc + _times(_times(row, noise), jnp.swapaxes(column, -2, -1))

    return _of_normals({"loc": law.loc, "row": row, "column": column}, at)


def _random_walk(law: Any, find: Find) -> Path:
    del find

    def at(noise):
        return jnp.cumsum(noise, -1) * jnp.expand_dims(law.scale, -1)

    return _of_normals({"scale": law.scale}, at)


def _projected_normal(law: Any, find: Find) -> Path:
    del find

    def at(noise):
        vector = law.concentration + noise
        return vector / jnp.linalg.norm(vector, axis=-1, keepdims=True)

    return _of_normals({"concentration": law.concentration}, at)


def _with_normals(gammas: Path, gammas_shape_of, of_normals: Path, to_draws) -> Path:
    """A path from gamma or beta variables and normal noise, drawn independently."""

    def draw(key, shape):
        key_gammas, key_normals = jax.random.split(_checks.check_key("sample", key))
        drawn = gammas.draw(key_gammas, gammas_shape_of(shape))
        return drawn, of_normals.draw(key_normals, shape)

    def at(base):
        drawn, noise = base
        with jax.numpy_rank_promotion("allow"):
            return to_draws(gammas.at(drawn), noise)

    return Path(draw, at)


def _student_t(law: Any, find: Find) -> Path:
    del find
    squares = path_of_family(_chi2.FAMILY, df=law.df)

    def at(squares, noise):
        ratio = jnp.sqrt(law.df / squares)[..., None]
        return law.loc + _times(law.scale_tril, (noise * ratio)[..., None])[..., 0]

    normals = normal_vectors(law.loc, scale_tril=law.scale_tril)
    return _with_normals(squares, lambda shape: shape[:-1], normals, at)


# Bartlett's decomposition: of normals below the diagonal, and roots of chi-squares with
# one degree of freedom less from row to row, or from column to column, on it.
def _wishart(law: Any, find: Find) -> Path:
    del find
    steps = -jnp.arange(law.event_shape[-1])

    def at(factor):
        return _times(law.scale_tril, factor)

    return _bartlett(law, steps, at)


def _inverse_wishart(law: Any, find: Find) -> Path:
    del find
    size = law.event_shape[-1]

    def at(factor):
        identity = jnp.broadcast_to(jnp.eye(size, dtype=factor.dtype), factor.shape)
        inverse = solve_triangular(factor, identity, lower=True)
        return _times(law.scale_tril, inverse)

    return _bartlett(law, jnp.arange(size) - size + 1, at)


def _bartlett(law, steps, of_factor):
    with jax.numpy_rank_promotion("allow"):
        squares = path_of_family(_chi2.FAMILY, df=law.concentration[..., None] + steps)

    def at(squares, noise):
        diagonal = jnp.sqrt(squares)[..., None] * jnp.eye(steps.size, dtype=noise.dtype)
        return of_factor(jnp.tril(noise, -1) + diagonal)

    normals = _of_normals({"scale_tril": law.scale_tril}, lambda noise: noise)
    return _with_normals(squares, lambda shape: shape[:-1], normals, at)


# The squared length of a row of the factor left of the diagonal is a beta variable, and
# its direction is uniform.
def _onion(law: Any, find: Find) -> Path | None:
    if law.sample_method != "onion":
        return _vine(law, find)
    squares = _log_betas(law._beta)

    def at(logs, noise):
        log_square, log_rest = logs
        below = jnp.tril(noise, -1)[..., 1:, :-1]
        length = jnp.linalg.norm(below, axis=-1, keepdims=True)
        rows = jnp.exp(log_square / 2)[..., None] * (below / length)
        factor = jnp.pad(rows, [(0, 0)] * (rows.ndim - 2) + [(1, 0), (0, 1)])
        first = jnp.ones_like(log_rest[..., :1])
        diagonal = jnp.concatenate([first, jnp.exp(log_rest / 2)], -1)
        identity = jnp.eye(law.dimension, dtype=factor.dtype)
        return factor + diagonal[..., None] * identity

    normals = _of_normals({"concentration": law.concentration}, lambda noise: noise)
    return _with_normals(
        squares, lambda shape: (*shape[:-2], law.dimension - 1), normals, at
    )


# All partial correlations are beta variables on (-1, 1).
def _vine(law: Any, find: Find) -> Path | None:
    partial = find(law._beta)
    assert partial is not None
    count = law.dimension * (law.dimension - 1) // 2

    def draw(key, shape):
        return partial.draw(key, (*batch_shape_of(law, shape), count))

    def at(base):
        with jax.numpy_rank_promotion("allow"):
            return signed_stick_breaking_tril(2 * partial.at(base) - 1)

    return Path(draw, at)


def _log_betas(law):
    parameters = law.concentration1, law.concentration0
    names = "concentration1", "concentration0"
    return path_of_family(_log_beta.FAMILY, **dict(zip(names, parameters, strict=True)))


def _times(left, right):
    return jnp.matmul(left, right, precision=lax.Precision.HIGHEST)


MAKERS: dict[type, Maker] = {
    dist.MultivariateNormal: _multivariate_normal,
    dist.LowRankMultivariateNormal: _low_rank,
    dist.CAR: _conditional_autoregressive,
    dist.MatrixNormal: _matrix_normal,
    dist.GaussianRandomWalk: _random_walk,
    dist.ProjectedNormal: _projected_normal,
    dist.MultivariateStudentT: _student_t,
    dist.WishartCholesky: _wishart,
    dist.InverseWishartCholesky: _inverse_wishart,
    dist.LKJCholesky: _onion,
}
