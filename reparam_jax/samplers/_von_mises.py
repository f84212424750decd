"""The von Mises distribution on the circle."""

import jax
import jax.numpy as jnp
import numpy as np

from reparam_jax import noise
from reparam_jax._domains import FINITE, NON_NEGATIVE, Parameter
from reparam_jax.special._von_mises import von_mises_slope

from . import _family
from ._implicit import at_its_quantile
from ._rejection import first_accepted, noise_like


def von_mises(
    key: jax.Array,
    loc: jax.typing.ArrayLike,
    concentration: jax.typing.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws angles from a von Mises law, with gradients for both parameters.

    .. math:: p(x) = \frac{e^{\kappa \cos(x - \mu)}}{2 \pi I_0(\kappa)}, \qquad
       -\pi \le x < \pi.

    Args:
      key: one key from ``jax.random.key``. Used once.
      loc: :math:`\mu`, finite, in radians, of any shape.
      concentration: :math:`\kappa \ge 0`, finite: 0 for uniform angles, about the
        inverse variance where it is large; broadcasts with ``loc``.
      shape: shape of the whole result, not a prefix. The parameters must broadcast to
        it. By default, their own broadcast shape.
      dtype: dtype of the result. By default, the parameters' promoted float dtype.
        Draws below 32 bits are rounded once, from float32.

    Returns:
      Independent angles in radians. An element whose parameters lie outside their
      domain raises when concrete, and is NaN under ``jax.jit``, as are its gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or a parameter is not real.
      ValueError: ``key`` is a batch of keys, the shapes do not broadcast, or a concrete
        parameter lies outside its domain.

    Gradient:
      ``loc``: exact and pathwise, 1: the angle turns with it, and jumps by
      :math:`2 \pi` only where it is wrapped.
      ``concentration``: implicit,
      :func:`reparam_jax.special.von_mises_pathwise_grad`, exact to every order, in
      forward, reverse and mixed mode.

    References:
      Best, Fisher. Efficient simulation of the von Mises distribution. Applied
      Statistics 28, 1979, for the rejection.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> draws = rj.von_mises(jax.random.key(0), 0.0, 1.0, shape=(20_000,))
      >>> round(float(jnp.mean(jnp.cos(draws))), 1)  # I1(1) / I0(1) = 0.446
      0.4
    """
    parameters = {"loc": loc, "concentration": concentration}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


def _standard(key, loc, concentration):
    """Draws around 0."""
    del loc
    valid = NON_NEGATIVE.holds(concentration)
    concentration = jnp.where(valid, concentration, 1)
    return first_accepted(_proposals(concentration), key, like=concentration)


# F(x; kappa) = u at every kappa: dx/dkappa = -(dF/dkappa) / p.
_centred_at = at_its_quantile(lambda x, kappa: (von_mises_slope(kappa, x),))


def _at(draw, loc, concentration):
    return _wrapped(loc + _centred_at(draw, concentration))


# Best and Fisher propose from a wrapped Cauchy law of parameter rho, by a half tangent:
#   tan(x / 2) = s c,   s = (1 - rho) / (1 + rho),   c standard Cauchy,
# and accept with probability w e^(1 - w), w = kappa (r - cos x), r = (1 + rho^2) / (2
# rho). The best rho is (tau - sqrt(2 tau)) / (2 kappa), tau = 1 + sqrt(1 + 4 kappa^2):
# two thirds and more are accepted. Neither rho for small kappa, nor 1 - rho for large,
# nor r - cos x is a difference here:
#   rho = 2 kappa / (tau + sqrt(2 tau)),   w = g (1 + c^2) / (1 + s^2 c^2),
#   g = 2 kappa s^2 / (1 - s^2) = (tau + sqrt(2 tau)) (1 - rho)^2 / 4.
def _proposals(concentration):
    # Sums of the largest numbers would not end.
    largest = np.asarray(np.finfo(concentration.dtype).max / 64)
    double = 2 * jnp.minimum(concentration, largest)
    # The square must not overflow, nor does the 1 matter then.
    root = jnp.sqrt(1 + jnp.square(jnp.minimum(double, 1e9)))
    root = jnp.maximum(root, double)
    tau = 1 + root
    whole = tau + jnp.sqrt(2 * tau)
    # tau - 2 kappa
    excess = 1 + 1 / (root + double) + jnp.sqrt(2 * tau)
    ratio = excess / (whole + double)
    gain = excess * (excess / whole) / 4

    def propose(key):
        cauchy_key, exponential_key = jax.random.split(key)
        cauchy = noise_like(concentration, noise.cauchy, cauchy_key)
        exponential = noise_like(concentration, noise.exponential, exponential_key)
        tangent = ratio * cauchy
        square = jnp.square(cauchy)
        weight = gain * ((1 + square) / (1 + jnp.square(tangent)))
        accepted = exponential + jnp.log(weight) + 1 - weight > 0
        return 2 * jnp.arctan(tangent), accepted

    return propose


# The number of turns is a constant to derivatives, and so is what rounding must not add
# to reach π.
@jax.custom_jvp
def _wrapped(x):
    """Returns the angle between ``-π`` and ``π``."""
    head = np.asarray(2 * np.pi, x.dtype)
    tail = np.asarray(2 * np.pi - np.float64(head), x.dtype)
    turns = jnp.floor(x / head + 0.5)
    x = (x - turns * head) - turns * tail
    end = np.asarray(np.pi, x.dtype)
    if np.float64(end) >= np.pi:
        end = np.nextafter(end, np.zeros_like(end))
    return jnp.clip(x, -end, end)


@_wrapped.defjvp
def _wrapped_jvp(primals, tangents):
    return _wrapped(*primals), tangents[0]


def _constraints(loc, concentration):
    positive = _family.MAKE_POSITIVE
    return {
        "loc": Parameter(loc, FINITE),
        "concentration": Parameter(concentration, NON_NEGATIVE, positive),
    }


FAMILY = _family.Family("von_mises", None, _at, _constraints, standard=_standard)
