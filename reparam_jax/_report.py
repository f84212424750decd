"""Reports from inside traced code to ``checkify``, at no cost to anybody else.

``checkify.debug_check`` alone would do, but it puts an effect on every program that
contains one, and ``jax.jit`` dispatches programs with effects on its slow path (0.1 to
0.3 ms a call). So the checks travel as the ``call_jaxpr`` of a primitive that is
otherwise the identity and has no effect: ``checkify`` looks into the ``call_jaxpr`` of
every primitive, and nothing else does.
"""

from collections.abc import Callable, Hashable

import jax
import numpy as np
from jax.extend import core
from jax.interpreters import ad, batching, mlir
from jax.typing import ArrayLike


def report(
    checked: Callable, values: tuple[ArrayLike, ...], *options: Hashable
) -> tuple[jax.Array, ...]:
    """Passes values on; under ``checkify``, through the checks of ``checked`` as well.

    Args:
      checked: a jitted function ``(values, *options)`` that calls
        ``checkify.debug_check`` and returns ``values``; ``options`` are static.
      values: arrays or numbers, at least one of them traced.
      *options: passed to ``checked``.

    Returns:
      ``values``, as arrays.

    Gradient:
      That of the identity, in every mode and order.
    """
    arrays = [
        x if isinstance(x, jax.Array) else np.asarray(x, jax.typeof(x).dtype)
        for x in values
    ]
    jaxpr = checked.trace(tuple(arrays), *options).jaxpr
    return tuple(_report_p.bind(*arrays, call_jaxpr=jaxpr))


class _Report(core.Primitive):
    """The identity on its operands."""

    multiple_results = True

    def bind(self, *operands, subfuns=(), **params):
        # `checkify` passes the `call_jaxpr` as a function of its error and operands.
        for checked in subfuns:
            return checked.call_wrapped(*operands)
        return super().bind(*operands, **params)


_report_p = _Report("report")


def _identity(*operands, call_jaxpr):
    del call_jaxpr
    return list(operands)


def _jvp(primals, tangents, *, call_jaxpr):
    return _report_p.bind(*primals, call_jaxpr=call_jaxpr), list(tangents)


def _batch(operands, axes, *, call_jaxpr):
    mapped = jax.vmap(core.jaxpr_as_fun(call_jaxpr), in_axes=axes, out_axes=list(axes))
    jaxpr = jax.make_jaxpr(mapped)(*operands)
    return _report_p.bind(*operands, call_jaxpr=jaxpr), axes


_report_p.def_impl(_identity)
_report_p.def_abstract_eval(_identity)
ad.primitive_jvps[_report_p] = _jvp
batching.primitive_batchers[_report_p] = _batch
mlir.register_lowering(
    _report_p, lambda ctx, *operands, call_jaxpr: list(operands), cacheable=True
)
