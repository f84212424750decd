"""The relaxation of a Bernoulli draw (BinConcrete)."""

import jax

from reparam_jax import noise as noise_room
from reparam_jax.samplers import _family

from ._gradients import harden
from ._scores import binary_tempered, guarded, sigmoid, tempered


def relaxed_bernoulli(
    key: jax.Array,
    logits: jax.typing.ArrayLike,
    temperature: jax.typing.ArrayLike,
    *,
    hard: bool = False,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws relaxed zeros and ones, with gradients for logits and temperature.

    .. math:: y = \sigma\Big(\frac{\ell + \epsilon}{\tau}\Big), \qquad
       P(y > 1/2) = \sigma(\ell)

    for logits :math:`\ell`, standard logistic :math:`\epsilon` and the logistic
    function :math:`\sigma`: the BinConcrete distribution, and the law of the first
    component of :func:`gumbel_softmax` with logits :math:`(\ell, 0)`.

    Args:
      key: one key from ``jax.random.key``. Used once.
      logits: :math:`\ell`, of any shape; infinite for a draw that is certain.
      temperature: :math:`\tau > 0`, finite; broadcasts with ``logits``.
      hard: whether the draw is 1 where :math:`y > 1/2` and 0 elsewhere, exactly, while
        its gradient stays that of :math:`y`.
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
      ``logits``, ``temperature``: exact for the relaxed draw :math:`y`, to every order,
      in forward, reverse and mixed mode; with their digits on both sides, also where
      :math:`y` rounds to 1. As a gradient of the expectation over Bernoulli draws it is
      biased; the bias falls with the temperature, while the variance grows. With
      ``hard=True``: that of a surrogate, biased in its own way, which does not vanish.
      Too low a temperature leaves no gradient: see
      ``rj.relaxations.saturated_fraction``.

    References:
      Maddison, Mnih, Teh. The Concrete distribution. ICLR 2017, appendix B.

    Example:
      >>> import jax, reparam_jax as rj
      >>> bool(0 < rj.relaxed_bernoulli(jax.random.key(0), 0.5, 1.0) < 1)
      True
      >>> hard = rj.relaxed_bernoulli(jax.random.key(1), 0.5, 1.0, hard=True)
      >>> float(hard) in (0.0, 1.0)
      True
    """
    parameters = {"logits": logits, "temperature": temperature}
    return _family.draw(_FAMILIES[bool(hard)], key, parameters, shape, dtype)


def relaxed_bernoulli_from_noise(
    noise: jax.typing.ArrayLike,
    logits: jax.typing.ArrayLike,
    temperature: jax.typing.ArrayLike,
    *,
    hard: bool = False,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given standard logistic noise to relaxed zeros and ones.

    .. math:: y = \sigma((\ell + \epsilon) / \tau)

    Args:
      noise: :math:`\epsilon`, as from ``rj.noise.logistic``; of any shape that
        broadcasts with the parameters.
      logits: :math:`\ell`, of any shape; infinite for a draw that is certain.
      temperature: :math:`\tau > 0`, finite; broadcasts with ``logits``.
      hard: whether the draw is 1 where :math:`y > 1/2` and 0 elsewhere, with the
        gradient of :math:`y`.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Elements outside the domain behave as
      in :func:`relaxed_bernoulli`.

    Raises:
      ValueError: the shapes do not broadcast, or a concrete parameter lies outside its
        domain.

    Gradient:
      As in :func:`relaxed_bernoulli`; that for the noise is that for the logits.

    Example:
      >>> import reparam_jax as rj
      >>> float(rj.relaxed_bernoulli_from_noise(-1.0, 1.0, 0.5))
      0.5
    """
    parameters = {"logits": logits, "temperature": temperature}
    return _family.from_noise(_FAMILIES[bool(hard)], noise, parameters, dtype)


def _soft(noise, logits, temperature):
    return sigmoid(tempered(logits + noise, temperature))


def _hard(noise, logits, temperature):
    return harden(logits + noise > 0, _soft(noise, logits, temperature))


_FAMILIES = {
    hard: _family.Family(
        name="relaxed_bernoulli",
        noise=noise_room.logistic,
        transform=guarded(transform, binary_tempered),
        constraints=binary_tempered,
    )
    for hard, transform in ((False, _soft), (True, _hard))
}
