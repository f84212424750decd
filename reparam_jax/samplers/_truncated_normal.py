"""The normal distribution between two bounds."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from reparam_jax import _checks
from reparam_jax import noise as noise_room
from reparam_jax._domains import (
    FINITE,
    NOT_NAN,
    POSITIVE,
    POSITIVE_OR_INFINITE,
    Parameter,
)
from reparam_jax.special import _truncated_normal as slopes
from reparam_jax.special._gaussian_moments import gaussian_moment

from . import _family


def truncated_normal(
    key: jax.Array,
    loc: jax.typing.ArrayLike,
    scale: jax.typing.ArrayLike,
    low: jax.typing.ArrayLike,
    high: jax.typing.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from a normal law between bounds, with gradients for all parameters.

    .. math:: p(x) \propto e^{-(x - \mu)^2 / (2 \sigma^2)}, \qquad a \le x \le b.

    The draw is the quantile, at the probability :math:`1 / (1 + e^{-y})` of standard
    logistic noise :math:`y`: both tails keep their digits, however far out the bounds.

    Args:
      key: one key from ``jax.random.key``. Used once.
      loc: :math:`\mu`, finite, of any shape: the location before truncation.
      scale: :math:`\sigma > 0`, finite: the standard deviation before truncation.
      low: :math:`a`, finite or minus infinity: the bound of the draw itself.
      high: :math:`b > a`, finite or infinity. All parameters broadcast.
      shape: shape of the whole result, not a prefix. The parameters must broadcast to
        it. By default, their own broadcast shape.
      dtype: dtype of the result. By default, the parameters' promoted float dtype.
        Draws below 32 bits are rounded once, from float32.

    Returns:
      Independent draws between the bounds, these included where the draw rounds to
      them. An element whose parameters lie outside their domain raises when concrete,
      and is NaN under ``jax.jit``, as are its gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or a parameter is not real.
      ValueError: ``key`` is a batch of keys, the shapes do not broadcast, or a concrete
        parameter lies outside its domain.

    Gradient:
      ``loc``, ``scale``, ``low``, ``high``: exact and pathwise, at the draw as it is
      returned, to every order, in forward, reverse and mixed mode:
      :func:`reparam_jax.special.truncated_normal_pathwise_grad` for the bounds, 0 for
      an infinite one, and no difference of nearly equal numbers for the others.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> draws = rj.truncated_normal(jax.random.key(0), 0.0, 1.0, 6.0, 8.0, shape=(9,))
      >>> bool(((draws > 6) & (draws < 8)).all()), len(set(draws.tolist()))
      (True, 9)
    """
    parameters = {"loc": loc, "scale": scale, "low": low, "high": high}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


