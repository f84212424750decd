"""The straight-through draw: hard, with the gradient of its probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from reparam_jax import noise as noise_room
from reparam_jax.samplers import _family

from ._gradients import harden, with_gradient_of
from ._scores import binary, guarded, one_hot_argmax, probabilities, rows


def straight_through(
    key: jax.Array,
    logits: jax.typing.ArrayLike,
    *,
    event_ndim: int = 1,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws one-hot vectors, or zeros and ones, with the gradient of their mean.

    .. math:: z \sim \mathrm{Categorical}(p), \qquad dz := dp, \qquad
       p = \mathrm{softmax}(\ell)

    for logits :math:`\ell`; with ``event_ndim=0``, a Bernoulli draw and :math:`p =
    \sigma(\ell)` for each element.

    **Given values.** ``straight_through(hard, soft)``, with two arrays of one shape in
    place of key and logits, returns ``hard``, exactly, with the gradient of ``soft``:
    for any rounding, as in ``rj.straight_through(jnp.round(x), x)``.

    Args:
      key: one key from ``jax.random.key``. Used once. Or hard values.
      logits: :math:`\ell`, of shape (..., classes), not necessarily normalized: finite,
        or -inf for a class that is absent; with ``event_ndim=0``, of any shape, and
        infinite for a draw that is certain. Or soft values.
      event_ndim: 1 for one-hot draws along the last axis, 0 for zeros and ones.
      shape: shape of the whole result, classes last; the logits must broadcast to it.
        By default, their own shape.
      dtype: dtype of the result. By default, the logits' float dtype.

    Returns:
      Independent draws, exactly 0 and 1. One whose logits lie outside their domain
      raises when they are concrete, and is NaN throughout under ``jax.jit``, as are its
      gradients.

    Raises:
      TypeError: ``key`` is neither a JAX PRNG key nor values like the soft ones, or the
        logits are not real.
      ValueError: ``key`` is a batch of keys, the logits do not broadcast to ``shape``,
        there is no axis of classes, or concrete logits lie outside their domain.

    Gradient:
      ``logits``: that of :math:`p`, to every order, in forward, reverse and mixed mode.
      As a gradient of the expectation it is unbiased for costs linear in the draw, and
      biased for others, at worst in sign: for :math:`f(z) = (z - c)^2` of a Bernoulli
      draw it is off by the factor :math:`2 (p - c) / (1 - 2 c)`.

    References:
      Bengio, Leonard, Courville. Estimating or propagating gradients through stochastic
      neurons for conditional computation. 2013, section 4.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> sorted(rj.straight_through(jax.random.key(0), jnp.zeros(2)).tolist())
      [0.0, 1.0]
      >>> def first(logits):
      ...   return rj.straight_through(jax.random.key(0), logits)[0]
      >>> jax.grad(first)(jnp.zeros(2)).tolist()
      [0.25, -0.25]
      >>> jax.grad(lambda x: rj.straight_through(jnp.round(x), x) ** 2)(1.7).item()
      4.0
    """
    if _are_values(key, logits):
        return _given(key, logits)
    return _family.draw(_family_of(event_ndim), key, {"logits": logits}, shape, dtype)


def straight_through_from_noise(
    noise: jax.typing.ArrayLike,
    logits: jax.typing.ArrayLike,
    *,
    event_ndim: int = 1,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given noise to hard draws with the gradient of their mean.

    .. math:: z = \mathrm{onehot}(\arg\max_k \ell_k + g_k), \qquad
       dz := d \, \mathrm{softmax}(\ell)

    Args:
      noise: :math:`g`, as from ``rj.noise.gumbel``; with ``event_ndim=0``, as from
        ``rj.noise.logistic``. Of any shape that broadcasts with the logits.
      logits: :math:`\ell`, of shape (..., classes); with ``event_ndim=0``, of any
        shape.
      event_ndim: 1 for one-hot draws along the last axis, 0 for zeros and ones.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Draws outside the domain behave as in
      :func:`straight_through`.

    Raises:
      ValueError: the shapes do not broadcast, there is no axis of classes, or concrete
        logits lie outside their domain.

    Gradient:
      As in :func:`straight_through`; none for the noise.

    Example:
      >>> import jax.numpy as jnp, reparam_jax as rj
      >>> noise, logits = jnp.array([0.0, 2.0]), jnp.zeros(2)
      >>> rj.straight_through_from_noise(noise, logits).tolist()
      [0.0, 1.0]
    """
    family = _family_of(event_ndim)
    return _family.from_noise(family, noise, {"logits": logits}, dtype)


def _are_values(hard, soft):
    """Whether these are values of one shape, and the first is not a key."""
    kinds = jax.Array | np.ndarray | np.generic | float
    dtypes = [getattr(x, "dtype", jnp.float32) for x in (hard, soft)]
    return (
        isinstance(hard, kinds)
        and isinstance(soft, kinds)
        and jnp.issubdtype(dtypes[0], jnp.number)
        and dtypes[0] != jnp.uint32
        and jnp.issubdtype(dtypes[1], jnp.floating)
        and jnp.shape(hard) == jnp.shape(soft)
    )


def _given(hard: ArrayLike, soft: ArrayLike) -> jax.Array:
    soft = jnp.asarray(soft)
    return with_gradient_of(jnp.asarray(hard).astype(soft.dtype), soft)


def _one_hot(noise, logits):
    return harden(one_hot_argmax(logits + noise), probabilities(logits, 1))


def _zero_or_one(noise, logits):
    return harden(logits + noise > 0, probabilities(logits, 0))


_FAMILIES = {
    0: _family.Family(
        name="straight_through",
        noise=noise_room.logistic,
        transform=guarded(_zero_or_one, binary),
        constraints=binary,
    ),
    1: _family.Family(
        name="straight_through",
        noise=noise_room.gumbel,
        transform=guarded(_one_hot, rows, event_ndim=1),
        constraints=rows,
        event_ndim=1,
    ),
}


def _family_of(event_ndim):
    if event_ndim not in _FAMILIES:
        raise ValueError(
            "`straight_through` draws one-hot vectors (event_ndim=1) or zeros and ones "
            f"(event_ndim=0), got event_ndim={event_ndim!r}."
        )
    return _FAMILIES[event_ndim]
