"""Standard Cauchy and half-Cauchy base noise."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import zetac

from ._fold import draw_folded, with_sign


def cauchy(
    key: jax.Array,
    shape: tuple[int, ...] = (),
    dtype: jax.typing.DTypeLike = jnp.float32,
    *,
    out_sharding: jax.sharding.NamedSharding | None = None,
) -> jax.Array:
    r"""Draws independent standard Cauchy variables.

    .. math:: x = \tan(\pi (u - 1/2)), \qquad u \sim U(0, 1), \qquad
       p(x) = \frac{1}{\pi (1 + x^2)}.

    Args:
      key: one key from ``jax.random.key``. Used once.
      shape: shape of the result.
      dtype: a floating dtype. Shorter ones than float32 are rounded from it.
      out_sharding: sharding of the result on a mesh with explicit axes.

    Returns:
      An array of ``shape`` and ``dtype``. Symmetric, in float32 up to 2.7e9 in size.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or ``dtype`` is not floating.
      ValueError: ``key`` is a batch of keys.

    Gradient:
      None: noise has no parameters.

    Example:
      >>> import jax, reparam_jax as rj
      >>> noise = rj.noise.cauchy(jax.random.key(0), (1000,))
      >>> 0.4 < float((abs(noise) < 1).mean()) < 0.6
      True
    """
    return draw_folded("cauchy", cauchy_quantile, key, shape, dtype, out_sharding)


def half_cauchy(
    key: jax.Array,
    shape: tuple[int, ...] = (),
    dtype: jax.typing.DTypeLike = jnp.float32,
    *,
    out_sharding: jax.sharding.NamedSharding | None = None,
) -> jax.Array:
    r"""Draws independent standard half-Cauchy variables.

    .. math:: x = \tan(\pi u / 2), \qquad u \sim U(0, 1), \qquad
       p(x) = \frac{2}{\pi (1 + x^2)}, \quad x > 0.

    Args:
      key: one key from ``jax.random.key``. Used once.
      shape: shape of the result.
      dtype: a floating dtype. Shorter ones than float32 are rounded from it.
      out_sharding: sharding of the result on a mesh with explicit axes.

    Returns:
      An array of ``shape`` and ``dtype``. In float32 from 1.8e-10 to 5.5e9.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or ``dtype`` is not floating.
      ValueError: ``key`` is a batch of keys.

    Gradient:
      None: noise has no parameters.

    Example:
      >>> import jax, reparam_jax as rj
      >>> noise = rj.noise.half_cauchy(jax.random.key(0), (1000,))
      >>> bool((noise > 0).all())
      True
    """
    return draw_folded(
        "half_cauchy", half_cauchy_quantile, key, shape, dtype, out_sharding
    )


def cauchy_quantile(upper: jax.Array, tail: jax.Array) -> jax.Array:
    """Returns ``cot(pi t)``, with the sign of the side."""
    return with_sign(upper, _cot_pi(tail))


def half_cauchy_quantile(upper: jax.Array, tail: jax.Array) -> jax.Array:
    """Returns ``cot(pi t / 2)`` on the upper side, its reciprocal on the lower."""
    cotangent = _cot_pi(tail / 2)
    return jnp.where(upper, cotangent, 1 / cotangent)


def _cot_pi(t):
    """Returns ``cot(pi t)`` for ``0 < t <= 1/2``.

    Partial fractions (DLMF 4.22.3), ``pi cot(pi t) = 1/t - sum_k 2 t / (k^2 - t^2)``.
    The term k = 1 is kept, the others are expanded in ``t^2``: ``sum_n (zeta(2 n + 2) -
    1) t^(2 n)``, which gains a factor of 16 or more with each term. XLA's tan and sin
    are loops over single elements on CPU.
    """
    squared = t * t
    series = jnp.zeros_like(t)
    for coefficient in reversed(_ZETA_LESS_ONE[: 8 if t.dtype.itemsize == 4 else 15]):
        series = series * squared + np.array(coefficient, t.dtype)
    poles = (1 - 3 * squared) / (t * (1 - squared))
    return (poles - 2 * t * series) * np.array(1 / np.pi, t.dtype)


_ZETA_LESS_ONE = zetac(2 * np.arange(15) + 2)
