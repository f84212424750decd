"""The Mills ratio of the normal distribution, and what its product lacks to 1."""

import functools

import jax
import numpy as np


def mills(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    r"""Returns the Mills ratio, and 1 less its product with ``x``.

    .. math:: R(x) = \frac{\Phi(-x)}{\phi(x)} = \int_0^\infty e^{-x t - t^2 / 2} dt,
       \qquad Q(x) = 1 - x R(x) = -R'(x) = \int_0^\infty t e^{-x t - t^2 / 2} dt.

    Args:
      x: non-negative, of dtype float32 or float64.

    Returns:
      R and Q, each to a few units in the last place, also where Q is about 1 / x^2.

    Gradient:
      By automatic differentiation, to every order.
    """
    is_long = x.dtype == np.float64
    reciprocal = 1 / (1 + x)
    y = 1 - 8 / (x + 4)
    ratio = _polynomial(_RATIO_64 if is_long else _RATIO_32, y)
    rest = _polynomial(_COMPLEMENT_64 if is_long else _COMPLEMENT_32, y)
    return reciprocal * ratio, reciprocal * reciprocal * rest


def _polynomial(coefficients, y):
    return functools.reduce(lambda sum_, c: sum_ * y + c, reversed(coefficients))


# (1 + x) R and (1 + x)^2 Q are smooth in y = (x - 4) / (x + 4), which takes the half
# line to [-1, 1], also at its end, where both are 1. Chebyshev series in y, cut where
# their coefficients reach the precision and written in powers of y (the coefficients of
# which sum to 2.6 at most, so nothing is lost). After Shepherd, Laframboise. Chebyshev
# approximation of (1 + 2x) exp(x^2) erfc(x). Mathematics of Computation 36, 1981. The
# coefficients are from 60-digit values at the nodes.
_RATIO_32 = (
    1.183261914,
    -0.2423996532,
    0.03509191846,
    0.07168999013,
    -0.08070863386,
    0.04496313583,
    -0.01253524804,
    -0.000730099339,
    0.001730334235,
    -0.0002119454919,
    -0.0002020173794,
    3.150467452e-05,
    1.880141553e-05,
)
_RATIO_64 = (
    1.1832619145678034,
    -0.24239967052180733,
    0.035091880234748428,
    0.071690481201355738,
    -0.080708009679076959,
    0.04495912907961306,
    -0.012539103619828691,
    -0.00071595094208074309,
    0.0017418487668553215,
    -0.00023670145990687389,
    -0.00022021552586120344,
    5.3265464546680961e-05,
    3.4158580131142954e-05,
    -8.6012043694998011e-06,
    -6.5526069524538339e-06,
    1.0083298759355845e-06,
    1.3890999259580894e-06,
    1.400516159063268e-08,
    -2.8432535277877049e-07,
    -6.2780453948674266e-08,
    4.7917760757372692e-08,
    2.6005270335096673e-08,
    -4.407443665929224e-09,
    -6.9426282744304918e-09,
    -6.1181451628037626e-10,
    1.2144862178941501e-09,
    3.0625528367018704e-10,
    -1.0681300372859278e-10,
    -3.9399851401732174e-11,
)
_COMPLEMENT_32 = (
    1.334761708,
    -0.3468644535,
    -0.1726816785,
    0.3535478495,
    -0.2212621423,
    0.02711130086,
    0.05608806862,
    -0.03885956312,
    0.004656801246,
    0.005750733343,
    -0.001889830456,
    -0.0007635308184,
    0.0003687630185,
    7.766459311e-05,
    -4.169030324e-05,
)
_COMPLEMENT_64 = (
    1.334761708643933,
    -0.34686443844569465,
    -0.17268170834609692,
    0.35354727647612066,
    -0.22126150638043196,
    0.027117664485105684,
    0.056082893346633592,
    -0.03889109207420479,
    0.0046776207850881719,
    0.0058326136434740947,
    -0.0019358217995911859,
    -0.00088225243630629668,
    0.00042623895141812447,
    0.00017449545797584647,
    -8.086998945652202e-05,
    -4.3507962745601586e-05,
    1.2466779764201383e-05,
    1.1618996812512069e-05,
    -7.258618091437909e-07,
    -2.8990366698366327e-06,
    -5.0499528342069011e-07,
    6.0543800059462025e-07,
    2.7923380306635436e-07,
    -9.2322000266294332e-08,
    -8.4966699656457088e-08,
    7.9066590991036569e-09,
    1.6082537101851444e-08,
    -1.2652705764269517e-10,
    -1.483808365479494e-09,
)
