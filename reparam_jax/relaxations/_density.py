"""What log-densities of relaxed draws share: checks, dtypes, bad elements."""

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from reparam_jax import _checks, _domains

from ._scores import poison_all, validity


def density(
    function: str,
    evaluate: Callable[..., jax.Array],
    constraints: Callable[..., Mapping[str, _domains.Parameter]],
    draw: dict[str, ArrayLike],
    parameters: dict[str, ArrayLike],
    *,
    event_ndim: int = 0,
) -> jax.Array:
    """Evaluates a function of draws and parameters, after their checks.

    Args:
      function: its public name.
      evaluate: ``(*draw, *parameters)``, all of one shape, to the result.
      constraints: ``(*parameters) -> name -> Parameter``.
      draw: by name; empty for a function of the parameters alone.
      parameters: by name.
      event_ndim: how many of the last axes make up one draw.

    Returns:
      An array of the arguments' promoted float dtype.
    """
    arguments = _checks.check_real(function, **draw, **parameters)
    dtype = _checks.result_dtype(function, None, **arguments)
    shape = _checks.result_shape(function, None, **arguments)
    _checks.check_event(function, shape, event_ndim)
    given = [arguments[name] for name in parameters]
    checked = constraints(*given)
    values = _domains.check_values(function, _checks.noise_dtype(dtype), checked)
    draws = tuple(arguments[name] for name in draw)
    values = values[: len(parameters)]
    return _evaluate(evaluate, constraints, draws, values, shape, dtype, event_ndim)


@functools.partial(jax.jit, static_argnums=(0, 1, 4, 5, 6))
def _evaluate(evaluate, constraints, draws, values, shape, dtype, event_ndim):
    compute_dtype = _checks.noise_dtype(dtype)

    def spread(arrays):
        arrays = [jnp.asarray(x).astype(compute_dtype) for x in arrays]
        return [jnp.broadcast_to(x, shape) for x in arrays]

    draws, values = spread(draws), spread(values)
    valid = validity(constraints, values, event_ndim)
    return evaluate(*poison_all((*draws, *values), valid)).astype(dtype)
