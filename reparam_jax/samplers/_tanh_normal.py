"""The normal distribution pressed into (-1, 1), with its log-probability."""

import jax
import numpy as np
from jax import lax

from . import _family, _normal


def tanh_normal(
    key: jax.Array,
    mean: jax.typing.ArrayLike,
    var: jax.typing.ArrayLike | None = None,
    *,
    std: jax.typing.ArrayLike | None = None,
    log_var: jax.typing.ArrayLike | None = None,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> tuple[jax.Array, jax.Array]:
    r"""Draws actions in (-1, 1) with their log-probabilities, and gradients for both.

    .. math:: a = \tanh x, \qquad x = \mu + \sigma \epsilon, \qquad
       \log p(a) = -\frac{\epsilon^2}{2} - \log \sigma - \frac{\log 2 \pi}{2}
       - \log(1 - \tanh^2 x)

    for the parameters of :func:`normal` and standard normal noise :math:`\epsilon`.

    Args:
      key: one key from ``jax.random.key``. Used once.
      mean: :math:`\mu`, finite, of any shape: that of x, not of the action.
      var: :math:`\sigma^2 \ge 0`, finite; broadcasts with ``mean``. Exactly one of
        ``var``, ``std`` and ``log_var`` is given.
      std: :math:`\sigma \ge 0`, finite; broadcasts with ``mean``.
      log_var: :math:`\log \sigma^2`, with a finite :math:`\sigma`; broadcasts with
        ``mean``.
      shape: shape of each result, not a prefix. The parameters must broadcast to it. By
        default, their own broadcast shape.
      dtype: dtype of the results. By default, the parameters' promoted float dtype.
        Those below 32 bits are rounded once, from float32.

    Returns:
      ``(action, log_prob)``, both of ``shape``: independent actions, and the
      log-density of each, in nats. Sum ``log_prob`` over the axes of an action that has
      several. It is computed from x, so it stays finite where the action is rounded to
      1, for abs(x) to 100 and far beyond. At standard deviation 0 (or subnormal) it is
      inf, the density of a point. An element whose parameters lie outside their domain
      raises when concrete, and is NaN under ``jax.jit``, as are its gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or not exactly one of ``var``, ``std``
        and ``log_var`` is given.
      ValueError: ``key`` is a batch of keys, the shapes do not broadcast, or a concrete
        parameter lies outside its domain.

    Gradient:
      ``mean``, ``var``, ``std``, ``log_var``: exact and pathwise, to every order, in
      forward, reverse and mixed mode, of both results:
      :math:`\partial a / \partial x = 1 - \tanh^2 x`, with all its digits where the
      action is rounded to 1, and :math:`\partial \log p / \partial x = 2 \tanh x`. At
      standard deviation 0, :math:`\log \sigma` counts as constant: what is left comes
      through x, whose gradients are those of :func:`normal`.

    References:
      Haarnoja, Zhou, Abbeel, Levine. Soft actor-critic. ICML 2018, appendix C.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> action, log_prob = rj.tanh_normal(jax.random.key(0), jnp.full(3, 20.0), 1.0)
      >>> action.tolist()
      [1.0, 1.0, 1.0]
      >>> bool(jnp.all((20 < log_prob) & (log_prob < 50)))
      True
    """
    scale_name, scale = _normal.only_one(
        "tanh_normal", var=var, std=std, log_var=log_var
    )
    parameters = {"mean": mean, scale_name: scale}
    results = _family.draw(_FAMILIES[scale_name], key, parameters, shape, dtype)
    return tuple(results)  # pyright: ignore[reportReturnType]


def tanh_normal_from_noise(
    noise: jax.typing.ArrayLike,
    mean: jax.typing.ArrayLike,
    var: jax.typing.ArrayLike | None = None,
    *,
    std: jax.typing.ArrayLike | None = None,
    log_var: jax.typing.ArrayLike | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> tuple[jax.Array, jax.Array]:
    r"""Maps given standard normal noise to actions and their log-probabilities.

    Args:
      noise: :math:`\epsilon`, of any shape that broadcasts with the parameters.
      mean: :math:`\mu`, finite.
      var: :math:`\sigma^2 \ge 0`, finite.
      std: :math:`\sigma \ge 0`, finite.
      log_var: :math:`\log \sigma^2`, with a finite :math:`\sigma`.
      dtype: dtype of the results. By default, the promoted float dtype of the
        arguments.

    Returns:
      ``(action, log_prob)``, of the arguments' broadcast shape. Elements outside the
      domain behave as in :func:`tanh_normal`.

    Raises:
      TypeError: not exactly one of ``var``, ``std`` and ``log_var`` is given.
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      As in :func:`tanh_normal`, and for the noise.

    Example:
      >>> import reparam_jax as rj
      >>> action, log_prob = rj.tanh_normal_from_noise(0.0, 100.0, std=1.0)
      >>> float(action), round(float(log_prob), 3)  # 200 - log(4) - log(2 pi) / 2
      (1.0, 197.695)
    """
    scale_name, scale = _normal.only_one(
        "tanh_normal_from_noise", var=var, std=std, log_var=log_var
    )
    parameters = {"mean": mean, scale_name: scale}
    results = _family.from_noise(_FAMILIES[scale_name], noise, parameters, dtype)
    return tuple(results)  # pyright: ignore[reportReturnType]


def _action_and_log_prob(x, noise, log_std):
    half = lax.full_like(noise, 0.5)
    constant = lax.full_like(noise, 0.5 * np.log(2 * np.pi))
    log_prob = lax.neg(lax.mul(half, lax.mul(noise, noise)))
    log_prob = lax.sub(lax.sub(log_prob, log_std), constant)
    return _tanh(x), lax.sub(log_prob, _log_slope(x))


# Closed under differentiation, so that no order loses digits to 1 - tanh(x):
# d tanh = sech^2, d sech^2 = -2 tanh sech^2, d log sech^2 = -2 tanh.
@jax.custom_jvp
def _tanh(x):
    return lax.tanh(x)


@_tanh.defjvp
def _tanh_jvp(primals, tangents):
    return _tanh(*primals), lax.mul(_slope(*primals), tangents[0])


@jax.custom_jvp
def _slope(x):
    """Returns sech(x)^2 = 4 q / (1 + q)^2 with q = exp(-2 abs(x)), exact in both tails.

    It underflows to 0 beyond abs(x) = 44 in float32, as the slope itself does.
    """
    part = lax.exp(lax.mul(lax.full_like(x, -2), lax.abs(x)))
    total = lax.add(lax.full_like(x, 1), part)
    return lax.div(lax.mul(lax.full_like(x, 4), part), lax.mul(total, total))


@_slope.defjvp
def _slope_jvp(primals, tangents):
    slope = _slope(*primals)
    double = lax.mul(lax.full_like(slope, -2), slope)
    return slope, lax.mul(lax.mul(double, _tanh(*primals)), tangents[0])


@jax.custom_jvp
def _log_slope(x):
    """Returns log sech(x)^2 = 2 (log 2 - abs(x) - log1p(exp(-2 abs(x))))."""
    size = lax.abs(x)
    part = lax.exp(lax.mul(lax.full_like(x, -2), size))
    rest = lax.sub(lax.sub(lax.full_like(x, np.log(2)), size), lax.log1p(part))
    return lax.add(rest, rest)


@_log_slope.defjvp
def _log_slope_jvp(primals, tangents):
    double = lax.mul(lax.full_like(primals[0], -2), _tanh(*primals))
    return _log_slope(*primals), lax.mul(double, tangents[0])


def _log(x):
    """Returns the logarithm; at 0 and subnormal numbers -inf, with slope 0."""
    flat = lax.lt(lax.abs(x), lax.full_like(x, np.finfo(x.dtype).tiny))
    log = lax.log(lax.select(flat, lax.full_like(x, 1), x))
    return lax.select(flat, lax.full_like(x, -np.inf), log)


def _half(x):
    return lax.mul(lax.full_like(x, 0.5), x)


_LOG_STD_OF = {
    "var": lambda var: _half(_log(var)),
    "std": _log,
    "log_var": _half,
}


def _make_family(normal, log_std_of):
    def transform(noise, mean, scale):
        x = normal.transform(noise, mean, scale)
        return _action_and_log_prob(x, noise, log_std_of(scale))

    return normal._replace(name="tanh_normal", transform=transform)


_FAMILIES = {
    scale_name: _make_family(_normal.FAMILIES[scale_name], log_std_of)
    for scale_name, log_std_of in _LOG_STD_OF.items()
}
