"""Differentiate through randomness in JAX."""

from . import layers as layers
from . import noise as noise
from . import objectives as objectives
from . import relaxations as relaxations
from . import special as special
from ._domains import validation as validation
from .distributions import sample as sample
from .distributions import sample_and_log_prob as sample_and_log_prob
from .estimators import ARM as ARM
from .estimators import Auto as Auto
from .estimators import DisARM as DisARM
from .estimators import Enumerate as Enumerate
from .estimators import MeasureValued as MeasureValued
from .estimators import Pathwise as Pathwise
from .estimators import Quadrature as Quadrature
from .estimators import Rebar as Rebar
from .estimators import Relax as Relax
from .estimators import Relaxed as Relaxed
from .estimators import ScoreFunction as ScoreFunction
from .estimators import StraightThrough as StraightThrough
from .estimators import expectation as expectation
from .estimators import gradient_second_moment as gradient_second_moment
from .estimators import moving_average_baseline as moving_average_baseline
from .objectives import elbo as elbo
from .objectives import (
    importance_sampled_log_likelihood as importance_sampled_log_likelihood,
)
from .objectives import iwae_bound as iwae_bound
from .objectives import vimco as vimco
from .relaxations import gumbel_softmax as gumbel_softmax
from .relaxations import gumbel_softmax_from_noise as gumbel_softmax_from_noise
from .relaxations import hard_concrete as hard_concrete
from .relaxations import hard_concrete_from_noise as hard_concrete_from_noise
from .relaxations import log_gumbel_softmax as log_gumbel_softmax
from .relaxations import log_gumbel_softmax_from_noise as log_gumbel_softmax_from_noise
from .relaxations import relaxed_bernoulli as relaxed_bernoulli
from .relaxations import relaxed_bernoulli_from_noise as relaxed_bernoulli_from_noise
from .relaxations import straight_through as straight_through
from .relaxations import straight_through_from_noise as straight_through_from_noise
from .samplers import beta as beta
from .samplers import cauchy as cauchy
from .samplers import cauchy_from_noise as cauchy_from_noise
from .samplers import chi2 as chi2
from .samplers import dirichlet as dirichlet
from .samplers import exponential as exponential
from .samplers import exponential_from_noise as exponential_from_noise
from .samplers import gamma as gamma
from .samplers import gumbel as gumbel
from .samplers import gumbel_from_noise as gumbel_from_noise
from .samplers import half_cauchy as half_cauchy
from .samplers import half_cauchy_from_noise as half_cauchy_from_noise
from .samplers import half_normal as half_normal
from .samplers import half_normal_from_noise as half_normal_from_noise
from .samplers import implicit_sampler as implicit_sampler
from .samplers import inverse_gamma as inverse_gamma
from .samplers import inverse_gaussian as inverse_gaussian
from .samplers import kumaraswamy as kumaraswamy
from .samplers import kumaraswamy_from_noise as kumaraswamy_from_noise
from .samplers import laplace as laplace
from .samplers import laplace_from_noise as laplace_from_noise
from .samplers import log_beta as log_beta
from .samplers import log_dirichlet as log_dirichlet
from .samplers import log_gamma as log_gamma
from .samplers import log_normal as log_normal
from .samplers import log_normal_from_noise as log_normal_from_noise
from .samplers import logistic as logistic
from .samplers import logistic_from_noise as logistic_from_noise
from .samplers import mixture as mixture
from .samplers import multivariate_normal as multivariate_normal
from .samplers import (
    multivariate_normal_from_noise as multivariate_normal_from_noise,
)
from .samplers import normal as normal
from .samplers import normal_from_noise as normal_from_noise
from .samplers import pareto as pareto
from .samplers import pareto_from_noise as pareto_from_noise
from .samplers import power_spherical as power_spherical
from .samplers import rayleigh as rayleigh
from .samplers import rayleigh_from_noise as rayleigh_from_noise
from .samplers import student_t as student_t
from .samplers import tanh_normal as tanh_normal
from .samplers import tanh_normal_from_noise as tanh_normal_from_noise
from .samplers import truncated_normal as truncated_normal
from .samplers import (
    truncated_normal_from_noise as truncated_normal_from_noise,
)
from .samplers import uniform as uniform
from .samplers import uniform_from_noise as uniform_from_noise
from .samplers import von_mises as von_mises
from .samplers import von_mises_fisher as von_mises_fisher
from .samplers import weibull as weibull
from .samplers import weibull_from_noise as weibull_from_noise

__version__ = "0.1.0"
