"""The log-likelihood by importance sampling."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from reparam_jax import _checks
from reparam_jax.estimators._estimator import check_count

from ._iwae_bound import pathwise_or_score
from ._model import Model
from ._multi_sample import (
    draw_leaves,
    estimate_together,
    estimators_of,
    log_mean_exp,
    scored_bound,
)


def importance_sampled_log_likelihood(
    key: jax.Array,
    log_joint_fn: Callable[..., jax.Array],
    guide: Any,
    *args: Any,
    prior: Any = None,
    num_samples: int,
    estimator: Any = None,
    chunk_size: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    r"""Estimates the log-likelihood of every example, and how far to trust it.

    .. math:: \log p(x) \approx \log \frac1K \sum_{k=1}^K w_k, \qquad
       \mathrm{ESS} = \frac{(\sum_k w_k)^2}{\sum_k w_k^2}, \qquad
       w_k = p(x, z_k) / q(z_k)

    The estimate is too low on average, by about :math:`\mathrm{Var}(w) / (2 K
    \mathrm{E}[w]^2)`. The effective sample size lies between 1 and K; a small one says
    that few draws carry the estimate, and that K should grow.

    Args:
      key: one key from ``jax.random.key``. Used once.
      log_joint_fn: ``(draw, *args)`` to :math:`\log p(x, z)` in nats, one for each
        example, of the guide's batch shape; or one number for all of them. With
        ``prior``, to :math:`\log p(x \mid z)`. It is mapped over the draws.
      guide: :math:`q`: a NumPyro distribution, or a tree of independent ones, as for
        :func:`elbo`.
      *args: further arguments of ``log_joint_fn``, such as data.
      prior: :math:`p(z)`, in the tree of the guide.
      num_samples: K, how many draws are weighted.
      estimator: of the gradient, as for :func:`iwae_bound`.
      chunk_size: how many draws ``log_joint_fn`` sees at a time, to bound the memory;
        all by default. Only with ``Pathwise()`` and ``ScoreFunction()``.

    Returns:
      ``(log_likelihood, effective_sample_size)``, each of the guide's batch shape, or
      numbers if ``log_joint_fn`` returns one. Where all weights are 0, they are -inf
      and 0. Where a draw is rounded to an end of the support at which the densities of
      guide and prior are infinite, as those of small Dirichlet concentrations are, they
      are NaN.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, ``guide`` or ``prior`` hold something
        other than distributions, or the estimator does not know one.
      ValueError: ``num_samples`` or ``chunk_size`` is less than 1, the densities are of
        another shape, ``prior`` does not fit the guide, or ``chunk_size`` is given with
        another estimator.

    Gradient:
      That of :func:`iwae_bound` with ``gradient="standard"`` for the log-likelihood;
      none for the effective sample size.

    References:
      Burda, Grosse, Salakhutdinov. Importance weighted autoencoders. ICLR 2016.
      Kong. A note on importance sampling using standardized weights. 1992.

    Example:
      >>> import jax, numpyro.distributions as dist, reparam_jax as rj
      >>> log_likelihood, size = rj.importance_sampled_log_likelihood(
      ...   jax.random.key(0),
      ...   lambda z, x: dist.Normal(z, 1.0).log_prob(x),
      ...   dist.Normal(0.75, 0.8),
      ...   1.5,
      ...   prior=dist.Normal(),
      ...   num_samples=5000,
      ... )
      >>> round(float(log_likelihood), 1), bool(size > 4000)  # log N(1.5; 0, 2)
      (-1.8, True)
    """
    name = "importance_sampled_log_likelihood"
    key = _checks.check_key(name, key)
    check_count(name, num_samples=num_samples)
    if chunk_size is not None:
        check_count(name, chunk_size=chunk_size)
    model = Model(name, log_joint_fn, guide, prior)
    estimators = estimators_of(model, guide, estimator, pathwise_or_score)
    if estimators is None:
        if chunk_size is not None:
            raise ValueError(
                f"`{name}` takes `chunk_size` with `rj.Pathwise()`, "
                f"`rj.ScoreFunction()` or None only: {estimator!r} sees all draws in "
                "one cost."
            )
        bound, size = estimate_together(
            model,
            key,
            guide,
            args,
            num_samples,
            estimator,
            [log_mean_exp, effective_sample_size],
        )
    else:
        values = draw_leaves(model, key, num_samples, estimators)
        log_weights = _in_chunks(model.make_log_weights(args), values, chunk_size)
        bound = scored_bound(model, values, log_weights, estimators)
        size = effective_sample_size(log_weights)
    return bound, lax.stop_gradient(size)


def effective_sample_size(log_weights: jax.Array) -> jax.Array:
    """The effective number of draws, by weights along their first axis."""
    top = jnp.max(log_weights, 0, keepdims=True)
    weights = jnp.exp(log_weights - jnp.where(jnp.isneginf(top), 0, top))
    total, squares = jnp.sum(weights, 0), jnp.sum(weights**2, 0)
    # In this order nothing overflows in float16.
    return total * jnp.where(
        squares == 0, 0, total / jnp.where(squares == 0, 1, squares)
    )


def _in_chunks(log_weights, values, chunk_size):
    if chunk_size is None or any(value.size == 0 for value in values):
        return log_weights(values)

    @jax.checkpoint
    def one(values):
        return log_weights([value[None] for value in values])[0]

    return lax.map(one, values, batch_size=chunk_size)
