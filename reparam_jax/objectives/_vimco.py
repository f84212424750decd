"""The importance-weighted bound of discrete guides."""

from collections.abc import Callable
from typing import Any

import jax

from reparam_jax import _checks
from reparam_jax.estimators import ScoreFunction
from reparam_jax.estimators._estimator import check_count

from ._model import Model
from ._multi_sample import draw_leaves, estimators_of, scored_bound


def vimco(
    key: jax.Array,
    log_joint_fn: Callable[..., jax.Array],
    guide: Any,
    *args: Any,
    prior: Any = None,
    num_samples: int,
    estimator: Any = None,
) -> jax.Array:
    r"""Estimates the bound of :func:`iwae_bound`, with a score for each draw.

    .. math:: \nabla \mathrm{E} L = \mathrm{E} \left[ \nabla L + \sum_k (L - L_{-k})
       \nabla \log q(z_k) \right], \qquad L = \log \frac1K \sum_k w_k

    where :math:`L_{-k}` has the geometric mean of the other weights in the place of
    :math:`w_k`: a baseline of each draw's own, which needs no other evaluations. For
    guides of any kind, discrete ones above all.

    Args:
      key: one key from ``jax.random.key``. Used once.
      log_joint_fn: ``(draw, *args)`` to :math:`\log p(x, z)` in nats, one for each
        example, of the guide's batch shape; or one number for all of them. With
        ``prior``, to :math:`\log p(x \mid z)`. It is mapped over the draws.
      guide: :math:`q`: a NumPyro distribution, or a tree of independent ones, as for
        :func:`elbo`.
      *args: further arguments of ``log_joint_fn``, such as data.
      prior: :math:`p(z)`, in the tree of the guide.
      num_samples: K, how many draws are weighted; at least 2.
      estimator: ``None`` or ``rj.ScoreFunction()`` for scores everywhere; a tree of
        ``rj.ScoreFunction()`` and ``rj.Pathwise()`` for a guide some parts of which
        are pathwise.

    Returns:
      One bound for each example, in nats, of the guide's batch shape; a number if
      ``log_joint_fn`` returns one. Infinite or NaN as that of :func:`elbo`.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, ``guide`` or ``prior`` hold something
        other than distributions, or the estimator is another.
      ValueError: ``num_samples`` is less than 2, the densities are of another shape,
        or ``prior`` does not fit the guide.

    Gradient:
      Unbiased for this bound, to every order, in forward, reverse and mixed mode, for
      the guide's parameters and all that ``log_joint_fn`` and ``prior`` depend on.
      Each example is credited with its own bound only.

    References:
      Mnih, Rezende. Variational inference for Monte Carlo objectives. ICML 2016.

    Example:
      >>> import jax, jax.numpy as jnp, numpyro.distributions as dist, reparam_jax as rj
      >>> def bound(logits, x):
      ...   return rj.vimco(
      ...     jax.random.key(0),
      ...     lambda code, x: dist.Normal(code.sum(-1), 1.0).log_prob(x),
      ...     dist.Bernoulli(logits=logits).to_event(1),
      ...     x,
      ...     prior=dist.Bernoulli(0.5 * jnp.ones(3)).to_event(1),
      ...     num_samples=5,
      ...   )
      >>> bound(jnp.zeros((4, 3)), jnp.arange(4.0)).shape
      (4,)
    """
    key = _checks.check_key("vimco", key)
    check_count("vimco", num_samples=num_samples)
    if num_samples < 2:
        raise ValueError(
            "`vimco` compares each draw with the others: it needs `num_samples` of at "
            f"least 2, got {num_samples}."
        )
    model = Model("vimco", log_joint_fn, guide, prior)
    estimators = estimators_of(model, guide, estimator, lambda leaf: ScoreFunction())
    if estimators is None:
        raise TypeError(
            "`vimco` is an estimator of its own: it takes `rj.ScoreFunction()`, or a "
            f"tree of these and `rj.Pathwise()`, got {estimator!r}. `rj.iwae_bound` "
            "takes all others."
        )
    values = draw_leaves(model, key, num_samples, estimators)
    log_weights = model.make_log_weights(args)(values)
    return scored_bound(model, values, log_weights, estimators)
