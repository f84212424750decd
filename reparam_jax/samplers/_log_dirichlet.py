"""The logarithms of Dirichlet variables."""

import jax

from . import _family
from ._dirichlet import draws_at, standard


def log_dirichlet(
    key: jax.Array,
    concentration: jax.typing.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws logarithms of Dirichlet variables, with gradients for the concentrations.

    .. math:: (\log x_1, \dots, \log x_K), \qquad x \sim \text{Dirichlet}(a).

    Each has its full relative precision, however near :math:`x_i` comes to 0 or to 1,
    and none is infinite, for concentrations down to 1e-6 and below. Where
    :math:`1 - x_i` is below the smallest float, :math:`\log x_i` is 0.

    Args:
      key: one key from ``jax.random.key``. Used once.
      concentration: :math:`a_i > 0`, finite, of shape (..., components).
      shape: shape of the whole result, components last; the concentrations must
        broadcast to it. By default, their own shape.
      dtype: dtype of the result. By default, the concentrations' float dtype. Draws
        below 32 bits are rounded once, from float32.

    Returns:
      Independent draws. One of whose concentrations any lies outside the domain raises
      when they are concrete, and is NaN throughout under ``jax.jit``, as are its
      gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or the concentrations are not real.
      ValueError: ``key`` is a batch of keys, the shapes do not broadcast, there is no
        axis of components, or a concrete concentration lies outside its domain.

    Gradient:
      ``concentration``: exact, in forward, reverse and mixed mode, to second order, as
      in :func:`dirichlet`.

    References:
      Jankowiak, Obermeyer. Pathwise derivatives beyond the reparameterization trick.
      ICML 2018, section 5.3.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> draw = rj.log_dirichlet(jax.random.key(0), jnp.full(4, 1e-6))
      >>> bool(jnp.isfinite(draw).all() & (jnp.sort(draw)[:-1] < -100).all())
      True
    """
    return _family.draw(FAMILY, key, {"concentration": concentration}, shape, dtype)


def _at(base, concentration):
    return draws_at(base, concentration)[1]


FAMILY = _family.Family(
    "log_dirichlet",
    None,
    _at,
    _family.concentration_alone,
    event_ndim=1,
    standard=standard,
)
