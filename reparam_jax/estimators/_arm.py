"""Antithetic pairs, weighted with their uniforms: augment, REINFORCE, merge."""

import dataclasses

from ._antithetic_pair import AntitheticPair
from ._bits import reached


@dataclasses.dataclass(frozen=True)
class ARM(AntitheticPair):
    r"""Unbiased gradients for bits and categories, from pairs weighted by the noise.

    For bits of logits :math:`l` and uniforms :math:`u`, two draws, and the slope of the
    expected cost for each :math:`l_i`:

    .. math:: b = 1[u \ge \sigma(-l)], \qquad \tilde b = 1[u < \sigma(l)], \qquad
       g_i = (f(b) - f(\tilde b)) (u_i - \tfrac{1}{2}).

    All bits of all distributions flip at once. :class:`DisARM` is the mean of this
    given the two draws, so that its variance is never more. For one bit of probability
    :math:`\theta` that of ARM is :math:`(f(1) - f(0))^2 (1/12 - 2 a^3 / 3 - q^2)`,
    :math:`a = |\theta - 1/2|`, :math:`q = \theta (1 - \theta)`.

    A category is the first 1 in a row of :math:`K - 1` bits, which break a stick of
    length 1 into the probabilities, the largest first; bits after the first 1 of both
    draws have no slope. This is not ARSM, which swaps categories, at up to
    :math:`K (K - 1) / 2 + 1` evaluations.

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
      Yin, Zhou. ARM: augment-REINFORCE-merge gradient for stochastic binary networks.
      ICLR 2019.

    Example:
      >>> import jax, jax.numpy as jnp, numpyro.distributions as dist, reparam_jax as rj
      >>> def cost(bit):
      ...     return (bit - 0.45) ** 2
      >>> def estimate(logits, noise):
      ...     return rj.ARM().estimate(cost, dist.Bernoulli(logits=logits), noise)
      >>> noise = jnp.array([0.9])  # (.55^2 - .45^2) (.9 - .5)
      >>> round(jax.grad(estimate)(0.0, noise).item(), 6)
      0.04
    """

    # b = 1[x > 0] for the logistic variable x = l + log(u / (1 - u)), whose score for l
    # is 2 u - 1: the gradient is E[f(b) (2 u - 1)], and with 1 - u in place of u
    # E[f(b~) (1 - 2 u)]. Half their sum is a pair with the slope 2 u - 1. Of a bit that
    # neither draw looks at, no cost depends on u, and the mean slope is 0.
    def slopes(self, noise, logits, one, other):
        del logits
        return (2 * noise - 1) * (reached(one) | reached(other))
