"""Differentiate through randomness in JAX."""

from . import layers as layers
from . import noise as noise
from ._domains import validation as validation
from .samplers import normal as normal
from .samplers import normal_from_noise as normal_from_noise

__version__ = "0.1.0"
