"""Coupled base noise: each draw of the same law as before, the draws not independent.

An estimate that averages a cost over such draws has the same mean, and for costs that
change with the noise mostly in one direction a smaller variance.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from reparam_jax import _checks

from ._bits import bits, one_value
from ._cauchy import cauchy, cauchy_quantile, half_cauchy, half_cauchy_quantile
from ._exponential import exponential, exponential_quantile
from ._fold import fold
from ._gumbel import gumbel, gumbel_quantile
from ._laplace import laplace, laplace_quantile
from ._logistic import logistic, logistic_quantile
from ._normal import half_normal, half_normal_quantile, normal, normal_quantile
from ._uniform import uniform, uniform_quantile

Noise = Callable[..., jax.Array]

# Increasing maps of a folded uniform, by the noise they give.
QUANTILES = {
    cauchy: cauchy_quantile,
    exponential: exponential_quantile,
    gumbel: gumbel_quantile,
    half_cauchy: half_cauchy_quantile,
    half_normal: half_normal_quantile,
    laplace: laplace_quantile,
    logistic: logistic_quantile,
    normal: normal_quantile,
    uniform: uniform_quantile,
}


def antithetic(
    noise: Noise,
    key: jax.Array,
    shape: tuple[int, ...],
    dtype: jax.typing.DTypeLike = jnp.float32,
    *,
    out_sharding: jax.sharding.NamedSharding | None = None,
) -> jax.Array:
    r"""Draws base noise in antithetic pairs along the leading axis.

    .. math:: x_i = F^{-1}(u_i), \qquad x_{i + n/2} = F^{-1}(1 - u_i), \qquad
       u_i \sim U(0, 1)

    for the quantile function :math:`F^{-1}` of the noise; where its law is symmetric,
    the second half of the draws is minus the first. For a monotone cost the two costs
    of a pair are negatively correlated.

    Args:
      noise: which noise: a function of this room, such as ``rj.noise.normal``.
      key: one key from ``jax.random.key``. Used once.
      shape: shape of the result; its first length, the number of draws, is even.
      dtype: a floating dtype. Shorter ones than float32 are rounded from it.
      out_sharding: sharding of the result on a mesh with explicit axes.

    Returns:
      An array of ``shape`` and ``dtype``. Each element alone has the law of ``noise``.

    Raises:
      TypeError: ``noise`` is none of this room's, ``key`` is not a JAX PRNG key, or
        ``dtype`` is not floating.
      ValueError: ``key`` is a batch of keys, or the number of draws is odd.

    Gradient:
      None: noise has no parameters. The ``_from_noise`` samplers carry the gradients.

    References:
      Hammersley, Morton. A new Monte Carlo technique: antithetic variates.
      Mathematical Proceedings of the Cambridge Philosophical Society 52, 1956.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> key = jax.random.key(0)
      >>> noise = rj.noise.antithetic(rj.noise.exponential, key, (1000,))
      >>> waits = rj.exponential_from_noise(noise, rate=2.0)
      >>> first, second = jnp.exp(-2.0 * waits).reshape(2, 500)
      >>> bool(jnp.allclose(first + second, 1.0))
      True
    """
    key, dtype = _check("antithetic", noise, key, shape, dtype)
    if shape[0] % 2:
        raise ValueError(
            f"`noise.antithetic` draws in pairs, so the first length of `shape` must "
            f"be even, got shape={tuple(shape)}."
        )
    return _draw(_antithetic, noise, key, tuple(shape), dtype, out_sharding)


def stratified(
    noise: Noise,
    key: jax.Array,
    shape: tuple[int, ...],
    dtype: jax.typing.DTypeLike = jnp.float32,
    *,
    out_sharding: jax.sharding.NamedSharding | None = None,
) -> jax.Array:
    r"""Draws base noise once in each of n equally likely strata along the leading axis.

    .. math:: x_i = F^{-1}\left(\frac{\pi(i) + u_i}{n}\right), \qquad
       u_i \sim U(0, 1)

    for the quantile function :math:`F^{-1}` of the noise and a random permutation
    :math:`\pi` of the n strata, another one for every element of the other axes (a
    Latin hypercube). The variance of the mean of a smooth cost of one element falls as
    :math:`n^{-3}` instead of :math:`n^{-1}`.

    Args:
      noise: which noise: a function of this room, such as ``rj.noise.normal``.
      key: one key from ``jax.random.key``. Used once.
      shape: shape of the result; its first length is the number of draws and strata.
      dtype: a floating dtype. Shorter ones than float32 are rounded from it.
      out_sharding: sharding of the result on a mesh with explicit axes.

    Returns:
      An array of ``shape`` and ``dtype``. Each element alone has the law of ``noise``.

    Raises:
      TypeError: ``noise`` is none of this room's, ``key`` is not a JAX PRNG key, or
        ``dtype`` is not floating.
      ValueError: ``key`` is a batch of keys, or ``shape`` has no axis.

    Gradient:
      None: noise has no parameters. The ``_from_noise`` samplers carry the gradients.

    References:
      McKay, Beckman, Conover. A comparison of three methods for selecting values of
      input variables in the analysis of output from a computer code. Technometrics 21,
      1979.

    Example:
      >>> import jax, reparam_jax as rj
      >>> key = jax.random.key(0)
      >>> noise = rj.noise.stratified(rj.noise.normal, key, (1000, 3))
      >>> draws = rj.normal_from_noise(noise, 2.0, std=5.0)
      >>> [round(float(mean), 1) for mean in draws.mean(0)]
      [2.0, 2.0, 2.0]
    """
    key, dtype = _check("stratified", noise, key, shape, dtype)
    return _draw(_stratified, noise, key, tuple(shape), dtype, out_sharding)


def _check(function, noise, key, shape, dtype):
    function = f"noise.{function}"
    if not any(noise is known for known in QUANTILES):
        names = ", ".join(f"`noise.{noise.__name__}`" for noise in QUANTILES)
        raise TypeError(f"`{function}` couples one of {names}, got {noise!r}.")
    if len(shape) == 0:
        raise ValueError(
            f"`{function}` needs the number of draws as the first length of `shape`, "
            "got shape=()."
        )
    key = _checks.check_key(function, key)
    return key, _checks.result_dtype(function, dtype)


@functools.partial(jax.jit, static_argnums=(0, 1, 3, 4, 5))
def _draw(coupled, noise, key, shape, dtype, out_sharding):
    drawn = _checks.noise_dtype(dtype)
    draw = functools.partial(
        coupled, quantile=QUANTILES[noise], shape=shape, dtype=drawn
    )
    return one_value(draw, key, out_sharding).astype(dtype)


def _antithetic(key, quantile, shape, dtype):
    upper, tail = _folded(key, (shape[0] // 2, *shape[1:]), dtype)
    return jnp.concatenate([quantile(upper, tail), quantile(~upper, tail)])


def _stratified(key, quantile, shape, dtype):
    order_key, tail_key = jax.random.split(key)
    count = shape[0]
    stratum = jnp.argsort(bits(order_key, shape), axis=0)
    _, tail = _folded(tail_key, shape, dtype)
    # The stratum is counted from the nearer end, which keeps the tails resolved. With
    # an odd number the middle one reaches beyond 1/2, and is folded there.
    upper = stratum > count - 1 - stratum
    from_end = jnp.minimum(stratum, count - 1 - stratum).astype(dtype)
    position = (from_end + 2 * tail) / count
    beyond = position > np.array(0.5, dtype)
    return quantile(upper ^ beyond, jnp.where(beyond, 1 - position, position))


def _folded(key, shape, dtype):
    return fold(bits(key, shape, jnp.dtype(f"uint{8 * dtype.itemsize}")), dtype)
