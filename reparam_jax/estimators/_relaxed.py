"""The pathwise gradient of a relaxed cost."""

import dataclasses
from collections.abc import Callable

import jax
from jax.typing import ArrayLike

from reparam_jax import _checks, relaxations
from reparam_jax import noise as noise_room
from reparam_jax.distributions._discrete import bernoulli_logits, categorical_logits
from reparam_jax.distributions._structure import Distribution, unwrap

from ._estimator import Estimator


@dataclasses.dataclass(frozen=True)
class Relaxed(Estimator):
    r"""The gradient through relaxed draws, in place of discrete ones.

    .. math:: \hat g = \nabla_\theta f(y), \qquad
       y = \mathrm{softmax}\Big(\frac{\log p_\theta + g}{\tau}\Big) \text{ or }
       y = \sigma\Big(\frac{\mathrm{logit} \, p_\theta + \epsilon}{\tau}\Big)

    for categorical and Bernoulli draws, at a temperature :math:`\tau`. The cost sees
    floats in the dtype of the logits: for a Bernoulli leaf, relaxed zeros and ones of
    its shape; for a categorical or multinomial leaf of one trial, relaxed one-hot
    vectors along a last axis (a categorical draw is no index here). The value is the
    cost at those draws, not at hard ones, unless ``hard``.

    Args:
      temperature: :math:`\tau > 0`: one number, or an array that broadcasts with the
        logits of every leaf, with a last axis of length 1 for classes.
      hard: whether the cost sees hard draws, exactly 0 and 1, with the gradient of the
        relaxed ones.

    Raises:
      TypeError: a leaf is neither a Bernoulli law nor one on categories.

    Gradient:
      Biased for the expectation over discrete draws: it is that of another expectation.
      The bias falls with the temperature, while the variance grows as :math:`1 / \tau`.
      With ``hard``, biased for the expectation of any law. It needs a cost that is
      differentiable in the draw; to every order of that; also for the temperature.

    Draws:
      For a Bernoulli leaf standard logistic noise of shape (num_samples, *shape); for
      one on categories standard Gumbel noise of shape (num_samples, *batch, classes).

    Cost:
      One evaluation per estimate.

    References:
      Jang, Gu, Poole. Categorical reparameterization with Gumbel-softmax. ICLR 2017,
      section 2. Maddison, Mnih, Teh. The Concrete distribution. ICLR 2017, section 3.

    Example:
      >>> import jax, numpyro.distributions as dist, reparam_jax as rj
      >>> def loss(logits):
      ...   return rj.expectation(
      ...     jax.random.key(0),
      ...     lambda draw: (draw - 0.45) ** 2,
      ...     dist.Bernoulli(logits=logits),
      ...     num_samples=100_000,
      ...     estimator=rj.Relaxed(1.0),
      ...   )
      >>> slope = jax.grad(loss)(-0.8473)  # the relaxed one; of hard draws, 0.021
      >>> bool(abs(slope - (-0.01043)) < 1e-3)
      True
    """

    temperature: ArrayLike
    hard: bool = dataclasses.field(default=False, kw_only=True)

    def draw_leaf(self, key, leaf, num_samples):
        """Draws the noise of one leaf."""
        logits, noise, _ = _relaxation(leaf)
        dtype = _checks.noise_dtype(logits.dtype)
        return noise(key, (num_samples, *logits.shape), dtype)

    def estimates(self, costs, leaves, draws):
        """Gives each relaxed draw its cost."""
        return costs(
            [
                self._relax(leaf, noise)
                for leaf, noise in zip(leaves, draws, strict=True)
            ]
        )

    def _relax(self, leaf, noise):
        logits, _, relax = _relaxation(leaf)
        options = {"hard": self.hard, "dtype": logits.dtype}
        return relax(noise, logits[None], self.temperature, **options)


def _relaxation(leaf: Distribution) -> tuple[jax.Array, Callable, Callable]:
    """Returns the logits of a leaf, its noise, and what relaxes it."""
    logits = bernoulli_logits(leaf)
    if logits is not None:
        return logits, noise_room.logistic, relaxations.relaxed_bernoulli_from_noise
    logits = categorical_logits(leaf)
    if logits is not None:
        return logits, noise_room.gumbel, relaxations.gumbel_softmax_from_noise
    raise TypeError(
        "`Relaxed` relaxes Bernoulli laws, and laws on categories (Categorical, or "
        f"Multinomial of one trial), got {type(unwrap(leaf)).__name__}. "
        "`ScoreFunction` works for every law with a log-probability, and `Pathwise` "
        "for continuous ones."
    )
