"""The Gumbel-softmax relaxation by its logarithm, and its density."""

import jax
import jax.numpy as jnp

from reparam_jax import noise as noise_room
from reparam_jax.samplers import _family

from ._density import density
from ._scores import (
    check_temperature,
    guarded,
    log_softmax,
    one_hot_argmax,
    rows_tempered,
)


def log_gumbel_softmax(
    key: jax.Array,
    logits: jax.typing.ArrayLike,
    temperature: jax.typing.ArrayLike,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws the logarithms of relaxed one-hot vectors, finite where those underflow.

    .. math:: \log y = \log \mathrm{softmax}\Big(\frac{\ell + g}{\tau}\Big)

    for logits :math:`\ell` and independent standard Gumbel :math:`g`: the ExpConcrete
    distribution. :func:`log_gumbel_softmax_log_prob` is its log-density.

    Args:
      key: one key from ``jax.random.key``. Used once.
      logits: :math:`\ell`, of shape (..., classes), not necessarily normalized: finite,
        or -inf for a class that is absent, whose :math:`\log y` is -inf.
      temperature: :math:`\tau > 0`, finite: one number, or of shape (..., 1), one for
        each draw.
      shape: shape of the whole result, classes last; the parameters must broadcast to
        it. By default, their own broadcast shape.
      dtype: dtype of the result. By default, the parameters' promoted float dtype.
        Draws below 32 bits are rounded once, from float32.

    Returns:
      Independent draws along the last axis, whose exponentials are those of
      :func:`gumbel_softmax`. One with a parameter outside its domain raises when that
      is concrete, and is NaN throughout under ``jax.jit``, as are its gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or a parameter is not real.
      ValueError: ``key`` is a batch of keys, the shapes do not broadcast, there is no
        axis of classes or a temperature for each, or a concrete parameter lies outside
        its domain.

    Gradient:
      ``logits``, ``temperature``: exact for the relaxed draw, to every order, in
      forward, reverse and mixed mode. As a gradient of the expectation over categorical
      draws it is biased.

    References:
      Maddison, Mnih, Teh. The Concrete distribution. ICLR 2017, appendix C.3.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> log_draw = rj.log_gumbel_softmax(jax.random.key(0), jnp.zeros(3), 1e-4)
      >>> bool(jnp.all(jnp.isfinite(log_draw)))
      True
    """
    check_temperature("log_gumbel_softmax", temperature)
    parameters = {"logits": logits, "temperature": temperature}
    return _family.draw(_FAMILY, key, parameters, shape, dtype)


def log_gumbel_softmax_from_noise(
    noise: jax.typing.ArrayLike,
    logits: jax.typing.ArrayLike,
    temperature: jax.typing.ArrayLike,
    *,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given standard Gumbel noise to logarithms of relaxed one-hot vectors.

    .. math:: \log y = \log \mathrm{softmax}((\ell + g) / \tau)

    Args:
      noise: :math:`g`, as from ``rj.noise.gumbel``; of any shape that broadcasts with
        the parameters.
      logits: :math:`\ell`, of shape (..., classes): finite, or -inf for a class that is
        absent.
      temperature: :math:`\tau > 0`, finite: one number, or of shape (..., 1).
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Draws outside the domain behave as in
      :func:`log_gumbel_softmax`.

    Raises:
      ValueError: the shapes do not broadcast, there is no axis of classes or a
        temperature for each, or a concrete parameter lies outside its domain.

    Gradient:
      As in :func:`log_gumbel_softmax`; that for the noise is that for the logits.

    Example:
      >>> import jax.numpy as jnp, reparam_jax as rj
      >>> noise, logits = jnp.array([0.0, 2.0]), jnp.zeros(2)
      >>> rj.log_gumbel_softmax_from_noise(noise, logits, 0.01).tolist()
      [-200.0, 0.0]
    """
    check_temperature("log_gumbel_softmax_from_noise", temperature)
    parameters = {"logits": logits, "temperature": temperature}
    return _family.from_noise(_FAMILY, noise, parameters, dtype)


def log_gumbel_softmax_log_prob(
    log_draw: jax.typing.ArrayLike,
    logits: jax.typing.ArrayLike,
    temperature: jax.typing.ArrayLike,
) -> jax.Array:
    r"""Returns the log-density of draws of ``log_gumbel_softmax``.

    .. math:: \log p = \log \Gamma(K) + (K - 1) \log \tau
       + \sum_k \log \mathrm{softmax}(\ell - \tau \log y)_k

    for K classes. It is the density in the K - 1 differences :math:`\log y_k - \log
    y_K`, the same whichever class is subtracted; the density of :math:`y` itself is
    :math:`p / \prod_k y_k`. Ratios of two densities at one draw, as in a divergence,
    are alike in both, and here nothing overflows.

    Args:
      log_draw: :math:`\log y`, of shape (..., classes). A constant along the classes
        may be added to it.
      logits: :math:`\ell`, of shape (..., classes), not necessarily normalized: finite,
        or -inf for a class that is absent, which is then left out.
      temperature: :math:`\tau > 0`, finite: one number, or of shape (..., 1).

    Returns:
      Log-densities in nats, of the arguments' broadcast shape without the last axis.
      One with a parameter outside its domain raises when that is concrete, and is NaN
      under ``jax.jit``, as are its gradients.

    Raises:
      TypeError: an argument is not real.
      ValueError: the shapes do not broadcast, there is no axis of classes or a
        temperature for each, or a concrete parameter lies outside its domain.

    Gradient:
      All arguments: exact, to every order, in every mode.

    References:
      Maddison, Mnih, Teh. The Concrete distribution. ICLR 2017, appendix C.3.

    Example:
      >>> import jax.numpy as jnp, reparam_jax as rj
      >>> log_draw = jnp.log(jnp.array([0.25, 0.75]))
      >>> log_prob = rj.relaxations.log_gumbel_softmax_log_prob(
      ...   log_draw, jnp.zeros(2), 1.0
      ... )
      >>> bool(jnp.isclose(log_prob, jnp.log(0.25 * 0.75)))
      True
    """
    function = "log_gumbel_softmax_log_prob"
    check_temperature(function, temperature)
    parameters = {"logits": logits, "temperature": temperature}
    draw = {"log_draw": log_draw}
    return density(function, _log_prob, rows_tempered, draw, parameters, event_ndim=1)


# By Maddison, Mnih, Teh, p(log y) = (K - 1)! tau^(K - 1) prod_k (e^u_k / sum_j e^u_j)
# with u = l - tau log y.
def _log_prob(log_draw, logits, temperature):
    present = logits > -jnp.inf
    scores = jnp.where(present, logits, 0) - temperature * jnp.where(
        present, log_draw, 0
    )
    scores = jnp.where(present, scores, -jnp.inf)
    terms = scores - jax.nn.logsumexp(scores, -1, keepdims=True)
    classes = jnp.sum(present, -1).astype(scores.dtype)
    constant = jax.lax.lgamma(classes) + (classes - 1) * jnp.log(temperature[..., 0])
    return constant + jnp.sum(jnp.where(present, terms, 0), -1)


def _log_soft(noise, logits, temperature):
    scores = logits + noise
    return log_softmax(scores, one_hot_argmax(scores), temperature)


_FAMILY = _family.Family(
    name="log_gumbel_softmax",
    noise=noise_room.gumbel,
    transform=guarded(_log_soft, rows_tempered, event_ndim=1),
    constraints=rows_tempered,
    event_ndim=1,
)
