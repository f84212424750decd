"""The evidence lower bound."""

from collections.abc import Callable
from typing import Any

import jax

from reparam_jax import _checks
from reparam_jax.estimators import expectation
from reparam_jax.estimators._attach import hard
from reparam_jax.estimators._estimator import check_count

from ._divergence import divergence, has_divergence
from ._model import Model, at_shape, parameters


def elbo(
    key: jax.Array,
    log_joint_fn: Callable[..., jax.Array],
    guide: Any,
    *args: Any,
    prior: Any = None,
    num_samples: int = 1,
    estimator: Any = None,
    sticking_the_landing: bool = False,
) -> jax.Array:
    r"""Estimates the evidence lower bound of every example, to be maximised.

    .. math:: \mathrm{E}_{z \sim q} [\log p(x, z) - \log q(z)]
       = \log p(x) - \mathrm{KL}(q(z) \| p(z \mid x))

    Args:
      key: one key from ``jax.random.key``. Used once.
      log_joint_fn: ``(draw, *args)`` to :math:`\log p(x, z)` in nats, one for each
        example, of the guide's batch shape; or one number for all of them. With
        ``prior``, to :math:`\log p(x \mid z)`.
      guide: :math:`q`: a NumPyro distribution, or a tree (tuple, dict, ...) of
        independent ones; ``log_joint_fn`` gets a tree of draws. All axes of a draw that
        belong to one example are its event (``to_event``). Masked elements count 0 in
        its density, as in NumPyro: mask the prior alike, and keep their parameters in
        the domain.
      *args: further arguments of ``log_joint_fn``, such as data.
      prior: :math:`p(z)`, in the tree of the guide. Its divergence :math:`\mathrm{KL}(q
        \| p)` is then exact where NumPyro, or this library, has the closed form, and
        taken from the draws where not.
      num_samples: how many independent estimates are averaged.
      estimator: of the gradient, as in :func:`expectation`: pathwise for continuous
        guides by default, sums or leave-one-out scores for discrete ones.
      sticking_the_landing: leaves out the guide's own score :math:`\nabla_\phi \log
        q_\phi(z)`, whose mean is 0, from the gradient. Then the pathwise gradient is
        exactly 0 in every draw where the guide is the posterior; far from it, where
        the guide is too narrow, its variance can be larger. No divergence is exact
        then.

    Returns:
      One bound for each example, in nats, of the guide's batch shape; a number if
      ``log_joint_fn`` returns one. Infinite or NaN where a draw is rounded to an end of
      the support at which a density is infinite, as those of small Dirichlet
      concentrations are.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, ``guide`` or ``prior`` hold something
        other than distributions, the estimator does not know one, or it draws one-hot
        vectors and the prior is not categorical.
      ValueError: the densities are of another shape, ``prior`` does not fit the guide,
        or the estimator needs more samples.

    Gradient:
      The estimator's, for the guide's parameters and all that ``log_joint_fn`` and
      ``prior`` depend on: unbiased, to the orders and in the modes of the estimator.
      With ``sticking_the_landing``: unbiased, to first order; a derivative for the
      guide's parameters of any derivative raises (but for those that the network of a
      flow closes over: it is wrong), and so does one for a parameter that moves the
      support. In discrete guides an outcome of probability 0 counts nothing, in the
      derivative for that probability neither, whose slope is infinite.

    References:
      Kingma, Welling. Auto-encoding variational Bayes. ICLR 2014.
      Roeder, Wu, Duvenaud. Sticking the landing: simple, lower-variance gradient
      estimators for variational inference. NeurIPS 2017.

    Example:
      >>> import jax, jax.numpy as jnp, numpyro.distributions as dist, reparam_jax as rj
      >>> def log_joint(z, x):  # z ~ N(0, 1), x ~ N(z, 1)
      ...   return dist.Normal().log_prob(z) + dist.Normal(z, 1.0).log_prob(x)
      >>> def bound(mean, x):
      ...   guide = dist.Normal(mean, jnp.sqrt(0.5))
      ...   return rj.elbo(
      ...     jax.random.key(0), log_joint, guide, x, sticking_the_landing=True
      ...   )
      >>> x = jnp.array([1.5, -1.0])
      >>> bounds = bound(x / 2, x)  # the posterior's means: tight, log N(x; 0, 2)
      >>> bool(jnp.allclose(bounds, dist.Normal(0, jnp.sqrt(2)).log_prob(x)))
      True
      >>> slope = jax.grad(lambda mean: bound(mean, x).sum())(x / 2)
      >>> bool(jnp.allclose(slope, 0, atol=1e-6))  # in this very draw
      True
    """
    key = _checks.check_key("elbo", key)
    check_count("elbo", num_samples=num_samples)
    model = Model("elbo", log_joint_fn, guide, prior)
    closed = [
        place
        for place, (leaf, own) in enumerate(
            zip(model.leaves, model.priors, strict=True)
        )
        if own is not None and not sticking_the_landing and has_divergence(leaf, own)
    ]

    def cost(draw, *args):
        return model.log_weight(draw, *args, held=sticking_the_landing, without=closed)

    bound = expectation(
        key, cost, guide, *args, num_samples=num_samples, estimator=estimator
    )
    for place in closed:
        term = divergence(model.leaves[place], model.priors[place])
        bound = bound - at_shape(bound.shape, term)
    return hard(bound, parameters(model.leaves)) if sticking_the_landing else bound
