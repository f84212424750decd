"""The von Mises-Fisher distribution on the sphere, in any dimension."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from reparam_jax import noise
from reparam_jax._domains import NON_NEGATIVE
from reparam_jax.special._von_mises_fisher import angle_slope

from . import _sphere
from ._rejection import first_accepted


def von_mises_fisher(
    key: jax.Array,
    mean_direction: jax.typing.ArrayLike,
    concentration: jax.typing.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws unit vectors around a mean direction, with gradients for both parameters.

    .. math:: p(x) \propto e^{\kappa \, \mu \cdot x}, \quad |x| = 1, \qquad
       E x = \frac{I_{D/2}(\kappa)}{I_{D/2 - 1}(\kappa)} \, \mu.

    A draw is :math:`x = \mu \cos \theta + t \sin \theta` for an angle :math:`\theta`
    drawn by rejection (at least 65 % are accepted) and a direction :math:`t` uniform
    among those orthogonal to :math:`\mu`.

    Args:
      key: one key from ``jax.random.key``. Used once.
      mean_direction: :math:`\mu`, of shape (..., dim) with dim of 2 or more and of
        length 1 to within 1/256, as far off as bfloat16 may be. Its direction counts.
      concentration: :math:`\kappa \ge 0`, finite, of shape (...).
      shape: shape of the whole result, (..., dim); the parameters' leading axes must
        broadcast to its own. By default, their broadcast shape.
      dtype: dtype of the result. By default, the parameters' promoted float dtype.
        Draws below 32 bits are rounded once, from float32.

    Returns:
      Independent unit vectors along the last axis. One whose parameters lie outside
      their domain raises when concrete, and is NaN under ``jax.jit``, as are its
      gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or a parameter is not real.
      ValueError: ``key`` is a batch of keys, the shapes do not fit, or a concrete
        parameter lies outside its domain.

    Gradient:
      Both exact, to every order, in forward, reverse and mixed mode.
      ``mean_direction``: pathwise, of a reflection of draws around a pole; tangential,
      as only the direction counts. ``concentration``: implicit, through the angle
      alone: see :func:`reparam_jax.special.von_mises_fisher_pathwise_grad`.

    References:
      Ulrich. Computer generation of distributions on the m-sphere. Applied Statistics
      33, 1984.
      Wood. Simulation of the von Mises Fisher distribution. Communications in
      Statistics: Simulation and Computation 23, 1994.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> key, north = jax.random.key(0), jnp.array([0.0, 0.0, 1.0])
      >>> draw = lambda k: rj.von_mises_fisher(key, north, k, shape=(20_000, 3))
      >>> height = lambda k: jnp.mean(draw(k)[:, 2])  # coth(k) - 1 / k
      >>> mean, slope = jax.value_and_grad(height)(2.0)
      >>> round(float(mean), 1), round(float(slope), 2)
      (0.5, 0.17)
    """
    return _sphere.draw(_LAW, key, mean_direction, concentration, shape, dtype)


# Its cosine and sine turn into one another with the angle. The barrier rounds products
# with the slope in every program, where else some fuse them into the sum behind.
@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _angle(dimension, key, concentration):
    angle = von_mises_fisher_angle(dimension, key, concentration)
    return jnp.cos(angle), jnp.sin(angle)


@_angle.defjvp
def _angle_jvp(dimension, primals, tangents):
    key, concentration = primals
    angle = von_mises_fisher_angle(dimension, key, concentration)
    slope = angle_slope(dimension)(concentration, angle)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    slopes = lax.optimization_barrier((-sine * slope, cosine * slope))
    return (cosine, sine), tuple(slope * tangents[1] for slope in slopes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def von_mises_fisher_angle(
    dimension: int, key: jax.Array, concentration: jax.Array
) -> jax.Array:
    """Draws the angle between a draw and its mean, with its implicit derivative."""
    valid = NON_NEGATIVE.holds(concentration)
    concentration = jnp.where(valid, concentration, 1)
    propose = _proposals(dimension, concentration)
    return first_accepted(propose, key, like=concentration)


@von_mises_fisher_angle.defjvp
def _von_mises_fisher_angle_jvp(dimension, primals, tangents):
    key, concentration = primals
    angle = von_mises_fisher_angle(dimension, key, concentration)
    return angle, angle_slope(dimension)(concentration, angle) * tangents[1]


# Wood's envelope is the projection of a uniform point of the sphere: with
#   z ~ Beta(p, p), p = (D - 1) / 2, and b = 1 / (r + sqrt(r^2 + 1)), r = k / p,
# its cosine w = (1 - (1 + b) z) / (1 - (1 - b) z), which is
#   tan^2(t / 2) = b z / (1 - z).
# The log of the acceptance probability, k w + 2 p log(1 - x0 w) less its maximum at
# w = x0 = (1 - b) / (1 + b), is
#   2 p (log(1 + h) - h),   h = (1 - b) (z - 1/2) / (1 - z + b z):
# in both, nothing cancels at large k. For z, Ulrich projects a disc, z = (1 + r cos a)
# / 2 with a uniform angle a and 1 - r^2 = u^(2 / (D - 2)); then
#   2 z     = (1 - r^2) / (1 + r) + 2 r cos^2(a / 2), and
#   2 - 2 z = (1 - r^2) / (1 + r) + 2 r sin^2(a / 2).
def _proposals(dimension, concentration):
    ratio = concentration / ((dimension - 1) / 2)
    shrink = 1 / (ratio + jnp.sqrt(ratio * ratio + 1))

    def like(draw, key):
        sharding = jax.typeof(concentration).sharding
        return draw(
            key, concentration.shape, concentration.dtype, out_sharding=sharding
        )

    def propose(key):
        turn_key, radius_key, exponential_key = jax.random.split(key, 3)
        half_turn = np.pi * (like(noise.uniform, turn_key) - 0.5)
        cosine, sine = jnp.square(jnp.cos(half_turn)), jnp.square(jnp.sin(half_turn))
        rest, radius = jnp.zeros_like(shrink), jnp.ones_like(shrink)
        if dimension > 2:
            exponent = like(noise.exponential, radius_key) * (2 / (dimension - 2))
            radius = jnp.sqrt(-jnp.expm1(-exponent))
            rest = jnp.exp(-exponent) / (1 + radius) / 2
        far, near = rest + radius * cosine, rest + radius * sine
        offset = radius * (cosine - sine) / 2
        height = (1 - shrink) * offset / (near + shrink * far)
        cost = (dimension - 1) * (height - jnp.log1p(height))
        angle = 2 * jnp.arctan2(jnp.sqrt(shrink * far), jnp.sqrt(near))
        return angle, like(noise.exponential, exponential_key) >= cost

    return propose


_LAW = _sphere.Law("von_mises_fisher", _angle)
