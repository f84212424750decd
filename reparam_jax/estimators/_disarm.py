"""Antithetic pairs, with the uniforms averaged out: DisARM, also known as U2G."""

import dataclasses

import jax
import jax.numpy as jnp

from ._antithetic_pair import AntitheticPair
from ._bits import reached


@dataclasses.dataclass(frozen=True)
class DisARM(AntitheticPair):
    r"""Unbiased gradients for bits and categories, from antithetic pairs of draws.

    For bits of logits :math:`l` and uniforms :math:`u`, two draws, and the slope of the
    expected cost for each :math:`l_i`:

    .. math:: b = 1[1 - u \le \sigma(l)], \qquad \tilde b = 1[u < \sigma(l)], \qquad
       g_i = \tfrac{1}{2} (f(b) - f(\tilde b)) (b_i - \tilde b_i) \, \sigma(|l_i|).

    All bits of all distributions flip at once. For one bit of probability
    :math:`\theta` the variance is

    .. math:: q \, (f(1) - f(0))^2 (\max(\theta, 1 - \theta) / 2 - q), \qquad
       q = \theta (1 - \theta)

    which is 0 at :math:`\theta = 1/2`, and never more than that of :class:`ARM`, or of
    the score function with as many evaluations, each the other's baseline.

    A category is the first 1 in a row of :math:`K - 1` bits, which break a stick of
    length 1 into the probabilities, the largest first. Up to the bit at which the two
    draws part, the slopes are those above. From there on only one draw looks at more
    bits, say :math:`\tilde b`, and has the slopes of its log-probability,

    .. math:: g_i = \tfrac{1}{2} (f(\tilde b) - f(b)) (\tilde b_i - \theta_i).

    Bits that neither looks at have none. Two categories are one bit.

    Takes any tree of Bernoulli and categorical distributions, and of multinomial ones
    of one trial.

    Args:
      None.

    Draws:
      Bernoulli: independent uniforms on (0, 1), of shape (num_samples, \*dist.shape()).
      Categorical, and multinomial of one trial: uniforms of shape (num_samples,
      \*dist.batch_shape, K - 1), one for each bit. The cost sees what ``dist.sample``
      gives: 0 or 1, an index, or a one-hot vector, of integers.

    Cost:
      Two evaluations for each sample, however many bits. The value is their mean.

    Gradient:
      Unbiased for the parameters of the distributions; for all else the cost reaches,
      the mean of the derivatives at the two draws. Forward and reverse mode. Second
      derivatives in the parameters raise ``NotImplementedError``; those in all else are
      the cost's.

    References:
      Dong, Mnih, Tucker. DisARM: an antithetic gradient estimator for binary latent
      variables. NeurIPS 2020. Yin, Ho, Yan, Qian, Zhou. Probabilistic best subset
      selection via gradient-based optimization. arXiv 2006.06448 (U2G). Dong, Mnih,
      Tucker. Coupled gradient estimators for discrete latent variables. NeurIPS 2021
      (stick breaking).

    Example:
      >>> import jax, numpyro.distributions as dist, reparam_jax as rj
      >>> def loss(logits, key):
      ...     bit = dist.Bernoulli(logits=logits)
      ...     return rj.expectation(
      ...         key, lambda bit: (bit - 0.45) ** 2, bit, estimator=rj.DisARM()
      ...     )
      >>> round(jax.grad(loss)(0.0, jax.random.key(0)).item(), 6)  # (.55^2 - .45^2) / 4
      0.025
    """

    # Take one bit of probability theta; F(b) is the expected cost given this bit. In
    # either draw of a pair, the other bits are independent of this bit of both, so
    #
    #     E[(f(b) - f(b~)) c] = E[(F(b) - F(b~)) c]
    #
    # for any c of this bit in both draws. The two differ with probability
    # min(theta, 1 - theta) either way. With c = (b - b~) k,
    #
    #     E[(F(b) - F(b~)) c] / 2 = k min(theta, 1 - theta) (F(1) - F(0)),
    #
    # which is the gradient theta (1 - theta) (F(1) - F(0)) for
    # k = max(theta, 1 - theta) = sigma(|l|).
    #
    # A category is a function of independent bits, so this is unbiased for it too. Bits
    # after the first 1 of a draw change nothing: c is replaced by its mean over those.
    # With one draw looking at a bit, that mean is the score
    #
    #     E[(b - b~) k | b] = b - theta:
    #
    # at b = 1, k P(b~ = 0 | b = 1) = k min(theta, 1 - theta) / theta = 1 - theta. With
    # none looking it is 0.
    def slopes(self, noise, logits, one, other):
        del noise
        looks, other_looks = reached(one), reached(other)
        alone = looks * _score(one, logits) - other_looks * _score(other, logits)
        parting = one.astype(logits.dtype) - other.astype(logits.dtype)
        together = parting * jax.nn.sigmoid(jnp.abs(logits))
        return jnp.where(looks & other_looks, together, alone)


def _score(bits, logits):
    """The derivative of the bits' log-probability, b - theta."""
    return jnp.where(bits, jax.nn.sigmoid(-logits), -jax.nn.sigmoid(logits))
