"""The Kumaraswamy distribution on the unit interval."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from reparam_jax import noise as noise_room
from reparam_jax._domains import POSITIVE, Parameter

from . import _family
from ._roots import exp_of_part


def kumaraswamy(
    key: jax.Array,
    concentration1: jax.typing.ArrayLike,
    concentration0: jax.typing.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from a Kumaraswamy distribution, with gradients for both parameters.

    .. math:: z = (1 - \exp(-e / b))^{1 / a}, \qquad P(z < x) = 1 - (1 - x^a)^b,
       \quad 0 < x < 1,

    for a standard exponential :math:`e`: like a Beta(a, b), in closed form.

    Args:
      key: one key from ``jax.random.key``. Used once.
      concentration1: :math:`a > 0`, finite, of any shape.
      concentration0: :math:`b > 0`, finite; broadcasts with ``concentration1``.
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
      ``concentration1``, ``concentration0``: exact and pathwise, to every order, in
      forward, reverse and mixed mode: :math:`\partial z / \partial a = -z \log z / a`,
      :math:`\partial z / \partial b = -(e / b^2) \, e^{-e / b} z^{1 - a} / a`.

    References:
      Kumaraswamy. A generalized probability density function for double-bounded random
      processes. Journal of Hydrology 46, 1980.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> draws = rj.kumaraswamy(jax.random.key(0), 2.0, 3.0, shape=(20_000,))
      >>> round(float(jnp.mean(draws < 0.5)), 2)  # 1 - 0.75^3 = 0.578...
      0.58
    """
    parameters = {"concentration1": concentration1, "concentration0": concentration0}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


def kumaraswamy_from_noise(
    noise: jax.typing.ArrayLike,
    concentration1: jax.typing.ArrayLike,
    concentration0: jax.typing.ArrayLike,
    *,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given standard exponential noise to Kumaraswamy draws.

    Args:
      noise: :math:`e \ge 0`, as from ``rj.noise.exponential``; of any shape that
        broadcasts with the parameters.
      concentration1: :math:`a > 0`, finite, of any shape.
      concentration0: :math:`b > 0`, finite; broadcasts with ``concentration1``.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Elements outside the domain behave as
      in :func:`kumaraswamy`.

    Raises:
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      As in :func:`kumaraswamy`, and for the noise :math:`\partial z / \partial e =
      e^{-e / b} z^{1 - a} / (a b)`. At noise 0 the draw and its gradients are 0.

    Example:
      >>> import reparam_jax as rj
      >>> round(float(rj.kumaraswamy_from_noise(0.693147, 1.0, 1.0)), 5)
      0.5
    """
    parameters = {"concentration1": concentration1, "concentration0": concentration0}
    return _family.from_noise(FAMILY, noise, parameters, dtype)


def _transform(noise, concentration1, concentration0):
    zero, one = lax.full_like(noise, 0), lax.full_like(noise, 1)
    flat = lax.eq(noise, zero)
    log_noise = lax.log(lax.select(flat, one, noise))
    log_power = _log1mexpexp(lax.sub(log_noise, lax.log(concentration0)))
    draw = exp_of_part(log_power, concentration1)
    return lax.select(flat, zero, draw)


# With y = e / b and l = log y, log(z^a) = log(1 - exp(-y)): for small y as
# l + log((1 - exp(-y)) / y), which keeps l where y underflows, and for large y as
# log1p(-exp(-y)), which keeps the distance of z from 1. Its slope in l is
# y / (exp(y) - 1), between 0 and 1, so nothing over- or underflows on the way to the
# parameters. Beyond y = exp(7) both are 0 in every precision.
@jax.custom_jvp
def _log1mexpexp(log_y):
    """Returns ``log(1 - exp(-exp(log_y)))``."""
    y = _exp_clipped(log_y)
    log_ratio = jnp.log(-jnp.expm1(-y) / y)
    return jnp.where(y < np.log(2), log_y + log_ratio, jnp.log1p(-jnp.exp(-y)))


@_log1mexpexp.defjvp
def _log1mexpexp_jvp(primals, tangents):
    y = _exp_clipped(primals[0])
    slope = y * jnp.exp(-y) / -jnp.expm1(-y)
    return _log1mexpexp(*primals), slope * tangents[0]


def _exp_clipped(log_y):
    return jnp.exp(jnp.clip(log_y, np.log(jnp.finfo(log_y.dtype).tiny), 7))


def _constraints(concentration1, concentration0):
    return {
        "concentration1": Parameter(concentration1, POSITIVE, _family.MAKE_POSITIVE),
        "concentration0": Parameter(concentration0, POSITIVE, _family.MAKE_POSITIVE),
    }


FAMILY = _family.Family("kumaraswamy", noise_room.exponential, _transform, _constraints)
