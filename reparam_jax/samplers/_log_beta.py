"""The logarithms of a beta variable and of its complement."""

import jax

from . import _family
from ._beta import logit_at, standard_logit


def log_beta(
    key: jax.Array,
    concentration1: jax.typing.ArrayLike,
    concentration0: jax.typing.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> tuple[jax.Array, jax.Array]:
    r"""Draws the logarithms of x and of 1 - x for beta variables x, with gradients.

    .. math:: (\log x, \log(1 - x)), \qquad x \sim \text{Beta}(a, b).

    Each has its full relative precision, however near :math:`x` comes to 0 or to 1, and
    neither is infinite, for concentrations down to 1e-6 and below. Where :math:`1 - x`
    is below the smallest float, :math:`\log x` is 0.

    Args:
      key: one key from ``jax.random.key``. Used once.
      concentration1: :math:`a > 0`, finite, of any shape.
      concentration0: :math:`b > 0`, finite; broadcasts with ``concentration1``.
      shape: shape of the whole result, not a prefix. The parameters must broadcast to
        it. By default, their own broadcast shape.
      dtype: dtype of the result. By default, the parameters' promoted float dtype.
        Draws below 32 bits are rounded once, from float32.

    Returns:
      :math:`\log x` and :math:`\log(1 - x)` of independent draws. An element whose
      parameters lie outside their domain raises when concrete, and is NaN under
      ``jax.jit``, as are its gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or a parameter is not real.
      ValueError: ``key`` is a batch of keys, the shapes do not broadcast, or a concrete
        parameter lies outside its domain.

    Gradient:
      ``concentration1``, ``concentration0``: exact, implicit, to second order, in
      forward, reverse and mixed mode, see
      :func:`reparam_jax.special.log_beta_pathwise_grad`.

    References:
      Figurnov, Mohamed, Mnih. Implicit reparameterization gradients. NeurIPS 2018.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> log_x, log_rest = rj.log_beta(jax.random.key(0), 1e-6, 1e-6, shape=(1000,))
      >>> bool((jnp.minimum(log_x, log_rest) < -100).all())
      True
      >>> bool((jnp.isfinite(log_x) & jnp.isfinite(log_rest)).all())
      True
    """
    parameters = {"concentration1": concentration1, "concentration0": concentration0}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


def _at(logit, concentration1, concentration0):
    logit = logit_at(logit, concentration1, concentration0)
    return -jax.nn.softplus(-logit), -jax.nn.softplus(logit)


FAMILY = _family.Family(
    "log_beta", None, _at, _family.two_concentrations, standard=standard_logit
)
