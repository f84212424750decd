"""The multivariate normal distribution, by a factor of its covariance."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from reparam_jax import _checks, _domains
from reparam_jax import noise as noise_room
from reparam_jax._domains import (
    FINITE,
    NON_NEGATIVE,
    POSITIVE_DEFINITE,
    Parameter,
)
from reparam_jax._meshes import cholesky, laid_out, place

from ._roots import sqrt


def multivariate_normal(
    key: jax.Array,
    mean: ArrayLike,
    *,
    covariance: ArrayLike | None = None,
    scale_tril: ArrayLike | None = None,
    precision: ArrayLike | None = None,
    low_rank: tuple[ArrayLike, ArrayLike] | None = None,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws vectors from Normal(mean, covariance), with gradients for all parameters.

    .. math:: z = \mu + A \epsilon, \qquad \epsilon \sim N(0, I), \qquad
       A A^T = \Sigma

    for exactly one of ``covariance`` :math:`\Sigma` (:math:`A` is its Cholesky factor),
    ``scale_tril`` :math:`A` itself, ``precision`` :math:`P = \Sigma^{-1} = L L^T`
    (:math:`A = L^{-T}`), and ``low_rank`` :math:`(W, d)` with :math:`\Sigma = W W^T +
    \mathrm{diag}(d)`, where :math:`z = \mu + W \epsilon_1 + \sqrt{d} \epsilon_2`.

    Args:
      key: one key from ``jax.random.key``. Used once.
      mean: :math:`\mu`, finite, of shape (..., dim), or a scalar.
      covariance: :math:`\Sigma`, positive definite, of shape (..., dim, dim). Its
        symmetric part is used.
      scale_tril: :math:`A`, finite, of shape (..., dim, dim). What stands above the
        diagonal is not read.
      precision: :math:`P`, positive definite, of shape (..., dim, dim). Its symmetric
        part is used.
      low_rank: :math:`W`, finite, of shape (..., dim, rank), and :math:`d \ge 0`,
        finite, of shape (..., dim).
      shape: shape of the whole result, (..., dim); the leading axes of the parameters
        must broadcast to its own. By default, their broadcast shape.
      dtype: dtype of the result. By default, the parameters' promoted float dtype.
        Draws below 32 bits are rounded once, from float32.

    Returns:
      Independent vectors along the last axis. Where a matrix lies outside its domain,
      or an element of the mean, the call raises when that is concrete; under
      ``jax.jit`` the vectors of the matrix, or that element, are NaN, as are their
      gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or not exactly one of the four is given.
      ValueError: ``key`` is a batch of keys, the shapes do not fit, or a concrete
        parameter lies outside its domain.

    Gradient:
      All parameters: exact and pathwise, to every order, in forward, reverse and mixed
      mode. ``covariance`` and ``precision``: through the Cholesky factor, :math:`\dot A
      = A \Phi(A^{-1} \dot \Sigma A^{-T})` with :math:`\Phi` the lower triangle, its
      diagonal halved; finite at equal eigenvalues. ``low_rank``: at variance
      :math:`d_i = 0` the slope for :math:`d_i` is 0, as in :func:`normal`.

    References:
      Murray. Differentiation of the Cholesky decomposition. 2016, section 3.1.
      https://arxiv.org/abs/1602.07527

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> covariance = jnp.array([[2.0, 1.0], [1.0, 3.0]])
      >>> draws = rj.multivariate_normal(
      ...   jax.random.key(0), jnp.zeros(2), covariance=covariance, shape=(50_000, 2)
      ... )
      >>> bool(jnp.allclose(jnp.cov(draws.T), covariance, atol=0.1))
      True
    """
    function = "multivariate_normal"
    key = _checks.check_key(function, key)
    form, arrays = _only_one(
        function,
        covariance=covariance,
        scale_tril=scale_tril,
        precision=precision,
        low_rank=low_rank,
    )
    parameters = _checks.check_real(function, mean=mean, **arrays)
    dtype = _checks.result_dtype(function, dtype, **parameters)
    shape = _result_shape(function, shape, parameters)
    values = _check_values(function, dtype, parameters)
    return _draw(form, key, values, shape, dtype)


