"""The hard concrete distribution: a relaxed gate that closes and opens fully."""

import jax
import jax.numpy as jnp
from jax import lax

from reparam_jax import noise as noise_room
from reparam_jax._domains import Domain, Parameter
from reparam_jax.samplers import _family

from ._density import density
from ._scores import binary_tempered, guarded, sigmoid, tempered


def hard_concrete(
    key: jax.Array,
    logits: jax.typing.ArrayLike,
    temperature: jax.typing.ArrayLike = 2 / 3,
    *,
    stretch_low: jax.typing.ArrayLike = -0.1,
    stretch_high: jax.typing.ArrayLike = 1.1,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws gates in [0, 1] that are exactly 0 and exactly 1 with a chance.

    .. math:: z = \min(1, \max(0, a + (b - a) \, y)), \qquad
       y = \sigma\Big(\frac{\ell + \epsilon}{\tau}\Big)

    for logits :math:`\ell`, standard logistic :math:`\epsilon`, and a relaxed Bernoulli
    draw :math:`y` stretched to :math:`(a, b)`. The chance that a gate is not 0, the
    expected number of open gates for an :math:`L_0` penalty, is
    ``rj.relaxations.hard_concrete_nonzero_prob``.

    Args:
      key: one key from ``jax.random.key``. Used once.
      logits: :math:`\ell`, of any shape; infinite for a gate that is certain.
      temperature: :math:`\tau > 0`, finite; broadcasts with ``logits``.
      stretch_low: :math:`a \le 0`, finite; at 0 no gate closes fully.
      stretch_high: :math:`b \ge 1`, finite; at 1 no gate opens fully.
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
      All parameters: exact for the draw :math:`z`, to every order, in forward, reverse
      and mixed mode: 0 where a gate is closed or open. Unbiased for expectations over
      hard concrete gates, of costs that are continuous; biased for those over Bernoulli
      gates.

    References:
      Louizos, Welling, Kingma. Learning sparse neural networks through L0
      regularization. ICLR 2018, section 2.3.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> gates = rj.hard_concrete(jax.random.key(0), jnp.zeros(10_000))
      >>> closed = jnp.mean(gates == 0.0)
      >>> expected = 1 - rj.relaxations.hard_concrete_nonzero_prob(0.0)
      >>> bool(abs(closed - expected) < 0.02)
      True
    """
    parameters = _named(logits, temperature, stretch_low, stretch_high)
    return _family.draw(_FAMILY, key, parameters, shape, dtype)


def hard_concrete_from_noise(
    noise: jax.typing.ArrayLike,
    logits: jax.typing.ArrayLike,
    temperature: jax.typing.ArrayLike = 2 / 3,
    *,
    stretch_low: jax.typing.ArrayLike = -0.1,
    stretch_high: jax.typing.ArrayLike = 1.1,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given standard logistic noise to hard concrete gates.

    .. math:: z = \min(1, \max(0, a + (b - a) \, \sigma((\ell + \epsilon) / \tau)))

    Args:
      noise: :math:`\epsilon`, as from ``rj.noise.logistic``; of any shape that
        broadcasts with the parameters.
      logits: :math:`\ell`, of any shape; infinite for a gate that is certain.
      temperature: :math:`\tau > 0`, finite; broadcasts with ``logits``.
      stretch_low: :math:`a \le 0`, finite.
      stretch_high: :math:`b \ge 1`, finite.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Elements outside the domain behave as
      in :func:`hard_concrete`.

    Raises:
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      As in :func:`hard_concrete`; that for the noise is that for the logits.

    Example:
      >>> import jax.numpy as jnp, reparam_jax as rj
      >>> rj.hard_concrete_from_noise(jnp.array([-9.0, 0.0, 9.0]), 0.0).tolist()
      [0.0, 0.5, 1.0]
    """
    parameters = _named(logits, temperature, stretch_low, stretch_high)
    return _family.from_noise(_FAMILY, noise, parameters, dtype)


def hard_concrete_nonzero_prob(
    logits: jax.typing.ArrayLike,
    temperature: jax.typing.ArrayLike = 2 / 3,
    *,
    stretch_low: jax.typing.ArrayLike = -0.1,
    stretch_high: jax.typing.ArrayLike = 1.1,
) -> jax.Array:
    r"""Returns the probability that a hard concrete gate is not 0.

    .. math:: P(z > 0) = \sigma\Big(\ell - \tau \log \frac{-a}{b}\Big)

    for a stretch to :math:`(a, b)`. Its sum over gates is the expected :math:`L_0`
    norm.

    Args:
      logits: :math:`\ell`, of any shape; infinite for a gate that is certain.
      temperature: :math:`\tau > 0`, finite; broadcasts with ``logits``.
      stretch_low: :math:`a \le 0`, finite; at 0 the probability is 1.
      stretch_high: :math:`b \ge 1`, finite.

    Returns:
      Probabilities, of the arguments' broadcast shape. Elements outside the domain
      behave as in :func:`hard_concrete`.

    Raises:
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      All parameters: exact, to every order, in every mode.

    References:
      Louizos, Welling, Kingma. Learning sparse neural networks through L0
      regularization. ICLR 2018, section 2.3.

    Example:
      >>> import jax.numpy as jnp, reparam_jax as rj
      >>> penalty = lambda logits: rj.relaxations.hard_concrete_nonzero_prob(logits)
      >>> round(float(penalty(0.0)), 4)  # 11^(2/3) / (1 + 11^(2/3))
      0.8318
    """
    parameters = _named(logits, temperature, stretch_low, stretch_high)
    return density(
        "hard_concrete_nonzero_prob", _nonzero_prob, _constraints, {}, parameters
    )


# Stretched, y > 0 where sigmoid((l + e) / tau) > -a / (b - a), whose logit is
# log(-a / b).
def _nonzero_prob(logits, temperature, stretch_low, stretch_high):
    never_closed = stretch_low == 0
    safe_low = jnp.where(never_closed, -1, stretch_low)
    threshold = temperature * jnp.log(-safe_low / stretch_high)
    sure = jnp.isinf(logits) & ~never_closed
    scores = jnp.where(sure, 0, logits) - threshold
    scores = jnp.where(sure, logits, scores)
    return jnp.where(never_closed, 1, sigmoid(scores))


def _named(logits, temperature, stretch_low, stretch_high):
    return {
        "logits": logits,
        "temperature": temperature,
        "stretch_low": stretch_low,
        "stretch_high": stretch_high,
    }


def _at_most_zero(value):
    return lax.bitwise_and(lax.is_finite(value), lax.le(value, lax.full_like(value, 0)))


def _at_least_one(value):
    return lax.bitwise_and(lax.is_finite(value), lax.ge(value, lax.full_like(value, 1)))


_AT_MOST_ZERO = Domain(_at_most_zero, "finite and at most 0")
_AT_LEAST_ONE = Domain(_at_least_one, "finite and at least 1")


def _constraints(logits, temperature, stretch_low, stretch_high):
    return binary_tempered(logits, temperature) | {
        "stretch_low": Parameter(stretch_low, _AT_MOST_ZERO),
        "stretch_high": Parameter(stretch_high, _AT_LEAST_ONE),
    }


def _gate(noise, logits, temperature, stretch_low, stretch_high):
    soft = sigmoid(tempered(logits + noise, temperature))
    gate = stretch_low + (stretch_high - stretch_low) * soft
    return jnp.where(gate <= 0, 0, jnp.where(gate >= 1, 1, gate))


_FAMILY = _family.Family(
    name="hard_concrete",
    noise=noise_room.logistic,
    transform=guarded(_gate, _constraints),
    constraints=_constraints,
)
