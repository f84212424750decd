"""What all special functions share: checks, dtypes, and derivatives of every order."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from reparam_jax import _checks, _domains

# From arrays to an array or a tuple of them; callers know which.
Kernel = Callable[..., Any]


def evaluate(
    function: str,
    kernel: Kernel,
    holds: Callable[..., jax.Array],
    **arguments: ArrayLike,
) -> Any:
    """Evaluates a kernel on arguments as callers pass them.

    Args:
      function: the public name of the caller.
      kernel: elementwise, of float32 or float64 arrays of one shape and dtype.
      holds: of the same arrays, whether each element lies in the domain; elsewhere the
        result is NaN, as are its derivatives.
      **arguments: of the kernel, by name, of shapes that broadcast.

    Returns:
      What the kernel returns, in the arguments' promoted float dtype.
    """
    arguments = _checks.check_real(function, **arguments)
    dtype = _checks.result_dtype(function, None, **arguments)
    shape = _checks.result_shape(function, None, **arguments)
    return _evaluate(kernel, holds, tuple(arguments.values()), shape, dtype)


@functools.partial(jax.jit, static_argnums=(0, 1, 3, 4))
def _evaluate(kernel, holds, values, shape, dtype):
    compute_dtype = _checks.noise_dtype(dtype)
    values = [
        jnp.broadcast_to(jnp.asarray(x).astype(compute_dtype), shape) for x in values
    ]
    valid = holds(*values)

    def finish(result):
        return lax.convert_element_type(_domains.poison(result, valid), dtype)

    return jax.tree.map(finish, kernel(*values))


def elementwise(kernel: Kernel) -> Kernel:
    """Gives an elementwise kernel derivatives of every order, in every mode.

    The rule takes the partial derivatives in forward mode and multiplies them with the
    tangents: the reverse mode transposes products only, never a loop of the kernel.

    Args:
      kernel: of arrays of one shape and dtype, in operations that can be differentiated
        in forward mode.

    Returns:
      The kernel with a derivative rule.
    """

    @jax.custom_jvp
    @functools.wraps(kernel)
    def with_rule(*arguments):
        return kernel(*arguments)

    @with_rule.defjvp
    def _jvp(primals, tangents):
        value = with_rule(*primals)
        total = jax.tree.map(jnp.zeros_like, value)
        for place, tangent in enumerate(tangents):

            def along(x, place=place):
                return kernel(*primals[:place], x, *primals[place + 1 :])

            one = jnp.ones_like(primals[place])
            _, slope = jax.jvp(along, (primals[place],), (one,))
            total = jax.tree.map(
                lambda sum_, slope, tangent=tangent: sum_ + slope * tangent,
                total,
                slope,
            )
        return value, total

    return with_rule


# XLA would compute the parts again for each of their uses. Tangents pass: some are
# constants, which the barrier cannot transpose beside others.
@jax.custom_jvp
def hold(values: Any) -> Any:
    """Makes each of the arrays one value of the compiled program."""
    return lax.optimization_barrier(values)


@hold.defjvp
def _hold_jvp(primals, tangents):
    return hold(*primals), tangents[0]
