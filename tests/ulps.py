"""Distances in units of the last place."""

import numpy as np


def ulps(actual, expected, scale=None):
    """Largest ``|actual - expected|``, in units of the last place of ``scale``.

    Args:
      actual: an array, whose dtype sets the unit.
      expected: the true values, in a dtype at least as wide.
      scale: where the unit is taken; ``expected`` by default.
    """
    actual = np.asarray(actual)
    unit = np.spacing(np.abs(expected if scale is None else scale).astype(actual.dtype))
    wide = np.promote_types(np.asarray(expected).dtype, np.float64)
    return np.max(np.abs(actual.astype(wide) - expected) / unit.astype(wide))
