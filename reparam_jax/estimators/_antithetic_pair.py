"""What estimators of discrete laws by antithetic pairs of draws share."""

import abc
import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from reparam_jax import noise as noise_room

from ._attach import hard, weighted
from ._bits import bits_of
from ._costs import spread, sum_events
from ._estimator import Estimator


@dataclasses.dataclass(frozen=True)
class AntitheticPair(Estimator):
    r"""Half the difference of the costs of two draws, times a slope for each bit.

    .. math:: b = 1[1 - u \le \sigma(l)], \qquad \tilde b = 1[u < \sigma(l)], \qquad
       g = \tfrac{1}{2} (f(b) - f(\tilde b)) \, c

    for logits :math:`l`. All leaves flip at once: two evaluations, however many bits.
    """

    def draw_leaf(self, key, leaf, num_samples):
        bits = bits_of(type(self).__name__, leaf)
        dtype = bits.logits.dtype
        noise = noise_room.uniform(key, (num_samples, *bits.noise_shape), dtype)
        # Odd multiples of eps / 2: never 0 or 1, and with each u its 1 - u, so that the
        # two draws of a pair have the same probabilities.
        return noise + jnp.finfo(dtype).eps / 2

    def estimates(self, costs, leaves, draws):
        ones, others, terms = [], [], []
        for leaf, noise in zip(leaves, draws, strict=True):
            bits = bits_of(type(self).__name__, leaf)
            noise = jnp.reshape(noise, (len(noise), *bits.logits.shape))
            logits = lax.stop_gradient(bits.logits)[None]
            # 1 - u <= sigma(l), without the rounding of 1 - u. With the one strict and
            # the other not, a bit of probability 1/2 differs in each pair.
            one = noise >= jax.nn.sigmoid(-logits)
            other = noise < jax.nn.sigmoid(logits)
            ones.append(bits.value(one))
            others.append(bits.value(other))
            slopes = self.slopes(noise, logits, one, other)
            # Hard draws cannot show that a parameter is outside its domain.
            slopes = jnp.where(jnp.isnan(logits), logits, slopes)
            # c l, for its derivative c dl.
            terms.append(sum_events(slopes * bits.logits[None], leaf))
        # One call for both, so that a key that the cost closes over is used once.
        pairs = [jnp.stack(pair) for pair in zip(ones, others, strict=True)]
        one, other = jax.vmap(costs)(pairs)
        total = sum(spread(term, one) for term in terms)
        total = jnp.broadcast_to(total, one.shape).astype(one.dtype)
        return hard((one + other) / 2, total) + weighted((one - other) / 2, total)

    @abc.abstractmethod
    def slopes(
        self, noise: jax.Array, logits: jax.Array, one: jax.Array, other: jax.Array
    ) -> jax.Array:
        """Gives the slope c of each bit of a leaf, of the shape of its noise.

        Args:
          noise: u, one for each bit.
          logits: of the bits, not differentiated.
          one: the bits b, as booleans.
          other: the bits of the other draw.
        """
