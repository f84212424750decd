"""A model and its guide: the terms of a bound at given draws."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from reparam_jax import _checks
from reparam_jax._meshes import place
from reparam_jax.distributions._discrete import categorical_logits
from reparam_jax.distributions._log_prob import log_prob
from reparam_jax.distributions._outcomes import count_outcomes, outcomes, probabilities
from reparam_jax.distributions._structure import Distribution, flatten, unwrap
from reparam_jax.distributions._support import moving_ends
from reparam_jax.estimators._attach import fixed
from reparam_jax.estimators._costs import make_costs
from reparam_jax.estimators._grid import MOST_POINTS

from ._divergence import unmasked


class Model:
    """What an objective is of: the joint density, the guide, and perhaps the prior.

    Args:
      name: of the objective, for its errors.
      log_joint_fn: ``(draw, *args)`` to the log-density of data and draw; with a prior,
        to that of the data given the draw.
      guide: a distribution, or a tree of independent ones.
      prior: ``None``, or a tree like the guide's.
    """

    def __init__(self, name: str, log_joint_fn: Callable, guide: Any, prior: Any):
        self.name = name
        self._log_joint_fn = log_joint_fn
        self.leaves, self.structure = flatten(name, guide)
        self.priors: list[Any] = [None] * len(self.leaves)
        if prior is not None:
            self.priors = self._check_prior(prior)

    def log_weight(self, draw: Any, *args: Any, held: bool = False, without=()):
        """The log-density of the joint over that of the guide, at one draw.

        Args:
          draw: in the tree of the guide.
          *args: of ``log_joint_fn``.
          held: whether the parameters in the guide's density count as constants.
          without: places of leaves whose own terms are left out.

        Returns:
          An array of shape (), or of the guide's batch.
        """
        log_joint = self._check_joint(self._log_joint_fn(draw, *args))
        values = self.structure.flatten_up_to(draw)
        for index, (leaf, value) in enumerate(zip(self.leaves, values, strict=True)):
            if index in without:
                continue
            one_hot = jnp.ndim(value) > len(leaf.shape())
            if not one_hot:
                value = possible(leaf, value)
            if held:
                own = held_density(leaf, value, one_hot=one_hot)
                # What is left out, the score, is 0 on average unless the support moves.
                own = fixed(own, moving_ends(leaf))
            else:
                own = density(leaf, value, one_hot=one_hot)
            term = -own
            prior = self.priors[index]
            if prior is not None:
                if one_hot and categorical_logits(prior) is None:
                    raise TypeError(self._needs_categories(prior))
                term = term + density(prior, value, one_hot=one_hot)
            log_joint = log_joint + at_shape(log_joint.shape, term)
        return log_joint

    def make_log_weights(self, args: tuple, **options: Any):
        """Returns log-weights as a function of the values of all leaves, many draws."""

        def one(draw, *args):
            return self.log_weight(draw, *args, **options)

        return make_costs(one, self.structure, self.leaves, args)

    def _check_joint(self, log_joint):
        dtype = getattr(log_joint, "dtype", type(log_joint))
        if dtype is not float and not _is_float(dtype):
            raise TypeError(
                f"`{self.name}` needs real log-densities from `log_joint_fn`, got "
                f"{getattr(dtype, '__name__', dtype)}."
            )
        log_joint = jnp.asarray(log_joint)
        shapes = {leaf.batch_shape for leaf in self.leaves}
        if log_joint.shape != () and shapes != {log_joint.shape}:
            listed = " and ".join(map(str, sorted(shapes)))
            raise ValueError(
                f"`{self.name}` needs `log_joint_fn` to return one log-density for "
                f"each example, of the guide's batch shape {listed}, or one number for "
                f"all: got {log_joint.shape}. Turn axes of a draw that belong to one "
                "example into its event with `guide.to_event(...)`; where parts of the "
                "guide serve several examples, return the sum."
            )
        return log_joint

    def _needs_categories(self, prior):
        return (
            f"`{self.name}` needs a categorical prior where the estimator draws "
            "one-hot vectors for the categories of the guide, got "
            f"{type(unwrap(prior)).__name__}: use `dist.Categorical`, or an estimator "
            "that draws indices, such as `rj.ScoreFunction()`."
        )

    def _check_prior(self, prior):
        leaves, structure = flatten(self.name, prior)
        if structure != self.structure:
            raise ValueError(
                f"`{self.name}` needs a prior in the tree of the guide, "
                f"{self.structure}, got {structure}."
            )
        for own, leaf in zip(leaves, self.leaves, strict=True):
            if own.event_shape != leaf.event_shape or not _checks.broadcasts_to(
                own.batch_shape, leaf.batch_shape
            ):
                raise ValueError(
                    f"`{self.name}` needs a prior of the guide's event shape, "
                    f"{leaf.event_shape}, whose batch broadcasts to {leaf.batch_shape}:"
                    f" got event {own.event_shape} and batch {own.batch_shape}. "
                    "`.expand(...)` and `.to_event(...)` shape it."
                )
        return leaves


def density(law: Distribution, value: jax.Array, *, one_hot: bool) -> jax.Array:
    """The log-density, of the batch's shape, in which masked elements count 0.

    Args:
      law: of the draw, or what broadcasts to that.
      value: the draw.
      one_hot: whether it has one-hot vectors for categories, where the law has indices:
        so some estimators draw it.
    """
    if not one_hot:
        return log_prob(law, value, masked=True)
    logits: Any = categorical_logits(law)
    kept = unmasked(law)
    with jax.numpy_rank_promotion("allow"):
        absent = (value == 0) & jnp.isneginf(logits)
        terms = jnp.sum(value * jnp.where(absent, 0, logits), -1)
        terms = terms if kept is None else jnp.where(kept, terms, 0)
    return jnp.sum(terms, tuple(range(-law.event_dim, 0)))


def held_density(law: Distribution, value: jax.Array, *, one_hot: bool) -> jax.Array:
    """The log-density, differentiated for the value alone.

    Not for the law's parameters, nor for what its transforms close over, such as the
    networks of flows.
    """
    law = hold(law)
    function, hidden = jax.closure_convert(
        lambda value: density(law, value, one_hot=one_hot), value
    )
    return function(value, *map(lax.stop_gradient, hidden))


def possible(law: Distribution, value: jax.Array) -> jax.Array:
    """Puts the most probable outcome in the place of one that cannot be drawn.

    Such outcomes have weight 0 where outcomes are summed, as a few are; their
    log-probability would make that 0 * inf, and so would its derivative.
    """
    count = count_outcomes(law)
    if count is None or count > MOST_POINTS:
        return value
    impossible = jnp.isneginf(density(hold(law), value, one_hot=False))
    points, chances = jnp.asarray(outcomes(law)), probabilities(law)

    def replace(value, impossible, points, chances):
        best = points[jnp.argmax(chances, 0)].astype(value.dtype)
        mask = impossible.reshape(impossible.shape + (1,) * law.event_dim)
        best, mask = (jnp.broadcast_to(x, value.shape) for x in (best, mask))
        return jnp.where(mask, best, value)

    # JAX cannot place the choice of a point on explicit axes.
    sharding = jax.typeof(value).sharding
    return place(replace, value, impossible, points, chances, out_sharding=sharding)


def hold(law: Distribution) -> Distribution:
    """Returns the law with parameters that are not differentiated."""
    return jax.tree.map(lax.stop_gradient, law)


def parameters(leaves: list[Distribution]) -> list[jax.Array]:
    """Returns all that can be differentiated in the laws."""
    arrays = [jnp.asarray(leaf) for leaf in jax.tree.leaves(leaves)]
    return [leaf for leaf in arrays if jnp.issubdtype(leaf.dtype, jnp.inexact)]


def _is_float(dtype):
    return isinstance(dtype, np.dtype) and jnp.issubdtype(dtype, jnp.floating)


def at_shape(shape: tuple[int, ...], term: jax.Array) -> jax.Array:
    """Adds a term up for a bound of all examples together, of shape ()."""
    return jnp.sum(term) if shape == () else jnp.broadcast_to(term, shape)
