"""Cells of the tables that experiments print."""

import numpy as np


def mean_and_error(
    values: np.ndarray, spec: str = ".2f", *, error_spec: str | None = None
) -> str:
    """Writes the mean over seeds, and its standard error where there are several.

    Args:
      values: one for each seed.
      spec: how the mean is written, as for :func:`format`.
      error_spec: how the error is written; like the mean by default.

    Returns:
      Such as ``"1.50 +- 0.29"``.
    """
    mean = format(values.mean(), spec)
    if len(values) == 1:
        return mean
    error = values.std(ddof=1) / np.sqrt(len(values))
    return f"{mean} +- {format(error, error_spec or spec)}"
