"""Deterministic functions JAX lacks: pathwise derivatives of draws, and their CDFs."""

from ._beta import beta_pathwise_grad as beta_pathwise_grad
from ._betainc import betainc as betainc
from ._erfcx import erfcx as erfcx
from ._gamma import gamma_pathwise_grad as gamma_pathwise_grad
from ._gammainc import gammainc as gammainc
from ._gammainc import gammaincc as gammaincc
from ._inverse_gaussian import (
    inverse_gaussian_pathwise_grad as inverse_gaussian_pathwise_grad,
)
from ._log_beta import log_beta_pathwise_grad as log_beta_pathwise_grad
from ._log_gamma import log_gamma_pathwise_grad as log_gamma_pathwise_grad
from ._student_t import student_t_cdf as student_t_cdf
from ._student_t import student_t_pathwise_grad as student_t_pathwise_grad
from ._truncated_normal import (
    truncated_normal_pathwise_grad as truncated_normal_pathwise_grad,
)
from ._von_mises import von_mises_cdf as von_mises_cdf
from ._von_mises import von_mises_pathwise_grad as von_mises_pathwise_grad
from ._von_mises_fisher import (
    von_mises_fisher_pathwise_grad as von_mises_fisher_pathwise_grad,
)
