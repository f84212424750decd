"""What an estimator with parameters of its own is trained to minimise."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def gradient_second_moment(
    key: jax.Array,
    cost_fn: Callable,
    dist: Any,
    *args: Any,
    num_samples: int = 1,
    estimator: Any,
) -> jax.Array:
    r"""Estimates the mean squared norm of a gradient estimate.

    .. math:: E \| \hat g \|^2 = \operatorname{tr} \operatorname{Var} \hat g + \| g \|^2

    for a single estimate :math:`\hat g` of the gradient :math:`g` for the arrays that
    the distribution holds. An unbiased estimator has the same :math:`g` whatever its
    own parameters, so their descent on this lowers its variance.

    Args:
      key: one key from ``jax.random.key``. Used once.
      cost_fn: ``(draw, *args) -> cost``, as for ``expectation``. Costs of the batch's
        shape are added up.
      dist: a NumPyro distribution, or a tree of independent ones. The gradient is for
        its parameters as they were given: for logits, give it logits.
      *args: further arguments of ``cost_fn``.
      num_samples: how many single estimates are averaged.
      estimator: one that gives an estimate from a single draw, such as :class:`Rebar`.

    Returns:
      A number, at least 0.

    Gradient:
      For the parameters of an estimator that is a pytree (the temperature of ``Rebar``,
      the params of ``Relax``): unbiased. Others that the cost reaches: unbiased where
      the estimate can be differentiated for them. The parameters of the distribution:
      raises for estimators without second derivatives.

    References:
      Grathwohl, Choi, Wu, Roeder, Duvenaud: Backpropagation through the void:
      optimizing control variates for black-box gradient estimation, ICLR 2018, section
      3.3.

    Example:
      >>> import jax, numpyro.distributions as dist, optax, reparam_jax as rj
      >>> @jax.jit
      ... def variance(estimator, key):
      ...   return rj.gradient_second_moment(
      ...     key, lambda bit: (bit + 1) ** 2, dist.Bernoulli(logits=0.5),
      ...     num_samples=1000, estimator=estimator)
      >>> optimizer = optax.sgd(0.3)
      >>> first = estimator = rj.Rebar(temperature=0.5, scale=0.0)
      >>> state, slope = optimizer.init(estimator), jax.jit(jax.grad(variance))
      >>> for key in jax.random.split(jax.random.key(0), 5):
      ...   updates, state = optimizer.update(slope(estimator, key), state)
      ...   estimator = optax.apply_updates(estimator, updates)
      >>> after, before = [variance(e, jax.random.key(1)) for e in (estimator, first)]
      >>> bool(after < before / 2)
      True
    """
    draws = estimator.draw(key, dist, num_samples)
    arrays, structure = jax.tree.flatten(dist)
    kinds = [jnp.result_type(array) for array in arrays]
    held = [i for i, kind in enumerate(kinds) if jnp.issubdtype(kind, jnp.floating)]

    def total(parameters, draw):
        merged = list(arrays)
        for i, parameter in zip(held, parameters, strict=True):
            merged[i] = parameter
        law, alone = structure.unflatten(merged), jax.tree.map(lambda x: x[None], draw)
        return jnp.sum(estimator.estimate(cost_fn, law, alone, *args))

    def squared_norm(draw):
        slopes = jax.grad(total)([arrays[i] for i in held], draw)
        return sum(jnp.sum(slope**2) for slope in slopes)

    return jnp.mean(jax.vmap(squared_norm, axis_size=num_samples)(draws))
