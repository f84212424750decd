"""Deterministic functions JAX lacks: pathwise derivatives of draws, and their CDFs."""

from ._student_t import student_t_cdf as student_t_cdf
from ._student_t import student_t_pathwise_grad as student_t_pathwise_grad
