"""Flax nnx modules that draw: sample, Gaussian head, convolution of a sample."""

from ._gaussian_head import GaussianHead as GaussianHead
from ._sample import Sample as Sample
from ._stochastic_conv import StochasticConv as StochasticConv
