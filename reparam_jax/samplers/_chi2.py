"""The chi-square distribution."""

import jax

from . import _family
from ._gamma import gamma_at, standard_gamma


def chi2(
    key: jax.Array,
    df: jax.typing.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from the chi-square distribution, with gradients for its parameter.

    .. math:: z = 2 g, \qquad g \sim \text{Gamma}(\nu / 2, 1),

    for integer :math:`\nu` the sum of the squares of :math:`\nu` standard normals.

    Args:
      key: one key from ``jax.random.key``. Used once.
      df: degrees of freedom :math:`\nu > 0`, finite, of any shape.
      shape: shape of the whole result, not a prefix. The parameters must broadcast to
        it. By default, their own broadcast shape.
      dtype: dtype of the result. By default, the parameters' promoted float dtype.
        Draws below 32 bits are rounded once, from float32.

    Returns:
      Independent draws. An element whose parameters lie outside their domain raises
      when concrete, and is NaN under ``jax.jit``, as are its gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or a parameter is not real.
      ValueError: ``key`` is a batch of keys, the shapes do not broadcast, or a concrete
        parameter lies outside its domain.

    Gradient:
      ``df``: exact, implicit, to second order, in forward, reverse and mixed mode, as
      in :func:`gamma`.

    References:
      Figurnov, Mohamed, Mnih. Implicit reparameterization gradients. NeurIPS 2018.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> mean = lambda df: jnp.mean(rj.chi2(jax.random.key(0), df, shape=(20_000,)))
      >>> round(float(jax.grad(mean)(4.0)), 1)  # d E[z] / d df = 1
      1.0
    """
    return _family.draw(FAMILY, key, {"df": df}, shape, dtype)


def _standard(key, df):
    return standard_gamma(key, df / 2)


def _at(draw, df):
    return 2 * gamma_at(draw, df / 2)


def _constraints(df):
    return _family.all_positive(df=df)


FAMILY = _family.Family("chi2", None, _at, _constraints, standard=_standard)
