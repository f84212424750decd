r"""Score-function gradients with a control variate of continuous draws.

For a discrete draw :math:`b = H(z)` of a continuous :math:`z`, and :math:`\tilde z`
from the law of :math:`z` given :math:`b`, the estimate for logits :math:`l` is

.. math:: (f(b) - c(\tilde z)) \, d_l \log p(b) + d_l c(z) - d_l c(\tilde z).
"""

import abc
import functools
from collections.abc import Callable

import jax
import jax.extend
import jax.numpy as jnp

from ._attach import first_order
from ._costs import Costs, Values, spread, sum_events
from ._estimator import Estimator
from ._thresholds import Threshold, threshold_of


class ControlVariate(Estimator):
    """What Rebar and Relax share; they differ in the control variate."""

    def draw_leaf(self, key, leaf, num_samples):
        return threshold_of(type(self).__name__, leaf).draw(key, num_samples)

    @abc.abstractmethod
    def control_variate_at(
        self, costs: Costs, laws: list[Threshold], points: Values
    ) -> jax.Array:
        """Evaluates :math:`c` at rows of continuous draws, one array for each leaf."""

    def estimates(self, costs, leaves, draws):
        laws = [threshold_of(type(self).__name__, leaf) for leaf in leaves]
        hard = [law.hard(draw) for law, draw in zip(laws, draws, strict=True)]
        values = costs([law.as_value(b) for law, b in zip(laws, hard, strict=True)])

        def terms(logits):
            here = [law.at(given) for law, given in zip(laws, logits, strict=True)]
            rows = list(zip(here, hard, draws, strict=True))
            log_probs = [
                spread(sum_events(law.log_prob(b), leaf), values)
                for (law, b, _), leaf in zip(rows, leaves, strict=True)
            ]
            pairs = [jnp.stack([law.free(n), law.given(b, n)]) for law, b, n in rows]
            # One call for both, under vmap: a key that the cost closes over is used
            # once, and every value keeps its rows.
            control = jax.vmap(lambda z: self.control_variate_at(costs, laws, z))(pairs)
            return sum(log_probs[1:], log_probs[0]), control[0], control[1]

        return attach(values, terms, [law.logits for law in laws])


def attach(costs: jax.Array, terms: Callable, logits: list[jax.Array]) -> jax.Array:
    r"""Returns the costs, with the derivative of an estimate with a control variate.

    .. math:: df + (f - \tilde c) \, d_l \log p + d_l c - d_l \tilde c

    where only :math:`f` is differentiated for all else than the logits: the others have
    mean zero there. The derivative for the logits can be differentiated for all else;
    a second derivative that takes the logits last raises.

    Args:
      costs: :math:`f`, of shape (n, *shape).
      terms: ``logits -> (log_prob, c, c_tilde)``, each broadcasting with the costs.
      logits: of each leaf.
    """
    function, constants = _hoist(terms, logits)
    return _attach(function, costs, logits, constants)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _attach(function, costs, logits, constants):
    del function, logits, constants
    return costs


def _attach_jvp(function, primals, tangents):
    costs, logits, constants = primals
    costs_dot, logits_dot, _ = tangents
    zero = jax.custom_derivatives.SymbolicZero
    if isinstance(costs_dot, zero):
        costs_dot = jnp.zeros_like(costs)
    else:
        # The derivative of f'(b) for the logits is missing: one that raises.
        for parameter in logits:
            costs_dot *= first_order(jnp.ones_like(costs), parameter)
    # In a gradient of the control variate of other leaves the logits stand still, and
    # must not count as differentiated twice.
    if not all(isinstance(dot, zero) for dot in logits_dot):
        logits_dot = [
            jnp.zeros_like(parameter) if isinstance(dot, zero) else dot
            for parameter, dot in zip(logits, logits_dot, strict=True)
        ]
        once = [first_order(parameter, parameter) for parameter in logits]
        (_, _, given), (log_prob_dot, free_dot, given_dot) = jax.jvp(
            functools.partial(function, constants), (once,), (logits_dot,)
        )
        slope = (costs - given) * log_prob_dot + (free_dot - given_dot)
        costs_dot += slope.astype(costs.dtype)
    return _attach(function, *primals), costs_dot


_attach.defjvp(_attach_jvp, symbolic_zeros=True)


def _hoist(function, *args):
    """Returns the function with what it closes over as its first argument.

    A derivative rule must not close over traced arrays. Keys are cloned wherever they
    are passed on: the costs at hard and at continuous draws may share randomness on
    purpose.
    """
    program, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
    structure = jax.tree.structure(shapes)

    def call(constants, *args):
        closed = program.replace(consts=_clone_keys(constants))
        leaves = jax.extend.core.jaxpr_as_fun(closed)(*jax.tree.leaves(args))
        return structure.unflatten(leaves)

    return call, _clone_keys(program.consts)


def _clone_keys(constants):
    def is_key(constant):
        return jnp.issubdtype(constant.dtype, jax.dtypes.prng_key)

    return [jax.random.clone(x) if is_key(x) else x for x in constants]
