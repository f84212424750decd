"""The precisions in which estimates are compared with exact numbers."""

import contextlib

import jax
import numpy as np
import pytest

F32 = pytest.param(np.float32, 1e-6, id="f32")
F64 = pytest.param(np.float64, 1e-12, id="f64")
SLOW_F64 = pytest.param(np.float64, 1e-12, id="f64", marks=pytest.mark.slow)

both = pytest.mark.parametrize(("dtype", "rtol"), [F32, F64])
both_in_time = pytest.mark.parametrize(("dtype", "rtol"), [F32, SLOW_F64])


def precision(dtype):
    """A context in which arrays of the dtype are made."""
    if dtype == np.float64:
        return jax.enable_x64(True)
    return contextlib.nullcontext()
