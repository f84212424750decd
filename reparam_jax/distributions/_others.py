"""Laws of one value, of a copula, and of a path through time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import lax

from reparam_jax import _checks
from reparam_jax import noise as noise_room
from reparam_jax.samplers._implicit import implicit

from ._laws import cdf, has_cdf
from ._log_prob import log_prob
from ._path import Find, Maker, Path, batch_shape_of
from ._quantiles import quantile


def _delta(law: Any, find: Find) -> Path:
    del find

    def draw(key, shape):
        _checks.check_key("sample", key)
        return jnp.zeros(shape, bool)

    def at(base):
        return jnp.broadcast_to(law.v, base.shape)

    return Path(draw, at)


# A sum of exponential variables, cut off, without parameters.
def _polya_gamma(law: Any, find: Find) -> Path:
    del find
    dtype = jnp.result_type(float)
    rates = 2 * np.square(np.pi * np.arange(0.5, law.num_gamma_variates))

    def draw(key, shape):
        key = _checks.check_key("sample", key)
        return noise_room.exponential(key, (*shape, rates.size), dtype)

    def at(noise):
        return jnp.minimum(noise @ (1 / rates).astype(dtype), law.truncation_point)

    return Path(draw, at)


# Each coordinate lies where the marginal law has the probability that the normal one
# has: F(x; theta) - Phi(z) stays 0.
def _copula(law: Any, find: Find) -> Path | None:
    normals, marginal = find(law.base_dist), law.marginal_dist
    if normals is None or not has_cdf(marginal):
        return None

    def at(base):
        with jax.numpy_rank_promotion("allow"):
            probability = jax.scipy.special.ndtr(normals.at(base))

            def at_place(values):
                below = cdf(marginal, values) - probability
                return below, log_prob(marginal, values)

            low, high = _ends(marginal, probability)
            places = quantile(
                lambda values: cdf(marginal, values), probability, low, high
            )
            return implicit(places, at_place)

    return Path(normals.draw, at)


def _ends(law, like):
    """The ends of the support of a law of numbers."""
    info = jnp.finfo(like.dtype)
    support = law.support
    low = getattr(support, "lower_bound", -info.max)
    high = getattr(support, "upper_bound", info.max)
    return jnp.asarray(low, like.dtype), jnp.asarray(high, like.dtype)


# Euler's steps from a first value, one normal variable for each.
def _stochastic_process(law: Any, find: Find) -> Path | None:
    first = find(law.init_dist)
    if first is None:
        return None
    event_ndim = law.init_dist.event_dim

    def draw(key, shape):
        key_first, key_noise = jax.random.split(_checks.check_key("sample", key))
        batch = batch_shape_of(law, shape)
        value = shape[len(batch) + 1 :]
        steps = (shape[len(batch)] - 1, *batch, *value)
        dtype = jnp.result_type(float)
        return first.draw(key_first, (*batch, *value)), noise_room.normal(
            key_noise, steps, dtype
        )

    def at(base):
        drawn, noise = base
        with jax.numpy_rank_promotion("allow"):
            start = first.at(drawn)
            batch = start.shape[: start.ndim - event_ndim]
            times = jnp.broadcast_to(law.t, (*batch, law.t.shape[-1]))
            drift_and_diffusion = law.sde_fn
            for _ in batch:
                drift_and_diffusion = jax.vmap(drift_and_diffusion)

            def step(value, given):
                noise, time, width = given
                drift, diffusion = drift_and_diffusion(value, time)
                width = jnp.expand_dims(width, tuple(range(-event_ndim, 0)))
                value = value + width * drift + jnp.sqrt(width) * diffusion * noise
                return value, value

            times = jnp.moveaxis(times, -1, 0)
            given = noise, times[:-1], jnp.diff(times, axis=0)
            _, values = lax.scan(step, start, given)
            return jnp.moveaxis(jnp.concatenate([start[None], values]), 0, len(batch))

    return Path(draw, at)


MAKERS: dict[type, Maker] = {
    dist.Delta: _delta,
    dist.TruncatedPolyaGamma: _polya_gamma,
    dist.GaussianCopula: _copula,
    dist.EulerMaruyama: _stochastic_process,
}
