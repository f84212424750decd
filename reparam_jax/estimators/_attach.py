"""Values with derivatives that are not their own: what estimators are made of."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_jvp
def box(log_prob: jax.Array) -> jax.Array:
    r"""Returns 1, whose derivative of every order is that of a likelihood ratio.

    .. math:: \exp(\log p - \bot \log p), \qquad d \, \square = \square \, d \log p

    with :math:`\bot` for "not differentiated": the magic box of Foerster et al., DiCE
    (ICML 2018), which makes derivatives of every order unbiased.
    """
    return jnp.ones_like(log_prob)


@box.defjvp
def _box_jvp(primals, tangents):
    ratio = box(*primals)
    return ratio, ratio * tangents[0]


@jax.custom_jvp
def score(costs: jax.Array, baseline: jax.Array, log_prob: jax.Array) -> jax.Array:
    r"""Returns the costs, with the score-function derivative of their expectation.

    .. math:: d = \square \, (df + (f - b) \, d \log p)

    Args:
      costs: :math:`f`.
      baseline: :math:`b`, not differentiated; independent of the draw.
      log_prob: :math:`\log p` of the draw, in nats.

    Returns:
      The costs. The derivatives of every order are unbiased.
    """
    del baseline, log_prob
    return costs


@score.defjvp
def _score_jvp(primals, tangents):
    costs, baseline, log_prob = primals
    costs_dot, _, log_prob_dot = tangents
    advantage = costs - lax.stop_gradient(baseline)
    return score(*primals), box(log_prob) * (costs_dot + advantage * log_prob_dot)


@jax.custom_jvp
def weighted(coefficient: jax.Array, parameter: jax.Array) -> jax.Array:
    r"""Returns 0, with the derivative :math:`c \, d\theta` for a coefficient c.

    Differentiating that again for the parameter raises, since a coefficient holds hard
    draws whose own derivative is missing; for all else the coefficient is made of, it
    works.

    Args:
      coefficient: :math:`c`: an unbiased estimate of the slope.
      parameter: :math:`\theta`, of the same shape.
    """
    return jnp.zeros_like(coefficient)


@weighted.defjvp
def _weighted_jvp(primals, tangents):
    coefficient, parameter = primals
    coefficient = first_order(coefficient, parameter)
    return weighted(*primals), coefficient * tangents[1]


@jax.custom_jvp
def first_order(coefficient: jax.Array, parameter: Any) -> jax.Array:
    """Returns the coefficient, which raises when differentiated for the parameter.

    Args:
      coefficient: any array.
      parameter: an array, or a tree of them.
    """
    del parameter
    return coefficient


def _first_order_jvp(primals, tangents):
    coefficient_dot, parameter_dot = tangents
    if not all(map(_is_zero, jax.tree.leaves(parameter_dot, is_leaf=_is_zero))):
        raise NotImplementedError(
            "This gradient estimator has no second derivatives: those of its estimate "
            "are not those of the expectation. `ScoreFunction`, `Enumerate`, "
            "`Quadrature` and `Pathwise` have them."
        )
    if _is_zero(coefficient_dot):
        coefficient_dot = jnp.zeros_like(primals[0])
    return first_order(*primals), coefficient_dot


first_order.defjvp(_first_order_jvp, symbolic_zeros=True)


@jax.custom_jvp
def hard(costs: jax.Array, parameter: Any) -> jax.Array:
    """Returns costs at hard draws, whose slopes raise where that of a draw is missing.

    The cost's own derivative, for all else that it reaches, depends on the draws' law
    too; differentiated for ``parameter``, a parameter of that law, it raises.
    """
    del parameter
    return costs


@hard.defjvp
def _hard_jvp(primals, tangents):
    costs, parameter = primals
    slope = first_order(jnp.ones_like(costs), parameter)
    return hard(costs, parameter), slope * tangents[0]


@jax.custom_jvp
def fixed(log_prob: jax.Array, ends: list[jax.Array]) -> jax.Array:
    r"""Returns the log-probability; raises where an end of the support is moved.

    For a support from a to b, :math:`d \int_a^b f p = \int_a^b f \, dp + f p \, db -
    f p \, da`: the score is the first term only.
    """
    del ends
    return log_prob


def _fixed_jvp(primals, tangents):
    log_prob_dot, ends_dot = tangents
    if not all(map(_is_zero, ends_dot)):
        raise ValueError(
            "`ScoreFunction` has no gradient for a parameter that moves the support of "
            "its distribution, such as a bound: the score knows nothing of a moving "
            "end, and is not 0 on average there. `Pathwise` has one, without "
            '`sticking_the_landing` and with `gradient="standard"`.'
        )
    if _is_zero(log_prob_dot):
        log_prob_dot = jnp.zeros_like(primals[0])
    return fixed(*primals), log_prob_dot


fixed.defjvp(_fixed_jvp, symbolic_zeros=True)


def _is_zero(tangent):
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero)
