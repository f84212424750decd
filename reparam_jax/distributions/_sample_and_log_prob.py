"""Draws with their log-densities, from the values before they saturate."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dists
from jax import lax
from numpyro.distributions.util import sum_rightmost

from reparam_jax import _checks

from . import _transforms
from ._log_prob import inside, log_prob
from ._paths import find_path, path_of
from ._structure import flatten, unwrap
from ._values import draw_values


def sample_and_log_prob(
    key: jax.Array,
    dist: Any,
    sample_shape: tuple[int, ...] = (),
    *,
    reparameterized: bool = True,
) -> tuple[Any, Any]:
    r"""Draws from a NumPyro distribution, with the log-density of each draw.

    For a transformed distribution, of :math:`z = T(x)` with x from the base, it is

    .. math:: \log p(z) = \log p_x(x) - \log | \det \partial T / \partial x |

    at the value x before the transform. No inverse is taken, so it stays finite and
    precise where z is rounded to the end of its range.

    Args:
      key: one key from ``jax.random.key``. Used once.
      dist: a NumPyro distribution, or a tree (tuple, list, dict, ...) of independent
        ones.
      sample_shape: shape of the independent draws of each distribution.
      reparameterized: whether draws and densities carry the pathwise gradient. If not,
        draws carry none, and densities carry the score, of discrete distributions too.

    Returns:
      ``(draws, log_prob)``, each in the tree of ``dist``: draws of shape ``sample_shape
      + dist.shape()``, the same as those of :func:`sample` with the key, and their
      log-densities in nats, of shape ``sample_shape + dist.batch_shape``. Add up those
      of several distributions for the joint density. Masked elements have log-density
      0.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, ``dist`` holds something other than
        distributions, or ``reparameterized`` is true for one whose draws have no
        gradient here.
      ValueError: ``key`` is a batch of keys, or a concrete parameter lies outside its
        domain.

    Gradient:
      ``reparameterized=True``: exact and pathwise for all parameters, of both results,
      to the orders and in the modes of :func:`sample`.
      ``reparameterized=False``: that of the log-density at a fixed draw, the score,
      exact for all parameters to every order of the density; unbiased for 0. Transforms
      that hold parameters move the value before them.
      Densities are NumPyro's but for those whose derivatives are wrong or not finite
      there, as at logits of 0. Probabilities of a categorical distribution count as
      normalized by their sum.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> import numpyro.distributions as dist
      >>> policy = dist.TransformedDistribution(
      ...   dist.Normal(jnp.full(3, 20.0), 1.0), dist.transforms.SigmoidTransform())
      >>> action, log_prob = rj.sample_and_log_prob(jax.random.key(0), policy)
      >>> bool(jnp.all((action > 0.999) & (10 < log_prob) & (log_prob < 30)))
      True
    """
    function = "sample_and_log_prob"
    key = _checks.check_key(function, key)
    sample_shape = _checks.check_shape(function, sample_shape=sample_shape)
    leaves, structure = flatten(function, dist)
    if reparameterized:
        for leaf in leaves:
            path_of(function, leaf)
    keys = [key] if len(leaves) == 1 else jax.random.split(key, len(leaves))
    draws, terms = [], []
    for leaf_key, leaf in zip(keys, leaves, strict=True):
        shape = (*sample_shape, *leaf.shape())
        with jax.numpy_rank_promotion("allow"):
            base = _draw(leaf_key, leaf, shape)
            draw = _at(leaf, base)
            draw = draw if reparameterized else lax.stop_gradient(draw)
            held = None if reparameterized else draw
            draws.append(draw)
            terms.append(_log_prob(leaf, base, shape, None, held))
    return structure.unflatten(draws), structure.unflatten(terms)


def _draw(key, law, shape):
    """All the randomness: base draws of a path, or draws where there is none."""
    path = find_path(law)
    if path is not None:
        return path.draw(key, shape)
    core: Any = unwrap(law)
    if _is_chain(core):
        return _draw(key, core.base_dist, _base_shape(core, shape))
    return draw_values(key, core.expand(shape[: len(shape) - core.event_dim]))


def _at(law, base):
    path = find_path(law)
    if path is not None:
        return path.at(base)
    core: Any = unwrap(law)
    if _is_chain(core):
        return _transforms.push(core, _at(core.base_dist, base))[-1].after
    return base


def _is_chain(law: Any) -> bool:
    return type(law) is dists.TransformedDistribution


def _base_shape(law, shape):
    return (*shape[: len(shape) - law.event_dim], *law.base_dist.event_shape)


def _log_prob(law, base, shape, keep, held):
    """The log-density of the draw at given base draws.

    Args:
      law: a distribution.
      base: from ``_draw``.
      shape: of the samples, the batch and the event.
      keep: what masks around the law leave, of the batch's rank at most; or ``None``.
      held: the draw, where it does not move with the parameters; or ``None``.
    """
    if isinstance(law, dists.Independent):
        axes = law.reinterpreted_batch_ndims
        if keep is not None:
            keep = jnp.reshape(keep, (*keep.shape, *(1,) * axes))
        return sum_rightmost(_log_prob(law.base_dist, base, shape, keep, held), axes)
    if isinstance(law, dists.ExpandedDistribution):
        return _log_prob(law.base_dist, base, shape, keep, held)
    if isinstance(law, dists.MaskedDistribution):
        mask = jnp.asarray(law._mask)
        keep = mask if keep is None else keep & mask
        terms = _log_prob(law.base_dist, base, shape, keep, held)
        return jnp.where(mask, terms, 0)
    batch = shape[: len(shape) - law.event_dim]
    if _has_value_before(law):
        terms = _from_before(law, base, shape, keep, held)
    else:
        draw = _at(law, base) if held is None else held
        terms = log_prob(law, _replace(law, draw, keep, len(batch)), masked=True)
    return jnp.broadcast_to(terms, batch)


def _from_before(law, base, shape, keep, held):
    """The log-density of a transformed law, at the value before the transforms."""
    below, inner = law.base_dist, _base_shape(law, shape)
    start = _at(below, base)
    start = start if held is None else lax.stop_gradient(start)
    batch_ndim = len(shape) - law.event_dim
    steps = _transforms.push(law, _replace(below, start, keep, batch_ndim))
    if held is not None:
        end = lax.stop_gradient(steps[-1].after)
        steps = _transforms.hold(steps, _where(keep, held, end, batch_ndim))
        held = steps[0].before
    log_dets, event_dim = _transforms.sum_log_dets(steps, law.event_dim)
    terms = _log_prob(below, base, inner, keep, held)
    return sum_rightmost(terms, event_dim - below.event_dim) - log_dets


def _replace(law, value, keep, batch_ndim):
    """Puts a value of the support where a mask discards it.

    What is discarded may have an infinite derivative, and 0 times that is NaN.
    """
    if keep is None:
        return value
    return _where(keep, value, inside(law, value), batch_ndim)


def _where(keep, value, other, batch_ndim):
    if keep is None:
        return value
    keep = jnp.reshape(keep, (*keep.shape, *(1,) * (value.ndim - batch_ndim)))
    return jnp.where(keep, value, other)


# A subclass may be drawn in a way of its own; from the same noise, its draw is still
# the transform of that of its base.
def _has_value_before(law):
    if type(law).log_prob is not dists.TransformedDistribution.log_prob:
        return False
    if _is_chain(law):
        return True
    path, below = find_path(law), find_path(law.base_dist)
    if path is None or below is None or path.noise is None:
        return False
    return path.noise is below.noise and path.dtype == below.dtype
