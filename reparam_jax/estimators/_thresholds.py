r"""Discrete draws as thresholds of continuous ones, free or given the discrete draw.

For two outcomes, with standard logistic noise :math:`s` and logits :math:`l`,

.. math:: z = l + s, \qquad b = [z > 0], \qquad
   \tilde z = \pm \log(1 + e^{\pm s'} (1 + e^{\pm l})) \text{ for } b = 1, 0,

which is :math:`l + \log v' - \log(1 - v')` at :math:`v' = v \theta + 1 - \theta` for
:math:`b = 1` and at :math:`v (1 - \theta)` for :math:`b = 0`, where
:math:`s' = \log v - \log(1 - v)`. For K outcomes, with standard Gumbel noise and
normalized logits,

.. math:: z = l + g, \qquad b = \arg\max_i z_i, \qquad
   \tilde z_b = g'_b, \quad \tilde z_i = -\log(e^{-l_i - g'_i} + e^{-g'_b}),

the largest, and the others truncated at it (Tucker et al. 2017, appendix C). Noise, not
uniforms: it resolves both tails, and every logarithm is a softplus.
"""

import abc
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from reparam_jax import _checks
from reparam_jax import noise as noise_room
from reparam_jax.distributions._discrete import bernoulli_logits, categorical_logits
from reparam_jax.distributions._structure import Distribution, unwrap

# Base noise of a draw, and of the draw given the outcome.
Draw = tuple[jax.Array, jax.Array]


@dataclasses.dataclass(frozen=True)
class Threshold(abc.ABC):
    """A discrete law of given logits. Draws and outcomes have a leading axis."""

    logits: jax.Array

    @staticmethod
    @abc.abstractmethod
    def noise(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Draws standard noise."""

    @abc.abstractmethod
    def hard(self, draw: Draw) -> jax.Array:
        """The outcome, as booleans of the shape of the noise."""

    @abc.abstractmethod
    def given(self, outcome: jax.Array, draw: Draw) -> jax.Array:
        """The continuous draw given the outcome."""

    @abc.abstractmethod
    def log_prob(self, outcome: jax.Array) -> jax.Array:
        """Terms of the log-probability, of the shape of the noise."""

    @abc.abstractmethod
    def relaxed(self, points: jax.Array, temperature: ArrayLike) -> jax.Array:
        """A continuous draw as a value between the outcomes."""

    def at(self, logits: jax.Array) -> "Threshold":
        """The law at other logits."""
        return dataclasses.replace(self, logits=logits)

    def draw(self, key: jax.Array, num_samples: int) -> Draw:
        """Draws noise twice, of shape (num_samples, *logits.shape)."""
        shape = num_samples, *self.logits.shape
        dtype = _checks.noise_dtype(self.logits.dtype)
        free, given = jax.random.split(key)
        return self.noise(free, shape, dtype), self.noise(given, shape, dtype)

    def free(self, draw: Draw) -> jax.Array:
        """The continuous draw."""
        return self.logits[None] + draw[0]

    def as_value(self, outcome: jax.Array) -> jax.Array:
        """What the cost sees of an outcome."""
        return outcome.astype(self.logits.dtype)


class TwoOutcomes(Threshold):
    """A Bernoulli law."""

    noise = staticmethod(noise_room.logistic)

    def hard(self, draw):
        return self.free(draw) > 0

    def given(self, outcome, draw):
        sign = jnp.where(outcome, 1, -1).astype(draw[1].dtype)
        log_inverse = jax.nn.softplus(sign * self.logits[None])
        return sign * jax.nn.softplus(sign * draw[1] + log_inverse)

    def log_prob(self, outcome):
        logits = self.logits[None]
        return -jax.nn.softplus(jnp.where(outcome, -logits, logits))

    def relaxed(self, points, temperature):
        return jax.nn.sigmoid(points / temperature).astype(self.logits.dtype)


class SeveralOutcomes(Threshold):
    """A categorical law, of normalized logits."""

    noise = staticmethod(noise_room.gumbel)

    def hard(self, draw):
        points = self.free(draw)
        return jax.nn.one_hot(jnp.argmax(points, -1), points.shape[-1], dtype=bool)

    def given(self, outcome, draw):
        noise = draw[1]
        largest = jnp.sum(jnp.where(outcome, noise, 0), -1, keepdims=True)
        others = -jnp.logaddexp(-self.logits[None] - noise, -largest)
        return jnp.where(outcome, largest, others)

    def log_prob(self, outcome):
        return jnp.where(outcome, self.logits[None], 0)

    def relaxed(self, points, temperature):
        return jax.nn.softmax(points / temperature).astype(self.logits.dtype)


def threshold_of(estimator: str, leaf: Distribution) -> Threshold:
    """Returns a leaf as a threshold; raises for laws with other outcomes."""
    logits = bernoulli_logits(leaf)
    if logits is not None:
        return TwoOutcomes(logits)
    logits = categorical_logits(leaf)
    if logits is not None:
        return SeveralOutcomes(logits)
    raise TypeError(
        f"`{estimator}` takes Bernoulli, Categorical and Multinomial(1) distributions, "
        f"got {type(unwrap(leaf)).__name__}. `ScoreFunction` takes every distribution "
        "with a log-probability, `Pathwise` those whose draws have a gradient."
    )
