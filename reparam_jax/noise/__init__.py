"""Base noise: one key in, bits or draws of a standard law out, on any layout alike."""

from ._bits import bits as bits
from ._cauchy import cauchy as cauchy
from ._cauchy import half_cauchy as half_cauchy
from ._couplings import antithetic as antithetic
from ._couplings import stratified as stratified
from ._exponential import exponential as exponential
from ._gumbel import gumbel as gumbel
from ._laplace import laplace as laplace
from ._logistic import logistic as logistic
from ._normal import half_normal as half_normal
from ._normal import normal as normal
from ._uniform import uniform as uniform