def multivariate_normal_from_noise(
    noise: ArrayLike,
    mean: ArrayLike,
    *,
    covariance: ArrayLike | None = None,
    scale_tril: ArrayLike | None = None,
    precision: ArrayLike | None = None,
    low_rank: tuple[ArrayLike, ArrayLike] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given standard normal noise to draws from Normal(mean, covariance).

    Args:
      noise: :math:`\epsilon`, as from ``rj.noise.normal``, of shape (..., dim); with
        ``low_rank``, of shape (..., rank + dim), :math:`\epsilon_1` first.
      mean: as in :func:`multivariate_normal`.
      covariance: as there.
      scale_tril: as there.
      precision: as there.
      low_rank: as there.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of shape (..., dim). What lies outside the domain behaves as in
      :func:`multivariate_normal`.

    Raises:
      TypeError: not exactly one of the four is given.
      ValueError: the shapes do not fit, or a concrete parameter lies outside its
        domain.

    Gradient:
      As in :func:`multivariate_normal`, and :math:`\partial z / \partial \epsilon =
      A`, or :math:`(W, \mathrm{diag}(\sqrt d))`.

    Example:
      >>> import jax.numpy as jnp, reparam_jax as rj
      >>> covariance = jnp.array([[4.0, 2.0], [2.0, 10.0]])  # [[2, 0], [1, 3]]
      >>> noise = jnp.array([1.0, -1.0])
      >>> draw = rj.multivariate_normal_from_noise(noise, 0.0, covariance=covariance)
      >>> draw.tolist()
      [2.0, -2.0]
    """
    function = "multivariate_normal_from_noise"
    form, arrays = _only_one(
        function,
        covariance=covariance,
        scale_tril=scale_tril,
        precision=precision,
        low_rank=low_rank,
    )
    parameters = _checks.check_real(function, mean=mean, **arrays)
    noise = _checks.check_real(function, noise=noise)["noise"]
    dtype = _checks.result_dtype(function, dtype, noise=noise, **parameters)
    length = _noise_length(form, tuple(parameters.values())[1])
    if jnp.shape(noise)[-1:] != (length,):
        raise ValueError(
            f"`{function}` needs `noise` to have {length} elements along its last "
            f"axis, got shape {jnp.shape(noise)}."
        )
    shape = _result_shape(function, None, parameters, noise)
    values = _check_values(function, dtype, parameters)
    return _from_noise(form, noise, values, shape, dtype)


def _only_one(function, **forms):
    given = {form: arrays for form, arrays in forms.items() if arrays is not None}
    if len(given) != 1:
        raise TypeError(
            f"`{function}` takes exactly one of `covariance`, `scale_tril`, "
            "`precision` and `low_rank`, got "
            f"{' and '.join(f'`{form}`' for form in given) or 'none of them'}."
        )
    ((form, arrays),) = given.items()
    if form != "low_rank":
        return form, {form: arrays}
    if not isinstance(arrays, tuple) or len(arrays) != 2:
        raise TypeError(
            f"`{function}` takes `low_rank` as a tuple (factor, diagonal), got "
            f"{type(arrays).__name__}."
        )
    return form, dict(zip(("factor", "diagonal"), arrays, strict=True))


def _result_shape(function, shape, parameters, noise=None):
    """The shape of the vectors: every argument, cut down to them, broadcasts to it."""
    mean, (name, matrix), *diagonal = parameters.items()
    matrix_shape = jnp.shape(matrix)
    if len(matrix_shape) < 2 or (name != "factor" and len(set(matrix_shape[-2:])) > 1):
        expected = "(..., dim, rank)" if name == "factor" else "(..., dim, dim)"
        raise ValueError(
            f"`{function}` needs `{name}` to be of shape {expected}, got "
            f"{matrix_shape}."
        )
    vectors = dict([mean, *diagonal])
    vectors[f"{name}[..., 0]"] = np.broadcast_to(0.0, matrix_shape[:-1])
    if noise is not None:
        dim = matrix_shape[-2]
        vectors["noise[..., :dim]"] = np.broadcast_to(0.0, (*noise.shape[:-1], dim))
    shape = _checks.result_shape(function, shape, **vectors)
    if shape[-1] != matrix_shape[-2]:
        raise ValueError(
            f"`{function}` draws vectors of {matrix_shape[-2]} elements for `{name}` "
            f"of shape {matrix_shape}, got {shape[-1]} from the other arguments."
        )
    return shape


def _noise_length(form, matrix):
    """Elements of noise for each vector."""
    dim, columns = jnp.shape(matrix)[-2:]
    return dim + columns if form == "low_rank" else dim


_DOMAINS = {
    "mean": FINITE,
    "covariance": POSITIVE_DEFINITE,
    "scale_tril": FINITE,
    "precision": POSITIVE_DEFINITE,
    "factor": FINITE,
    "diagonal": NON_NEGATIVE,
}
_WAYS_OUT = {
    "covariance": "Add to its diagonal, or pass `scale_tril=` or `low_rank=`, which "
    "may be singular.",
    "precision": "Add to its diagonal, or pass `scale_tril=`.",
}


def _check_values(function, dtype, parameters):
    constraints = {
        name: Parameter(value, _DOMAINS[name], _WAYS_OUT.get(name, ""))
        for name, value in parameters.items()
    }
    return _domains.check_values(function, _checks.noise_dtype(dtype), constraints)


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def _draw(form, key, values, shape, dtype):
    mean, *arrays = _cast(dtype, values)
    mean = jnp.broadcast_to(mean, shape)
    noise_shape = (*shape[:-1], _noise_length(form, arrays[0]))
    sharding = _sharding(mean, arrays[0])
    noise = noise_room.normal(key, noise_shape, mean.dtype, out_sharding=sharding)
    return _transform(form, noise, mean, arrays, dtype)


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def _from_noise(form, noise, values, shape, dtype):
    noise, mean, *arrays = _cast(dtype, (noise, *values))
    noise = jnp.broadcast_to(noise, (*shape[:-1], noise.shape[-1]))
    mean = jnp.broadcast_to(mean, shape)
    noise = laid_out(noise, _sharding(mean + noise[..., :1], arrays[0]))
    return _transform(form, noise, mean, arrays, dtype)


def _cast(dtype, values):
    return [jnp.asarray(x).astype(_checks.noise_dtype(dtype)) for x in values]


# Where some of the arrays are split over explicit axes of a mesh, the noise is.
def _sharding(vectors, matrix):
    row = jnp.broadcast_to(matrix[..., 0], vectors.shape)
    return jax.typeof(lax.add(vectors, row)).sharding


def _transform(form, noise, mean, arrays, dtype):
    if form == "low_rank":
        factor, diagonal = arrays
        rank = factor.shape[-1]
        std = jnp.broadcast_to(sqrt(diagonal), mean.shape)
        draws = mean + _matvec(factor, noise[..., :rank]) + std * noise[..., rank:]
        valid = NON_NEGATIVE.holds(jnp.broadcast_to(diagonal, mean.shape))
    else:
        factor = _FACTOR_OF[form](arrays[0])
        draws = mean + _matvec(factor, noise)
        valid = True
    # A Cholesky factor is NaN throughout where there is none.
    matrix_valid = jnp.all(jnp.isfinite(factor), (-2, -1))[..., None]
    valid = valid & FINITE.holds(mean) & jnp.broadcast_to(matrix_valid, mean.shape)
    return _domains.poison(draws, valid).astype(dtype)


def _matvec(matrix, vector):
    product = functools.partial(jnp.einsum, "...ij,...j->...i", precision="highest")
    return place(product, matrix, vector, out_sharding=jax.typeof(vector).sharding)


def _inverse_of_cholesky_transposed(precision):
    factor = cholesky(precision)
    identity = jnp.broadcast_to(
        jnp.eye(factor.shape[-1], dtype=factor.dtype), factor.shape
    )
    solve = functools.partial(
        lax.linalg.triangular_solve, left_side=True, lower=True, transpose_a=True
    )
    return place(solve, factor, identity, out_sharding=jax.typeof(factor).sharding)


_FACTOR_OF = {
    "covariance": cholesky,
    "scale_tril": jnp.tril,
    "precision": _inverse_of_cholesky_transposed,
}
