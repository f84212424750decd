"""Base noise: one key in, bits, uniforms or normals out, the same on every layout."""

from ._bits import bits as bits
from ._normal import normal as normal
from ._uniform import uniform as uniform
