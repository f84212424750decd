"""The Gumbel-softmax (Concrete) relaxation of a categorical draw."""

import functools

import jax

from reparam_jax import noise as noise_room
from reparam_jax.samplers import _family

from ._gradients import harden
from ._rao_blackwell import rao_blackwell
from ._scores import check_temperature, guarded, one_hot_argmax, rows_tempered, softmax


def gumbel_softmax(
    key: jax.Array,
    logits: jax.typing.ArrayLike,
    temperature: jax.typing.ArrayLike,
    *,
    hard: bool = False,
    rao_blackwell_samples: int = 1,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws relaxed one-hot vectors, with gradients for logits and temperature.

    .. math:: y = \mathrm{softmax}\Big(\frac{\ell + g}{\tau}\Big), \qquad
       P(\arg\max_k y_k = i) = \mathrm{softmax}(\ell)_i

    for logits :math:`\ell` and independent standard Gumbel :math:`g`. The law is the
    Concrete distribution; it tends to one-hot draws as :math:`\tau \to 0`, and its
    density is that of :func:`log_gumbel_softmax`.

    Args:
      key: one key from ``jax.random.key``. Used once.
      logits: :math:`\ell`, of shape (..., classes), not necessarily normalized: finite,
        or -inf for a class that is absent.
      temperature: :math:`\tau > 0`, finite: one number, or of shape (..., 1), one for
        each draw.
      hard: whether the draw is ``one_hot(argmax(y))``, exactly, while its gradient
        stays that of :math:`y` (straight-through Gumbel-softmax).
      rao_blackwell_samples: how many relaxations of the hard draw the gradient is the
        mean of; more than one with ``hard=True`` only. The hard draw is the same for
        any number; the mean of the gradient is too, and its variance is less.
      shape: shape of the whole result, classes last; the parameters must broadcast to
        it. By default, their own broadcast shape.
      dtype: dtype of the result. By default, the parameters' promoted float dtype.
        Draws below 32 bits are rounded once, from float32.

    Returns:
      Independent draws along the last axis. One with a parameter outside its domain
      raises when that is concrete, and is NaN throughout under ``jax.jit``, as are its
      gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or a parameter is not real.
      ValueError: ``key`` is a batch of keys, the shapes do not broadcast, there is no
        axis of classes or a temperature for each, ``rao_blackwell_samples`` lacks
        ``hard=True``, or a concrete parameter lies outside its domain.

    Gradient:
      ``logits``, ``temperature``: exact for the relaxed draw :math:`y`, to every order,
      in forward, reverse and mixed mode. As a gradient of the expectation over
      categorical draws it is biased; the bias falls with the temperature, while the
      variance grows as :math:`1 / \tau`. With ``hard=True``: that of a surrogate,
      biased in its own way, which does not vanish. Where :math:`y` is one-hot within
      rounding, its gradient is below :math:`\epsilon / \tau`, that is none: where
      ``rj.relaxations.saturated_fraction`` of soft draws is near 1, the temperature is
      too low for the scale of the logits.

    References:
      Jang, Gu, Poole. Categorical reparameterization with Gumbel-softmax. ICLR 2017,
      section 2. Maddison, Mnih, Teh. The Concrete distribution. ICLR 2017, section 3.
      Paulus, Maddison, Krause. Rao-Blackwellizing the straight-through Gumbel-softmax
      gradient estimator. ICLR 2021, section 3.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> logits = jnp.array([0.0, 1.0, 2.0])
      >>> float(rj.gumbel_softmax(jax.random.key(0), logits, 0.5).sum().round(3))
      1.0
      >>> def reward(logits):
      ...   choice = rj.gumbel_softmax(jax.random.key(1), logits, 0.5, hard=True)
      ...   return choice @ jnp.array([3.0, 2.0, 1.0]), choice
      >>> slopes, choice = jax.grad(reward, has_aux=True)(logits)
      >>> int((choice == 1).sum()), bool(slopes[0] > 0 > slopes[2])
      (1, True)
    """
    check_temperature("gumbel_softmax", temperature)
    _check_samples(rao_blackwell_samples, hard=hard)
    family = _family_of(hard, rao_blackwell_samples)
    parameters = {"logits": logits, "temperature": temperature}
    return _family.draw(family, key, parameters, shape, dtype)


def gumbel_softmax_from_noise(
    noise: jax.typing.ArrayLike,
    logits: jax.typing.ArrayLike,
    temperature: jax.typing.ArrayLike,
    *,
    hard: bool = False,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Maps given standard Gumbel noise to relaxed one-hot vectors.

    .. math:: y = \mathrm{softmax}((\ell + g) / \tau)

    Args:
      noise: :math:`g`, as from ``rj.noise.gumbel``; of any shape that broadcasts with
        the parameters.
      logits: :math:`\ell`, of shape (..., classes): finite, or -inf for a class that is
        absent.
      temperature: :math:`\tau > 0`, finite: one number, or of shape (..., 1).
      hard: whether the draw is ``one_hot(argmax(y))``, with the gradient of :math:`y`.
      dtype: dtype of the result. By default, the promoted float dtype of the arguments.

    Returns:
      An array of the arguments' broadcast shape. Draws outside the domain behave as in
      :func:`gumbel_softmax`.

    Raises:
      ValueError: the shapes do not broadcast, there is no axis of classes or a
        temperature for each, or a concrete parameter lies outside its domain.

    Gradient:
      As in :func:`gumbel_softmax`; that for the noise is that for the logits.

    Example:
      >>> import jax.numpy as jnp, reparam_jax as rj
      >>> noise, logits = jnp.array([0.0, 2.0]), jnp.zeros(2)
      >>> rj.gumbel_softmax_from_noise(noise, logits, 1.0, hard=True).tolist()
      [0.0, 1.0]
    """
    check_temperature("gumbel_softmax_from_noise", temperature)
    parameters = {"logits": logits, "temperature": temperature}
    return _family.from_noise(_family_of(hard, 1), noise, parameters, dtype)


def _check_samples(samples, *, hard):
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise ValueError(
            "`gumbel_softmax` needs `rao_blackwell_samples` to be an integer of at "
            f"least 1, got {samples!r}."
        )
    if samples > 1 and not hard:
        raise ValueError(
            f"`gumbel_softmax` got rao_blackwell_samples={samples} with hard=False: "
            "these are relaxations of one hard draw. Pass `hard=True`."
        )


def _soft(noise, logits, temperature):
    scores = logits + noise
    return softmax(scores, one_hot_argmax(scores), temperature)


def _hard(noise, logits, temperature):
    scores = logits + noise
    largest = one_hot_argmax(scores)
    return harden(largest, softmax(scores, largest, temperature))


@functools.cache
def _family_of(hard, samples):
    transform = rao_blackwell if samples > 1 else _hard if hard else _soft
    return _family.Family(
        name="gumbel_softmax",
        noise=_noise_of(samples) if samples > 1 else noise_room.gumbel,
        transform=guarded(transform, rows_tempered, event_ndim=1),
        constraints=rows_tempered,
        event_ndim=1,
    )


def _noise_of(samples):
    """Noise for several relaxations, along a leading axis."""

    def noise(key, shape, dtype, *, out_sharding):
        spec = jax.sharding.PartitionSpec(None, *out_sharding.spec)
        sharding = jax.sharding.NamedSharding(out_sharding.mesh, spec)
        return noise_room.gumbel(key, (samples, *shape), dtype, out_sharding=sharding)

    return noise
