"""REBAR: the score function with the relaxed cost as its control variate."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from reparam_jax import _domains

from ._control import ControlVariate


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Rebar(ControlVariate):
    r"""The score function with the relaxed cost as its control variate (REBAR).

    A discrete draw :math:`b = H(z)` is a threshold of a continuous one: :math:`z = l +
    s` with logistic noise for a bit, :math:`z = l + g` with Gumbel noise for K
    categories. With :math:`\tilde z` drawn from the law of :math:`z` given :math:`b`,
    and :math:`c(z) = \eta f(\sigma(z / \lambda))`, where :math:`\sigma` is the sigmoid
    or the softmax, the estimate for the logits is

    .. math:: (f(b) - c(\tilde z)) \, d_l \log p(b) + d_l c(z) - d_l c(\tilde z).

    Args:
      temperature: :math:`\lambda > 0`, one number. As it falls, the control variate
        approaches the cost, and its own derivatives grow.
      scale: :math:`\eta`, one number; at 0 this is ``ScoreFunction`` without baseline.

    Raises:
      TypeError: a distribution is neither Bernoulli nor Categorical nor Multinomial(1).
      ValueError: ``temperature`` is concrete and not positive.

    Draws:
      For each distribution a pair of base noise, for :math:`z` and for :math:`\tilde
      z`: standard logistic of shape (num_samples, \*shape) for Bernoulli; standard
      Gumbel of shape (num_samples, \*shape, K) for Categorical, (num_samples, \*shape)
      for Multinomial. The uniforms :math:`u, v` of the paper are its distribution
      function there: the sigmoid, or :math:`e^{-e^{-g}}`.

    Cost:
      3 evaluations per estimate, however many distributions, at floats of the logits'
      dtype: 0 and 1, or one-hot vectors also for Categorical, and values between them.
      The cost must be differentiable there.

    Gradient:
      Logits or probabilities: unbiased at every temperature and scale, of first order,
      in forward and reverse mode. All else that the cost reaches: of the cost at the
      discrete draw. The gradient for the logits can be differentiated for all else,
      also for ``temperature`` and ``scale`` (the estimator is a pytree of both), which
      trains them: see :func:`gradient_second_moment`. A second derivative that takes
      the logits last raises.

    References:
      Tucker, Mnih, Maddison, Lawson, Sohl-Dickstein: REBAR: Low-variance, unbiased
      gradient estimates for discrete latent variable models, NeurIPS 2017, section 3
      and appendix C.

    Example:
      >>> import jax, numpyro.distributions as dist, reparam_jax as rj
      >>> def loss(logits):
      ...   return rj.expectation(
      ...     jax.random.key(0), lambda bit: (bit - 0.45) ** 2,
      ...     dist.Bernoulli(logits=logits), num_samples=10_000, estimator=rj.Rebar())
      >>> exact = 0.25 * (0.55**2 - 0.45**2)
      >>> bool(abs(jax.jit(jax.grad(loss))(0.0) - exact) < 0.005)
      True
    """

    temperature: ArrayLike = 0.5
    scale: ArrayLike = 1.0

    def estimates(self, costs, leaves, draws):
        dtype = jnp.result_type(self.temperature, float)
        parameter = _domains.Parameter(self.temperature, _domains.POSITIVE)
        _domains.check_values("Rebar", dtype, {"temperature": parameter})
        return super().estimates(costs, leaves, draws)

    def control_variate_at(self, costs, laws, points):
        relaxed = [
            law.relaxed(point, self.temperature)
            for law, point in zip(laws, points, strict=True)
        ]
        return self.scale * costs(relaxed)
