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


CONCENTRATION = {"concentration": 2.5}
BETA = {"concentration1": 2.5, "concentration0": 0.7}
NOT_POSITIVE = {"concentration": -1.0}
BETA_OUTSIDE = {"concentration1": 0.0, "concentration0": -1.0}

NAN = float("nan")
VON_MISES_OUTSIDE = {"concentration": -1.0, "x": 3.2}

TABLE = (
    Function("betainc", BETA | {"x": 0.3}, BETA_OUTSIDE | {"x": 1.5}),
    Function("beta_pathwise_grad", BETA | {"x": 0.3}, BETA_OUTSIDE | {"x": 1.5}),
    Function(
        "log_beta_pathwise_grad", BETA | {"log_x": -0.4}, BETA_OUTSIDE | {"log_x": 0.5}
    ),
    Function("gammainc", CONCENTRATION | {"z": 1.3}, NOT_POSITIVE | {"z": -1.0}),
    Function("gammaincc", CONCENTRATION | {"z": 1.3}, NOT_POSITIVE | {"z": -1.0}),
    Function(
        "gamma_pathwise_grad", CONCENTRATION | {"z": 1.3}, NOT_POSITIVE | {"z": -1.0}
    ),
    Function(
        "log_gamma_pathwise_grad",
        CONCENTRATION | {"log_z": -0.7},
        NOT_POSITIVE | {"log_z": float("nan")},
    ),
    Function(
        "inverse_gaussian_pathwise_grad",
        {"mean": 2.0, "shape_parameter": 8.0, "z": 1.3},
        {"mean": 0.0, "shape_parameter": -1.0, "z": float("nan")},
    ),
    Function("erfcx", {"x": 0.7}, {"x": NAN}),
    Function(
        "truncated_normal_pathwise_grad",
        {"low": 0.3, "high": 2.0, "z": 0.9},
        {"low": 1.5, "high": 0.7, "z": NAN},
    ),
    Function("von_mises_cdf", {"concentration": 3.0, "x": 0.8}, VON_MISES_OUTSIDE),
    Function(
        "von_mises_pathwise_grad", {"concentration": 3.0, "x": 0.8}, VON_MISES_OUTSIDE
    ),
    Function("student_t_cdf", {"df": 3.0, "t": 0.8}, {"df": 0.0, "t": float("nan")}),
    Function(
        "student_t_pathwise_grad", {"df": 3.0, "t": 0.8}, {"df": 0.0, "t": float("nan")}
    ),
    Function(
        "von_mises_fisher_pathwise_grad",
        {"concentration": 2.0, "angle": 0.8},
        {"concentration": -1.0, "angle": 3.5},
        {"dimension": 3},
    ),
)