def truncated_normal_from_noise(
    noise: jax.typing.ArrayLike,
    loc: jax.typing.ArrayLike,
    scale: jax.typing.ArrayLike,
    low: jax.typing.ArrayLike,
    high: jax.typing.ArrayLike,
    *,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given standard logistic noise to draws from a truncated normal law.

    Args:
      noise: :math:`y`, the log-odds of the probability below the draw, as from
        ``rj.noise.logistic``; of any shape that broadcasts with the parameters.
      loc: :math:`\mu`, finite, of any shape: the location before truncation.
      scale: :math:`\sigma > 0`, finite: the standard deviation before truncation.
      low: :math:`a`, finite or minus infinity.
      high: :math:`b > a`, finite or infinity.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Elements outside the domain behave as
      in :func:`truncated_normal`.

    Raises:
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      As in :func:`truncated_normal`, and for the noise :math:`\partial x / \partial y =
      P(1 - P) / p(x)`, where :math:`P` is the probability below the draw.

    Example:
      >>> import reparam_jax as rj
      >>> round(float(rj.truncated_normal_from_noise(0.0, 5.0, 1.0, 4.0, 6.0)), 5)
      5.0
    """
    parameters = {"loc": loc, "scale": scale, "low": low, "high": high}
    return _family.from_noise(FAMILY, noise, parameters, dtype)


# At a draw x of probability P, x moves with a parameter by -(dP/dparameter) / p(x), and
# with the log-odds of P by P (1 - P) / p(x).
@jax.custom_jvp
def _transform(noise, loc, scale, low, high):
    straddles = (low < loc) & (loc < high)
    below = jnp.where(straddles, (loc - low) / scale, 0)
    above = jnp.where(straddles, (high - loc) / scale, 0)
    # Straddling intervals are cut at loc, and the side of the draw is chosen by its
    # odds there; with probabilities u and 1 - u, the side's own ones are
    # (u R - (1 - u) L) / R and (1 - u) (L + R) / R for the masses L and R of the sides.
    left, right = (slopes.half_mass(_clipped(side)) for side in (below, above))
    probability, rest = jax.nn.sigmoid(noise), jax.nn.sigmoid(-noise)
    excess = probability * right - rest * left
    flipped = jnp.where(straddles, excess < 0, high <= loc)
    share = jnp.where(flipped, probability, rest) * (left + right)
    # A draw at loc has no odds on its side; 1e-20 standard deviations are as good.
    excess = jnp.maximum(jnp.abs(excess), 1e-20 * share)
    log_odds = jnp.where(flipped, -noise, noise)
    log_odds = jnp.where(
        straddles, jnp.log(jnp.where(straddles, excess / share, 1)), log_odds
    )
    # Now the interval starts at the point nearest to loc, and goes away from it.
    nearest = jnp.where(straddles, loc, jnp.where(flipped, high, low))
    start = jnp.where(straddles, 0, jnp.where(flipped, loc - high, low - loc) / scale)
    width = jnp.where(straddles, jnp.where(flipped, below, above), (high - low) / scale)
    length = scale * _quantile(log_odds, start, _clipped(width))
    draw = nearest + jnp.where(flipped, -length, length)
    return jnp.clip(draw, low, high)


# Beyond every draw of a normal law from where it starts to fall.
_FAR = 1e2


def _clipped(width):
    return jnp.minimum(width, _FAR)


# The distance t from the start s >= 0 has the log-odds
#   l(t) = log K(s, t) - log K(s + t, w - t) + e(t),   e(t) = s t + t^2 / 2,
# with K the masses over the density at their starts. They are nearly those of the law
# with survival function exp(-c t - t^2 / 2), c = (s + sqrt(s^2 + 8 / π)) / 2 about the
# hazard at the start, cut at w: the quantile of that law in closed form, at adjusted
# log-odds, is the quantile wanted. Newton's method adjusts them; at both ends the two
# log-odds differ by a constant only, so it converges alike in all places.
def _quantile(log_odds, start, width):
    slope = (start + jnp.sqrt(jnp.square(jnp.minimum(start, 1e4)) + 8 / np.pi)) / 2
    slope = jnp.maximum(slope, start)
    whole = width * (slope + width / 2)
    kept, lost = -jnp.expm1(-whole), jnp.exp(-whole)

    def invert(adjusted):
        probability, rest = jax.nn.sigmoid(adjusted), jax.nn.sigmoid(-adjusted)
        used = probability * kept
        exponent = jnp.where(
            used < 0.5,
            -jnp.log1p(-jnp.minimum(used, 0.5)),
            -jnp.log(rest + probability * lost),
        )
        root = jnp.sqrt(jnp.square(jnp.minimum(slope, 1e4)) + 2 * exponent)
        distance = 2 * exponent / (slope + jnp.maximum(slope, root))
        in_adjusted = probability * rest * kept * jnp.exp(exponent) / (slope + distance)
        return jnp.minimum(distance, width), in_adjusted

    def residual(distance):
        """By how much the log-odds are too large, and their slope."""
        exponent = distance * (start + distance / 2)
        lower = gaussian_moment(0, 0, start, distance)
        upper = gaussian_moment(0, 0, start + distance, width - distance)
        surplus = jnp.log(lower / upper) + exponent - log_odds
        return surplus, jnp.exp(-exponent) / lower + 1 / upper

    # A draw may round to a bound, which no finite odds have.
    info = jnp.finfo(start.dtype)
    last = width * (1 - info.eps)
    adjusted = log_odds
    for _ in range(1 if start.dtype == jnp.float32 else 2):
        distance, in_adjusted = invert(adjusted)
        surplus, in_distance = residual(jnp.clip(distance, info.tiny, last))
        adjusted = adjusted - surplus / (in_distance * in_adjusted)
    # The last step is taken from the distance, so that rounding there does not matter.
    distance = jnp.clip(invert(adjusted)[0], info.tiny, last)
    surplus, in_distance = residual(distance)
    return jnp.clip(distance - surplus / in_distance, 0, width)


@_transform.defjvp
def _transform_jvp(primals, tangents):
    _, loc, scale, low, high = primals
    draw = _transform(*primals)
    finite_low, finite_high = jnp.isfinite(low), jnp.isfinite(high)
    # Infinite bounds are constants, also to further derivatives.
    low, high = jnp.where(finite_low, low, draw), jnp.where(finite_high, high, draw)
    pieces = slopes.make_pieces(
        jnp.where(finite_low, (low - loc) / scale, -jnp.inf),
        jnp.where(finite_high, (high - loc) / scale, jnp.inf),
        (draw - loc) / scale,
        jnp.where(finite_low, (draw - low) / scale, jnp.inf),
        jnp.where(finite_high, (high - draw) / scale, jnp.inf),
    )
    in_noise = scale * pieces.left_mass * pieces.right_mass / pieces.mass
    in_bounds = slopes.bound_slopes(pieces)
    in_parameters = (in_noise, *slopes.location_scale_slopes(pieces), *in_bounds)
    terms = [
        slope * tangent for slope, tangent in zip(in_parameters, tangents, strict=True)
    ]
    return draw, sum(terms[1:], terms[0])


def _constraints(loc, scale, low, high):
    dtype = _checks.noise_dtype(
        _checks.result_dtype(
            "truncated_normal", None, loc=loc, scale=scale, low=low, high=high
        )
    )
    bounds = jnp.asarray(high, dtype), jnp.asarray(low, dtype)
    width = lax.sub(*jnp.broadcast_arrays(*bounds))
    swapped = "Were the bounds swapped?"
    return {
        "loc": Parameter(loc, FINITE),
        "scale": Parameter(scale, POSITIVE, _family.MAKE_POSITIVE),
        "low": Parameter(low, NOT_NAN),
        "high": Parameter(high, NOT_NAN),
        "high - low": Parameter(width, POSITIVE_OR_INFINITE, swapped),
    }


FAMILY = _family.Family(
    "truncated_normal", noise_room.logistic, _transform, _constraints
)
