"""One call for the expectation of a cost, by any estimator of its gradient."""

from collections.abc import Callable
from typing import Any

import jax

from reparam_jax import _checks

from ._auto import Auto
from ._estimator import check_count
from ._per_leaf import PerLeaf


def expectation(
    key: jax.Array,
    cost_fn: Callable[..., jax.Array],
    dist: Any,
    *args: Any,
    num_samples: int = 1,
    estimator: Any = None,
) -> jax.Array:
    r"""Estimates an expectation, and its gradient by the estimator of your choice.

    .. math:: \mathrm{E}_{z \sim p_\theta} f_\theta(z) \approx
       \frac{1}{n} \sum_{i=1}^n f_\theta(z_i)

    The value is the mean cost. Its derivative under ``jax.grad``, ``jax.jvp`` and the
    rest is the estimator's, for every parameter of the distribution and for all that
    the cost depends on, so that the code around it stays ordinary JAX.

    Args:
      key: one key from ``jax.random.key``. Used once.
      cost_fn: ``(draw, *args) -> cost``, a number, or an array of the batch shape of
        ``dist`` with one cost for each element. It is mapped over the samples by
        ``jax.vmap``.
      dist: a NumPyro distribution, or a tree (tuple, dict, ...) of independent ones;
        ``cost_fn`` gets a tree of draws. Masks are ignored: they do not change draws.
      *args: further arguments of ``cost_fn``, such as data; pass arrays here that live
        on several devices.
      num_samples: how many independent estimates are averaged.
      estimator: such as ``rj.Pathwise()``: a frozen dataclass with ``draw(key, dist,
        num_samples)``, all the randomness, and ``estimate(cost_fn, dist, draws,
        *args)``. Or a tree of this library's estimators for the tree of distributions.
        By default :class:`Auto`, the best unbiased one for each distribution.

    Returns:
      The mean cost, a number or an array of the batch shape.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, ``dist`` is none of NumPyro's, the cost
        is not real, or the estimator does not know a distribution; the message lists
        those that do.
      ValueError: the cost is neither a number nor of the batch shape, or the estimator
        needs more samples.

    Gradient:
      The estimator's; its docstring says whether it is unbiased, and to which order. A
      cost of the batch's shape is credited element by element: each element's draws
      only with its own cost, which lowers the variance and is right as long as the cost
      of an element depends on its own draws. A scalar cost is credited with all. A
      distribution that lacks an axis of the batch is credited with the cost summed over
      it. Expectations nest: the inner one closes over its key, and is then evaluated
      with the same noise for all outer draws.

    References:
      Mohamed, Rosca, Figurnov, Mnih. Monte Carlo gradient estimation in machine
      learning. JMLR 21, 2020.

    Example:
      >>> import jax, jax.numpy as jnp, numpyro.distributions as dist, reparam_jax as rj
      >>> def loss(logits, target):
      ...   return rj.expectation(
      ...     jax.random.key(0),
      ...     lambda b, target: jnp.sum((b - target) ** 2),
      ...     dist.Bernoulli(logits=logits),
      ...     target,
      ...     num_samples=4,
      ...     estimator=rj.DisARM(),
      ...   )
      >>> slope = jax.grad(loss)(jnp.zeros(3), jnp.array([0.25, 0.5, 0.75]))
      >>> slope.shape
      (3,)
    """
    key = _checks.check_key("expectation", key)
    check_count("expectation", num_samples=num_samples)
    estimator = as_estimator("expectation", estimator)
    draws = estimator.draw(key, dist, num_samples)
    return estimator.estimate(cost_fn, dist, draws, *args)


def as_estimator(function: str, estimator: Any) -> Any:
    """Returns the one estimator that the user's choice stands for."""
    if estimator is None:
        return Auto()
    if isinstance(estimator, type):
        raise TypeError(
            f"`{function}` takes an estimator, got the class {estimator.__name__}: "
            f"make one with `rj.{estimator.__name__}()`."
        )
    return estimator if hasattr(estimator, "estimate") else PerLeaf(estimator)
