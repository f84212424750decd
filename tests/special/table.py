"""The special functions, a row each: every general property is tested on every row."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

import reparam_jax as rj


class Function(NamedTuple):
    """One special function.

    Args:
      name: in ``rj.special``.
      arguments: inside the domain, by name.
      outside: one argument at a time outside the domain, where the result is NaN.
      options: static arguments.
    """

    name: str
    arguments: Mapping[str, float]
    outside: Mapping[str, float]
    options: Mapping[str, Any] = {}

    def __call__(self, arguments):
        """The results, stacked along a last axis."""
        function = functools.partial(getattr(rj.special, self.name), **self.options)
        result = function(**arguments)
        results = result if isinstance(result, tuple) else (result,)
        return jnp.stack(results, -1)


TABLE = (
    Function("student_t_cdf", {"df": 3.0, "t": 0.8}, {"df": 0.0, "t": float("nan")}),
    Function(
        "student_t_pathwise_grad", {"df": 3.0, "t": 0.8}, {"df": 0.0, "t": float("nan")}
    ),
)
