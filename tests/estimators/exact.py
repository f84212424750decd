"""Means and variances of gradient estimates, by quadrature over injected draws."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.estimators.precisions import precision


def gradients(estimator, cost_fn, dist_of, parameters, draws, *args):
    """The gradient of the estimate at each draw, one sample at a time.

    Args:
      estimator: any.
      cost_fn: of a draw and ``args``.
      dist_of: parameters to the distribution.
      parameters: a tree of arrays.
      draws: what ``estimator.draw`` returns, with a leading axis of nodes.
      *args: further arguments of the cost.

    Returns:
      The gradients for the parameters, with a leading axis of nodes.
    """

    def estimate(parameters, draw):
        alone = jax.tree.map(lambda x: x[None], draw)
        return estimator.estimate(cost_fn, dist_of(parameters), alone, *args)

    return jax.jit(jax.vmap(jax.grad(estimate), (None, 0)))(parameters, draws)


def slopes_at(estimator, dtype, cost, law, parameters, *args, **draws):
    """The gradient at each of the given draws, in a precision, as float64.

    Args:
      estimator: any whose draws are a dictionary.
      dtype: of parameters and draws.
      cost: of a draw and ``args``.
      law: parameters to the distribution.
      parameters: a dictionary of numbers.
      *args: further arguments of the cost.
      **draws: with a leading axis of nodes.
    """
    with precision(dtype):
        draws = {name: jnp.asarray(draw) for name, draw in draws.items()}
        draws = {
            name: draw.astype(dtype) if draw.dtype.kind == "f" else draw
            for name, draw in draws.items()
        }
        parameters = {name: jnp.asarray(x, dtype) for name, x in parameters.items()}
        slopes = gradients(estimator, cost, law, parameters, draws, *args)
        return {name: np.asarray(slope, np.float64) for name, slope in slopes.items()}


def moments(gradients, weights):
    """Mean and variance over the nodes, in float64."""
    weights = np.asarray(weights, np.float64)
    weights = weights / weights.sum()
    values = np.asarray(gradients, np.float64)
    mean = np.tensordot(weights, values, 1)
    return mean, np.tensordot(weights, (values - mean) ** 2, 1)


def hermite(count, dtype=jnp.float32):
    """Nodes and weights of the standard normal law."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return jnp.asarray(nodes, dtype), weights / weights.sum()


def bits(count, dtype=jnp.int32):
    """All outcomes of several bits, of shape (2 ** count, count)."""
    index = np.arange(2**count)
    return jnp.asarray(index[:, None] >> np.arange(count)[None] & 1, dtype)
