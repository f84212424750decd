"""A sampler with implicit gradients, made of any sampler and its CDF."""

import functools
import inspect
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from reparam_jax import _checks, _domains
from reparam_jax._domains import Domain, Parameter

from ._implicit import implicit


def implicit_sampler(
    sample_fn: Callable[..., jax.Array],
    cdf: Callable[..., jax.Array],
    logpdf: Callable[..., jax.Array],
) -> Callable[..., jax.Array]:
    r"""Gives any sampler of one-dimensional draws the gradient that its CDF implies.

    .. math:: \frac{\partial z}{\partial \theta} =
       -\frac{\partial F(z; \theta) / \partial \theta}{p(z; \theta)}

    for the distribution function :math:`F` and the density :math:`p`: the change of
    a draw that stays at its quantile. How ``sample_fn`` draws does not matter: by
    rejection, by a choice, or outside of JAX.

    Args:
      sample_fn: ``sample_fn(key, *params, shape)`` draws, by the keyword ``shape``
        where it has such a parameter (as in ``jax.random``), else by position. It is
        not differentiated.
      cdf: ``cdf(z, *params)``, as in ``jax.scipy.stats``: :math:`F`, a value for each
        draw. Only its derivatives in ``params`` at fixed ``z`` are read, so what does
        not depend on them may be added: minus the survival function serves as well,
        and ``jnp.where(z > middle, -sf, cdf)`` keeps the digits of both tails.
      logpdf: ``logpdf(z, *params)``: :math:`\log p`, in nats.

    Returns:
      ``sampler(key, *params, shape=None, dtype=None)``, compiled. ``params`` are real
      arrays that broadcast to ``shape``, the shape of the whole result, by default
      their own broadcast shape; close over arrays that do not. ``dtype`` is that of the
      result, by default their promoted float dtype. The three functions see arrays of
      the result's rank, in float32 where its dtype is shorter. A parameter that is NaN
      raises when concrete, and makes its elements NaN under ``jax.jit``. Other domains
      are not known here: outside of them the draws are what ``sample_fn`` makes of the
      parameters.

    Raises:
      TypeError: (the sampler) ``key`` is not a JAX PRNG key, a parameter is not real,
        or the draws are not floats.
      ValueError: (the sampler) ``key`` is a batch of keys, the shapes do not broadcast,
        a parameter is NaN, or ``sample_fn``, ``cdf`` or ``logpdf`` returns another
        shape than that of the result.

    Gradient:
      ``params``, and traced arrays over which ``cdf`` and ``logpdf`` close: as exact as
      the derivatives of ``cdf``, to every order and in every mode in which ``cdf`` and
      ``logpdf`` have them. A derivative that JAX lacks raises there (that of
      ``jax.scipy.special.betainc`` in ``a``); one that ``cdf`` hides, as by
      ``jax.lax.stop_gradient`` or a piecewise constant, cannot be told from 0. Where
      :math:`F` is near 1 a formula like :math:`p = F (1 - F)`, the derivative of
      ``jax.scipy.stats.logistic.cdf``, loses the digits that 1 - F lost: pass minus the
      survival function there.

    References:
      Figurnov, Mohamed, Mnih. Implicit reparameterization gradients. NeurIPS 2018,
      section 3.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> from jax.scipy.stats import gamma
      >>> draw = rj.implicit_sampler(jax.random.gamma, gamma.cdf, gamma.logpdf)
      >>> mean = lambda a, key: draw(key, a, shape=(20_000,)).mean()
      >>> slope = jax.grad(mean)(3.0, jax.random.key(0))  # of E z = 3
      >>> bool(abs(slope - 1.0) < 0.01)
      True
    """
    function = "implicit_sampler"
    by_name = "shape" in _names(sample_fn)
    names = _names(cdf)[1:]

    @functools.partial(jax.jit, static_argnums=(2, 3))
    def draw(key, params, shape, dtype):
        compute_dtype = _checks.noise_dtype(dtype)
        params = [_at_rank(len(shape), x).astype(compute_dtype) for x in params]
        valid = [jnp.broadcast_to(NUMBER.holds(x), shape) for x in params]
        fixed = lax.stop_gradient(params)
        if by_name:
            sample = sample_fn(key, *fixed, shape=shape)
        else:
            sample = sample_fn(key, *fixed, shape)
        check_float(function, "sample_fn", sample)
        check_shape(function, "sample_fn", sample, shape)

        def law(z):
            values = cdf(z, *params), logpdf(z, *params)
            for name, value in zip(("cdf", "logpdf"), values, strict=True):
                check_shape(function, name, value, shape)
            return values

        draws = implicit(jnp.asarray(sample).astype(compute_dtype), law)
        for each in valid:
            draws = _domains.poison(draws, each)
        return draws.astype(dtype)

    def sampler(key, *params, shape=None, dtype=None):
        """Draws, with implicit gradients for the parameters."""
        key = _checks.check_key(function, key)
        if len(params) == len(names):
            named = dict(zip(names, params, strict=True))
        else:
            named = {f"params[{place}]": value for place, value in enumerate(params)}
        named = _checks.check_real(function, **named)
        dtype = _checks.result_dtype(function, dtype, **named)
        shape = _checks.result_shape(function, shape, **named)
        numbers = {name: Parameter(value, NUMBER) for name, value in named.items()}
        compute_dtype = _checks.noise_dtype(dtype)
        if numbers:
            params = _domains.check_values(function, compute_dtype, numbers)
        return draw(key, params, shape, dtype)

    return sampler


NUMBER = Domain(lambda x: lax.eq(x, x), "a number")


def _at_rank(ndim, value):
    """With leading axes of length 1: strict rank promotion takes no others."""
    value = jnp.asarray(value)
    return jnp.expand_dims(value, tuple(range(ndim - value.ndim)))


def _names(function):
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # written in C
        return []


def check_float(function: str, name: str, value: jax.Array) -> None:
    """Raises where a caller's function returns anything but floats."""
    if not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        raise TypeError(
            f"`{function}` needs `{name}` to return floats, got "
            f"{jnp.result_type(value)}: discrete draws have no implicit gradient."
        )


def check_shape(
    function: str, name: str, value: jax.Array, shape: tuple[int, ...]
) -> None:
    """Raises where a caller's function returns an array of another shape."""
    if jnp.shape(value) != shape:
        raise ValueError(
            f"`{function}` needs `{name}` to return an array of shape {shape}, got "
            f"{jnp.shape(value)}."
        )
