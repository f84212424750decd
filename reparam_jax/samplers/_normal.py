"""The normal distribution: z = mean + sqrt(var) * noise."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from reparam_jax import _checks, _domains, noise
from reparam_jax._domains import FINITE, NON_NEGATIVE, Domain, Parameter


def normal(
    key: jax.Array,
    mean: jax.typing.ArrayLike,
    var: jax.typing.ArrayLike | None = None,
    *,
    std: jax.typing.ArrayLike | None = None,
    log_var: jax.typing.ArrayLike | None = None,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from Normal(mean, var), with gradients for both parameters.

    .. math:: z = \mu + \sigma \epsilon, \qquad \epsilon \sim N(0, 1), \qquad
       \sigma = \sqrt{v} = e^{\ell / 2}

    for ``mean`` :math:`\mu` and exactly one of ``var`` :math:`v`, ``std``
    :math:`\sigma` and ``log_var`` :math:`\ell`.

    Args:
      key: one key from ``jax.random.key``. Used once.
      mean: :math:`\mu`, finite, of any shape.
      var: :math:`v \ge 0`, finite; broadcasts with ``mean``.
      std: :math:`\sigma \ge 0`, finite; broadcasts with ``mean``.
      log_var: :math:`\ell`, with :math:`e^{\ell / 2}` finite (in float32, values and
        gradients are for ``abs(log_var) <= 170``); broadcasts with ``mean``.
      shape: shape of the whole result, not a prefix. The parameters must broadcast to
        it. By default, their own broadcast shape.
      dtype: dtype of the result. By default, the parameters' promoted float dtype.
        Draws below 32 bits are rounded once, from float32.

    Returns:
      Independent draws. ``normal(key, 0.0, 1.0, shape=s)`` equals
      ``jax.random.normal(key, s)`` bit for bit. An element whose parameters lie outside
      their domain raises when concrete, and is NaN under ``jax.jit``, as are its
      gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or not exactly one of ``var``, ``std``
        and ``log_var`` is given.
      ValueError: ``key`` is a batch of keys, the shapes do not broadcast, or a concrete
        parameter lies outside its domain.

    Gradient:
      ``mean``, ``var``, ``std``, ``log_var``: exact and pathwise, to every order, in
      forward, reverse and mixed mode: :math:`\partial z / \partial \mu = 1`,
      :math:`\partial z / \partial v = \epsilon / (2 \sqrt{v})`,
      :math:`\partial z / \partial \sigma = \epsilon`,
      :math:`\partial z / \partial \ell = \sigma \epsilon / 2`. At variance 0, where the
      second is infinite, and at subnormal variances, the draw is the mean and the
      gradient for the variance is 0; those for ``std`` and ``log_var`` have no such
      point.

    References:
      Kingma, Welling. Auto-encoding variational Bayes. ICLR 2014, section 2.4.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> key = jax.random.key(0)
      >>> mean, var = jnp.zeros((2, 8, 8, 3)), jnp.full((2, 8, 8, 3), 0.25)
      >>> rj.normal(key, mean, var).shape
      (2, 8, 8, 3)
      >>> draw = lambda std: rj.normal(jax.random.key(1), 2.0, std=std)
      >>> noise = jax.random.normal(jax.random.key(1))
      >>> bool(jax.grad(draw)(5.0) == noise)  # d z / d std
      True

      The backward pass keeps one array of the draw's size, the noise. For huge tensors
      ``jax.checkpoint`` draws it again instead:

      >>> draw = jax.checkpoint(rj.normal)
      >>> loss = lambda mean: draw(jax.random.key(2), mean, var).sum()
      >>> float(jax.grad(loss)(mean).sum())
      384.0
    """
    key = _checks.check_key("normal", key)
    scale_name, scale = _only_one("normal", var=var, std=std, log_var=log_var)
    parameters = _checks.check_real("normal", mean=mean, **{scale_name: scale})
    dtype = _checks.result_dtype("normal", dtype, **parameters)
    shape = _checks.result_shape("normal", shape, **parameters)
    mean, scale = _check_values("normal", dtype, parameters)
    return _normal(key, mean, scale, scale_name, shape, dtype)


