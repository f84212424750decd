"""The gradient through the draw."""

import dataclasses

from reparam_jax.distributions._paths import path_of

from ._couplings import check_coupling, draw_coupled
from ._estimator import Estimator


@dataclasses.dataclass(frozen=True)
class Pathwise(Estimator):
    r"""The pathwise gradient: that of the cost at the draw, through the draw.

    .. math:: \nabla_\theta \, \mathrm{E} f(z) = \mathrm{E} \left[
       \frac{\partial z}{\partial \theta} \nabla f(z) \right]

    with :math:`\partial z / \partial \theta` as :func:`sample` has it: by
    reparameterisation, or implicit.

    Args:
      coupling: ``None`` for independent draws; ``"antithetic"`` for draws in pairs at
        u and 1 - u; ``"stratified"`` for one draw in each of ``num_samples`` equally
        likely strata of each element. For distributions whose draws are monotone maps
        of base noise.

    Draws:
      For each distribution the base draws, of shape (num_samples, \*shape): the noise
      of :mod:`reparam_jax.noise` of that name for what is a map of it (standard normal
      for a normal), else standard draws (of Gamma(concentration, 1) for a gamma).

    Raises:
      TypeError: a distribution has no gradient here; the message lists what has, and
        what to use for the others.
      ValueError: ``coupling`` is none of these.

    Gradient:
      Unbiased for costs that are continuous and differentiable almost everywhere, and
      biased for others: a cost with jumps loses what the jumps contribute. To the order
      and in the modes of the samplers. Costs may have any dependence on the batch.

    Cost:
      One evaluation of the cost for each sample.

    References:
      Kingma, Welling. Auto-encoding variational Bayes. ICLR 2014.
      Figurnov, Mohamed, Mnih. Implicit reparameterization gradients. NeurIPS 2018.

    Example:
      >>> import jax, numpyro.distributions as dist, reparam_jax as rj
      >>> def loss(loc):
      ...   key, law = jax.random.key(0), dist.Normal(loc, 0.5)
      ...   return rj.expectation(
      ...     key, lambda z: z**2, law, num_samples=4,
      ...     estimator=rj.Pathwise(coupling="antithetic"),
      ...   )
      >>> round(float(jax.grad(loss)(1.5)), 5)  # 2 loc: a linear slope has no variance
      3.0
    """

    coupling: str | None = None

    def __post_init__(self):
        check_coupling("Pathwise", self.coupling)

    def draw_leaf(self, key, leaf, num_samples):
        """Draws base noise, or standard draws."""
        if self.coupling is None:
            path = path_of("Pathwise", leaf)
            return path.draw(key, (num_samples, *leaf.shape()))
        _, base = draw_coupled("Pathwise", self.coupling, leaf, key, num_samples)
        return base

    def estimates(self, costs, leaves, draws):
        """The costs, which carry their gradients."""
        paths = [path_of("Pathwise", leaf) for leaf in leaves]
        return costs([path.at(base) for path, base in zip(paths, draws, strict=True)])
