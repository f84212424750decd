"""RELAX: the score function with any function as its control variate."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from reparam_jax.distributions._structure import flatten

from ._control import ControlVariate


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Relax(ControlVariate):
    r"""The score function with a control variate of the caller's own (RELAX, LAX).

    A discrete draw :math:`b = H(z)` is a threshold of a continuous one: :math:`z = l +
    s` with logistic noise for a bit, :math:`z = l + g` with Gumbel noise for K
    categories, where :math:`l` are normalized. With :math:`\tilde z` drawn from the law
    of :math:`z` given :math:`b`, and any differentiable function :math:`c_\phi`, the
    estimate for the logits is

    .. math:: (f(b) - c_\phi(\tilde z)) \, d_l \log p(b) + d_l c_\phi(z)
       - d_l c_\phi(\tilde z).

    The paper takes :math:`c_\phi(z) = f(\sigma(z / \lambda)) + r_\phi(z)` with a
    network :math:`r_\phi` where the cost is differentiable, and :math:`r_\phi` alone
    where it is not, or is unknown between the outcomes.

    Args:
      control_variate: :math:`c`: ``(params, draws) -> cost``, for one draw: the
        unbounded :math:`z` in the tree of the distribution, of shape (\*shape) for
        Bernoulli and Multinomial, (\*shape, K) for Categorical. Where distributions of
        one expectation have different estimators: :math:`z` of the one that has this
        one, or a list. It returns the shape that the cost has. A cost of the batch's
        shape needs a control variate whose elements depend on their own draws only. By
        default the relaxed cost, :math:`f(\sigma(z))`, without ``params``.
      params: :math:`\phi`: a tree of arrays, with all else the function needs.

    Raises:
      TypeError: a distribution is neither Bernoulli nor Categorical nor Multinomial(1).
      ValueError: the control variate has another shape than the cost.

    Draws:
      For each distribution a pair of base noise, for :math:`z` and for :math:`\tilde
      z`: standard logistic of shape (num_samples, \*shape) for Bernoulli; standard
      Gumbel of shape (num_samples, \*shape, K) for Categorical, (num_samples, \*shape)
      for Multinomial.

    Cost:
      1 evaluation per estimate, at floats of the logits' dtype: 0 and 1, or one-hot
      vectors also for Categorical. 2 of the control variate, by default of the cost.

    Gradient:
      Logits or probabilities: unbiased for every control variate, of first order, in
      forward and reverse mode. All else that the cost reaches: of the cost. The
      gradient for the logits can be differentiated for all else, also for ``params``
      (the estimator is a pytree of them), which trains them: see
      :func:`gradient_second_moment`. A second derivative that takes the logits last
      raises.

    References:
      Grathwohl, Choi, Wu, Roeder, Duvenaud: Backpropagation through the void:
      optimizing control variates for black-box gradient estimation, ICLR 2018, sections
      2 and 3.

    Example:
      >>> import jax, jax.numpy as jnp, numpyro.distributions as dist
      >>> import reparam_jax as rj
      >>> def control_variate(slope, draws):
      ...   return slope * jnp.sum(jax.nn.sigmoid(draws))
      >>> def loss(logits):
      ...   return rj.expectation(
      ...     jax.random.key(0), lambda bits: jnp.max(bits),
      ...     dist.Bernoulli(logits=logits), num_samples=10_000,
      ...     estimator=rj.Relax(control_variate, 0.5))
      >>> slopes = jax.jit(jax.grad(loss))(jnp.zeros(2))
      >>> bool(jnp.all(abs(slopes - 0.125) < 0.01))
      True
    """

    control_variate: Callable[[Any, Any], Any] | None = dataclasses.field(
        default=None, metadata={"static": True}
    )
    params: Any = None

    def estimate(self, cost_fn, dist, draws, *args):
        control_variate = self.control_variate
        if control_variate is None:
            return super().estimate(cost_fn, dist, draws, *args)
        _, structure = flatten("Relax", dist)

        def in_tree(params, points):
            points = points if isinstance(points, list) else [points]
            return control_variate(params, structure.unflatten(points))

        relax = dataclasses.replace(self, control_variate=in_tree)
        return super(Relax, relax).estimate(cost_fn, dist, draws, *args)

    def control_variate_at(self, costs, laws, points):
        values = [law.relaxed(z, 1) for law, z in zip(laws, points, strict=True)]
        control_variate = self.control_variate
        if control_variate is None:
            return costs(values)

        def one(points):
            points = points if len(points) > 1 else points[0]
            return jnp.asarray(control_variate(self.params, points))

        control = jax.vmap(one)(points)
        shape = costs.shape_at(values)
        if control.shape[1:] != shape:
            raise ValueError(
                "`Relax` needs a control variate of the shape of the cost, "
                f"{shape}, got {control.shape[1:]}."
            )
        return control
