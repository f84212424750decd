"""Samplers: a key and parameters in, draws out, each with its exact gradient."""

from ._beta import beta as beta
from ._cauchy import cauchy as cauchy
from ._cauchy import cauchy_from_noise as cauchy_from_noise
from ._chi2 import chi2 as chi2
from ._dirichlet import dirichlet as dirichlet
from ._exponential import exponential as exponential
from ._exponential import exponential_from_noise as exponential_from_noise
from ._gamma import gamma as gamma
from ._gumbel import gumbel as gumbel
from ._gumbel import gumbel_from_noise as gumbel_from_noise
from ._half_cauchy import half_cauchy as half_cauchy
from ._half_cauchy import half_cauchy_from_noise as half_cauchy_from_noise
from ._half_normal import half_normal as half_normal
from ._half_normal import half_normal_from_noise as half_normal_from_noise
from ._implicit_sampler import implicit_sampler as implicit_sampler
from ._inverse_gamma import inverse_gamma as inverse_gamma
from ._inverse_gaussian import inverse_gaussian as inverse_gaussian
from ._kumaraswamy import kumaraswamy as kumaraswamy
from ._kumaraswamy import kumaraswamy_from_noise as kumaraswamy_from_noise
from ._laplace import laplace as laplace
from ._laplace import laplace_from_noise as laplace_from_noise
from ._log_beta import log_beta as log_beta
from ._log_dirichlet import log_dirichlet as log_dirichlet
from ._log_gamma import log_gamma as log_gamma
from ._log_normal import log_normal as log_normal
from ._log_normal import log_normal_from_noise as log_normal_from_noise
from ._logistic import logistic as logistic
from ._logistic import logistic_from_noise as logistic_from_noise
from ._mixture import mixture as mixture
from ._multivariate_normal import multivariate_normal as multivariate_normal
from ._multivariate_normal import (
    multivariate_normal_from_noise as multivariate_normal_from_noise,
)
from ._normal import normal as normal
from ._normal import normal_from_noise as normal_from_noise
from ._pareto import pareto as pareto
from ._pareto import pareto_from_noise as pareto_from_noise
from ._power_spherical import power_spherical as power_spherical
from ._rayleigh import rayleigh as rayleigh
from ._rayleigh import rayleigh_from_noise as rayleigh_from_noise
from ._student_t import student_t as student_t
from ._tanh_normal import tanh_normal as tanh_normal
from ._tanh_normal import tanh_normal_from_noise as tanh_normal_from_noise
from ._truncated_normal import truncated_normal as truncated_normal
from ._truncated_normal import (
    truncated_normal_from_noise as truncated_normal_from_noise,
)
from ._uniform import uniform as uniform
from ._uniform import uniform_from_noise as uniform_from_noise
from ._von_mises import von_mises as von_mises
from ._von_mises_fisher import von_mises_fisher as von_mises_fisher
from ._weibull import weibull as weibull
from ._weibull import weibull_from_noise as weibull_from_noise
