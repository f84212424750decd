"""Densities of transformed values, from the values before: they do not saturate."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.nn import log_sigmoid
from numpyro.distributions import transforms
from numpyro.distributions.util import sum_rightmost

from ._structure import Distribution


class Step(NamedTuple):
    """One transform of a chain, with its value before and after."""

    transform: Any
    before: jax.Array
    after: jax.Array
    intermediates: Any


def push(law: Distribution, value: jax.Array) -> list[Step]:
    """Takes a draw of the base of a transformed law through its transforms."""
    steps = []
    for part in parts(law.transforms):  # pyright: ignore[reportAttributeAccessIssue]
        after, intermediates = part.call_with_intermediates(value)
        steps.append(Step(part, value, after, intermediates))
        value = after
    return steps


def parts(chain: list[Any]) -> list[Any]:
    """The single transforms of a chain, which may be nested."""
    flat = []
    for transform in chain:
        if isinstance(transform, transforms.ComposeTransform):
            flat += parts(list(transform.parts))
        elif isinstance(transform, transforms.IndependentTransform):
            flat += parts([transform.base_transform])
        else:
            flat.append(transform)
    return flat


def hold(steps: list[Step], after: jax.Array) -> list[Step]:
    """The same steps, with the derivatives of a chain that ends at a given value.

    The values before it move with the parameters of the transforms.
    """
    held = []
    for step in reversed(steps):
        before = _pull(step.transform, lax.stop_gradient(step.before), after)
        held.append(Step(step.transform, before, after, None))
        after = before
    return held[::-1]


def _pull(transform, before, after):
    if transform.domain.event_dim == 0 and not jax.tree.leaves(transform):
        return _preimage(transform, before, after)
    inverse = transform.inv(after)
    moved = inverse - lax.stop_gradient(inverse)
    return before + jnp.where(jnp.isfinite(inverse), moved, 0)


# dx = dy / T'(x), with the slope from its logarithm. A value that does not move must
# not turn into NaN where the slope underflows.
def _preimage(transform, before, after):
    most = np.log(jnp.finfo(before.dtype).max) - 1

    @jax.custom_jvp
    def preimage(before, after):
        del after
        return before

    @preimage.defjvp
    def _jvp(primals, tangents):
        before = preimage(*primals)
        log_slope = transform.log_abs_det_jacobian(before, primals[1])
        inverse_slope = transform.sign * jnp.exp(jnp.minimum(-log_slope, most))
        return before, inverse_slope * tangents[1]

    return preimage(before, after)


def sum_log_dets(steps: list[Step], event_dim: int) -> tuple[jax.Array | float, int]:
    """Adds up the logs of the determinants of all steps.

    Args:
      steps: in the order of the transforms.
      event_dim: of the result of the last.

    Returns:
      The sum, without the axes of the event, and the number of those axes before the
      first step.
    """
    total: jax.Array | float = 0.0
    for step in reversed(steps):
        extra = event_dim - step.transform.codomain.event_dim
        total = total + sum_rightmost(_log_det(*step), extra)
        event_dim = step.transform.domain.event_dim + extra
    return total, event_dim


def _log_det(transform, before, after, intermediates):
    if isinstance(transform, transforms._InverseTransform):
        return -_log_det(transform._inv, after, before, None)
    formula = _LOG_DETS.get(type(transform))
    if formula is not None:
        return formula(transform, before)
    return transform.log_abs_det_jacobian(before, after, intermediates)


# NumPyro divides the value after by that before: 0 / 0 or inf / inf in the tails.
def _power(transform, before):
    slope = jnp.log(jnp.abs(jnp.asarray(transform.exponent)))
    return slope + (transform.exponent - 1) * jnp.log(before)


# The product of y_k sigmoid(-x_k), with y_k = sigmoid(x_k) times the stick left,
# prod_{j < k} sigmoid(-x_j), which NumPyro takes from its rounded value.
def _stick_breaking(transform, before):
    del transform
    size = before.shape[-1]
    shifted = before - jnp.log(size - jnp.arange(size, dtype=before.dtype))
    broken, left = log_sigmoid(shifted), log_sigmoid(-shifted)
    counts = jnp.arange(size, 0, -1, dtype=before.dtype)
    return jnp.sum(broken + counts * left, -1)


_LOG_DETS = {
    transforms.PowerTransform: _power,
    transforms.StickBreakingTransform: _stick_breaking,
}
