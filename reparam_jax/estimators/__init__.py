"""Expectations, and the estimators of their gradients."""

from ._arm import ARM as ARM
from ._auto import Auto as Auto
from ._baseline import moving_average_baseline as moving_average_baseline
from ._disarm import DisARM as DisARM
from ._enumerate import Enumerate as Enumerate
from ._expectation import expectation as expectation
from ._measure_valued import MeasureValued as MeasureValued
from ._pathwise import Pathwise as Pathwise
from ._quadrature import Quadrature as Quadrature
from ._rebar import Rebar as Rebar
from ._relax import Relax as Relax
from ._relaxed import Relaxed as Relaxed
from ._score_function import ScoreFunction as ScoreFunction
from ._second_moment import gradient_second_moment as gradient_second_moment
from ._straight_through import StraightThrough as StraightThrough