def normal_from_noise(
    noise: jax.typing.ArrayLike,
    mean: jax.typing.ArrayLike,
    var: jax.typing.ArrayLike | None = None,
    *,
    std: jax.typing.ArrayLike | None = None,
    log_var: jax.typing.ArrayLike | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given standard normal noise to draws from Normal(mean, var).

    .. math:: z = \mu + \sigma \epsilon, \qquad \sigma = \sqrt{v} = e^{\ell / 2}

    for ``noise`` :math:`\epsilon`, and the parameters of :func:`normal`.

    Args:
      noise: :math:`\epsilon`, of any shape that broadcasts with the parameters.
      mean: :math:`\mu`, finite.
      var: :math:`v \ge 0`, finite.
      std: :math:`\sigma \ge 0`, finite.
      log_var: :math:`\ell`, with :math:`e^{\ell / 2}` finite.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Elements outside the domain behave as
      in :func:`normal`.

    Raises:
      TypeError: not exactly one of ``var``, ``std`` and ``log_var`` is given.
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      As in :func:`normal`, and :math:`\partial z / \partial \epsilon = \sigma`.

    Example:
      >>> import reparam_jax as rj
      >>> float(rj.normal_from_noise(-1.5, 2.0, std=3.0))
      -2.5
    """
    function = "normal_from_noise"
    scale_name, scale = _only_one(function, var=var, std=std, log_var=log_var)
    parameters = _checks.check_real(function, mean=mean, **{scale_name: scale})
    epsilon = _checks.check_real(function, noise=noise)["noise"]
    dtype = _checks.result_dtype(function, dtype, noise=epsilon, **parameters)
    shape = _checks.result_shape(function, None, noise=epsilon, **parameters)
    mean, scale = _check_values(function, dtype, parameters)
    return _normal_from_noise(epsilon, mean, scale, scale_name, shape, dtype)


# Traced once for every draw in somebody's program, so written in `lax`, which traces
# several times faster than `jnp`.
@functools.partial(jax.jit, static_argnums=(3, 4, 5))
def _normal(key, mean, scale, scale_name, shape, dtype):
    compute_dtype = _checks.noise_dtype(dtype)
    mean, scale = _spread(shape, compute_dtype, mean, scale)
    sharding = jax.typeof(lax.add(mean, scale)).sharding
    epsilon = noise.normal(key, shape, compute_dtype, out_sharding=sharding)
    return _transform(epsilon, mean, scale, scale_name, dtype)


@functools.partial(jax.jit, static_argnums=(3, 4, 5))
def _normal_from_noise(epsilon, mean, scale, scale_name, shape, dtype):
    compute_dtype = _checks.noise_dtype(dtype)
    epsilon, mean, scale = _spread(shape, compute_dtype, epsilon, mean, scale)
    return _transform(epsilon, mean, scale, scale_name, dtype)


def _spread(shape, dtype, *arrays):
    return (jnp.broadcast_to(jnp.asarray(x).astype(dtype), shape) for x in arrays)


def _transform(epsilon, mean, scale, scale_name, dtype):
    mean_domain, scale_domain = _DOMAINS["mean"], _DOMAINS[scale_name]
    valid = lax.bitwise_and(mean_domain.holds(mean), scale_domain.holds(scale))
    draw = lax.add(mean, lax.mul(_STD_OF[scale_name](scale), epsilon))
    return lax.convert_element_type(_domains.poison(draw, valid), dtype)


# Only sqrt needs a rule of its own: d sqrt(v) = dv / (2 sqrt(v)), and 0 where v is 0 or
# subnormal, so that neither inf nor NaN arises, masked or not. The doubling is exact;
# `0.5 / sqrt(v)`, JAX's own rule, XLA rewrites to a reciprocal root of lower accuracy.
# Negative variances take the ordinary branch: NaN there, in derivatives of every order.
@jax.custom_jvp
def _sqrt(var):
    zero, one = lax.full_like(var, 0), lax.full_like(var, 1)
    tiny = lax.full_like(var, jnp.finfo(var.dtype).tiny)
    flat = lax.lt(lax.abs(var), tiny)
    return lax.select(flat, zero, lax.sqrt(lax.select(flat, one, var)))


@_sqrt.defjvp
def _sqrt_jvp(primals, tangents):
    std = _sqrt(*primals)
    zero, one = lax.full_like(std, 0), lax.full_like(std, 1)
    flat = lax.eq(std, zero)
    safe_std = lax.select(flat, one, std)
    slope = lax.select(flat, zero, lax.div(one, lax.add(safe_std, safe_std)))
    return std, lax.mul(slope, tangents[0])


def _std_of_log_var(log_var):
    return lax.exp(lax.mul(log_var, lax.full_like(log_var, 0.5)))


_STD_OF = {"var": _sqrt, "std": lambda std: std, "log_var": _std_of_log_var}

_DOMAINS = {
    "mean": FINITE,
    "var": NON_NEGATIVE,
    "std": NON_NEGATIVE,
    "log_var": Domain(
        lambda log_var: lax.is_finite(_std_of_log_var(log_var)),
        "the log of a finite variance",
    ),
}

_WAYS_OUT = {
    "mean": "",
    "var": "Where it is the output of a network, pass that as `log_var=`, which may "
    "have any sign, or make it positive with `jax.nn.softplus`.",
    "std": "Where it is the output of a network, pass that as `log_var=`, which may "
    "have any sign, or make it positive with `jax.nn.softplus`.",
    "log_var": "",
}


def _check_values(function, dtype, parameters):
    parameters = {
        name: Parameter(value, _DOMAINS[name], _WAYS_OUT[name])
        for name, value in parameters.items()
    }
    return _domains.check_values(function, _checks.noise_dtype(dtype), parameters)


def _only_one(function, **scales):
    given = {name: scale for name, scale in scales.items() if scale is not None}
    if len(given) != 1:
        raise TypeError(
            f"`{function}` takes exactly one of `var`, `std` and `log_var`, got "
            f"{' and '.join(f'`{name}`' for name in given) or 'none of them'}."
        )
    return next(iter(given.items()))
