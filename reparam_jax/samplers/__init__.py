"""Samplers: a key and parameters in, draws out, each with its exact gradient."""

from ._normal import normal as normal
from ._normal import normal_from_noise as normal_from_noise
