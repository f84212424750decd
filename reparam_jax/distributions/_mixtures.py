"""Mixtures, with gradients for the weights and for the components."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax import lax
from jax.scipy.special import ndtr
from jax.scipy.stats import norm

from reparam_jax import _checks, _domains
from reparam_jax.samplers import _mixture

from ._discrete import categorical_logits
from ._generic import is_mixed
from ._laws import cdf, has_cdf
from ._log_prob import log_prob
from ._path import Find, Maker, Path, batch_shape_of
from ._structure import Distribution, unwrap

# From draws, the distribution functions and log-densities of their coordinates, each
# given those before it; coordinates are along one last axis where there are any.
Conditionals = Callable[[jax.Array], tuple[jax.Array, jax.Array]]


def _same_family(law: Any, find: Find) -> Path | None:
    components = law.component_distribution
    path, conditionals = find(components), _conditionals(components)
    if path is None or conditionals is None:
        return None

    def draw(key, batch, event):
        return path.at(path.draw(key, (*batch, law.mixture_size, *event)))

    def law_at(draws):
        return conditionals(jnp.expand_dims(draws, -1 - bool(law.event_dim)))

    return _path(law, draw, law_at)


def _general(law: Any, find: Find) -> Path | None:
    components = law.component_distributions
    found = [find(component) for component in components]
    paths = [path for path in found if path is not None]
    laws = [_conditionals(component) for component in components]
    each = [conditionals for conditionals in laws if conditionals is not None]
    if not len(paths) == len(each) == len(components):
        return None

    def draw(key, batch, event):
        keys = jax.random.split(key, len(paths))
        draws = [
            path.at(path.draw(key, (*batch, *event)))
            for key, path in zip(keys, paths, strict=True)
        ]
        return jnp.stack(draws, len(batch))

    def law_at(draws):
        values = [conditionals(draws) for conditionals in each]
        axis = draws.ndim - bool(law.event_dim)
        return tuple(jnp.stack(parts, axis) for parts in zip(*values, strict=True))

    return _path(law, draw, law_at)


def _path(law, draw_components, law_at):
    event_ndim = int(bool(law.event_dim))
    logits = categorical_logits(law.mixing_distribution)
    assert logits is not None

    def draw(key, shape):
        key = _checks.check_key("sample", key)
        key_choice, key_components = jax.random.split(key)
        batch, event = batch_shape_of(law, shape), shape[len(shape) - law.event_dim :]
        components = lax.stop_gradient(draw_components(key_components, batch, event))
        components = components.reshape(*batch, law.mixture_size, *_flat(event))
        scores = logits.astype(components.dtype)
        drawn, *_ = _mixture.choose(key_choice, scores, components, event_ndim)
        return drawn.reshape(shape)

    def at(base):
        batch = batch_shape_of(law, base.shape)
        event = base.shape[len(batch) :]
        flat = base.reshape(*batch, *_flat(event))
        with jax.numpy_rank_promotion("allow"):
            weights = jnp.broadcast_to(logits, (*batch, law.mixture_size))
            weights = weights.astype(base.dtype)
            draws = _mixture.at(flat, weights, law_at, event_ndim)
        valid = _mixture.LOGITS.holds(weights)
        valid = jnp.expand_dims(valid, tuple(range(-law.event_dim, 0)))
        draws = draws.reshape(base.shape)
        return _domains.poison(draws, jnp.broadcast_to(valid, base.shape))

    return Path(draw, at)


def _flat(event):
    return (-1,) if event else ()


def _conditionals(component: Distribution) -> Conditionals | None:
    core = unwrap(component)
    if isinstance(core, dist.MultivariateNormal | dist.LowRankMultivariateNormal):
        return _of_normals(core) if component.event_dim == 1 else None
    if is_mixed(core) or not has_cdf(core):
        return None
    event = component.event_shape

    def conditionals(draws):
        draws = draws.reshape(*draws.shape[: draws.ndim - len(event[:1])], *event)
        below, log_density = (
            x.reshape(*x.shape[: x.ndim - len(event)], *_flat(event))
            for x in _inside(core, draws)
        )
        return below, log_density

    return conditionals


def _inside(law, draws):
    """Distribution function and log-density, also outside of the support."""
    support = law.support
    place = support.feasible_like(draws)
    inside = support(draws)
    inner = jnp.where(inside, draws, place)
    below = jnp.where(inside, cdf(law, inner), jnp.where(draws > place, 1, 0))
    return below, jnp.where(inside, log_prob(law, inner), -jnp.inf)


# With z = mu + L e, coordinate d given those before is normal around what they say, and
# e_d is its standardised value.
def _of_normals(law):
    def conditionals(draws):
        if isinstance(law, dist.LowRankMultivariateNormal):
            factor = lax.linalg.cholesky(jnp.asarray(law.covariance_matrix))
        else:
            factor = law.scale_tril
        shape = jnp.broadcast_shapes(draws.shape[:-1], law.batch_shape)
        dim = draws.shape[-1]
        factor = jnp.broadcast_to(factor, (*shape, dim, dim))
        centred = jnp.broadcast_to(draws - law.loc, (*shape, dim))
        noise = lax.linalg.triangular_solve(
            factor, centred[..., None], left_side=True, lower=True
        )[..., 0]
        scale = jnp.diagonal(factor, axis1=-2, axis2=-1)
        return ndtr(noise), norm.logpdf(noise) - jnp.log(scale)

    return conditionals


MAKERS: dict[type, Maker] = {
    dist.MixtureSameFamily: _same_family,
    dist.MixtureGeneral: _general,
}
