"""The normal distribution: z = mean + sqrt(var) * noise."""

import jax
from jax import lax

from reparam_jax import noise as noise_room
from reparam_jax._domains import FINITE, NON_NEGATIVE, Domain, Parameter

from . import _family
from ._roots import sqrt


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
    scale_name, scale = only_one("normal", var=var, std=std, log_var=log_var)
    parameters = {"mean": mean, scale_name: scale}
    family = FAMILIES[scale_name]
    return _family.draw(family, key, parameters, shape, dtype)


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
    scale_name, scale = only_one("normal_from_noise", var=var, std=std, log_var=log_var)
    parameters = {"mean": mean, scale_name: scale}
    family = FAMILIES[scale_name]
    return _family.from_noise(family, noise, parameters, dtype)


def only_one(
    function: str, **scales: jax.typing.ArrayLike | None
) -> tuple[str, jax.typing.ArrayLike]:
    """Returns the name and value of the one scale that is given."""
    given = {name: scale for name, scale in scales.items() if scale is not None}
    if len(given) != 1:
        raise TypeError(
            f"`{function}` takes exactly one of `var`, `std` and `log_var`, got "
            f"{' and '.join(f'`{name}`' for name in given) or 'none of them'}."
        )
    return next(iter(given.items()))


def _std_of_log_var(log_var):
    return lax.exp(lax.mul(log_var, lax.full_like(log_var, 0.5)))


_WAY_OUT = (
    "Where it is the output of a network, pass that as `log_var=`, which may have any "
    "sign, or make it positive with `jax.nn.softplus`."
)
_FINITE_WHEN_EXPONENTIATED = Domain(
    lambda log_var: lax.is_finite(_std_of_log_var(log_var)),
    "the log of a finite variance",
)


def _make_family(scale_name, std_of, domain, way_out):
    return _family.Family(
        name="normal",
        noise=noise_room.normal,
        transform=lambda noise, mean, scale: _family.location_scale(
            noise, mean, std_of(scale)
        ),
        constraints=lambda mean, scale: {
            "mean": Parameter(mean, FINITE),
            scale_name: Parameter(scale, domain, way_out),
        },
    )


FAMILIES = {
    "var": _make_family("var", sqrt, NON_NEGATIVE, _WAY_OUT),
    "std": _make_family("std", lambda std: std, NON_NEGATIVE, _WAY_OUT),
    "log_var": _make_family("log_var", _std_of_log_var, _FINITE_WHEN_EXPONENTIATED, ""),
}
