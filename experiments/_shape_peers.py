"""The peers of laws with a shape parameter: draws, and gradients draw by draw."""

import functools
import importlib
import inspect
import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from . import _peers
from ._peers import DRAW, GRADIENT
from ._shapes import OURS, SHAPES

APPROXIMATE, TFP = "jax.random, approximate", "tfp"
MODULES = {
    "numpyro": "numpyro.distributions",
    TFP: "tensorflow_probability.substrates.jax.distributions",
    "torch": "torch.distributions",
}
DRAWN, STATISTIC = "the draw", "the statistic"


def _distribution(peer, sampler):
    module = MODULES[peer]
    if not _peers.installed(module.split(".")[0]):
        return None
    with warnings.catch_warnings():  # TFP tells of functions that JAX lacks
        warnings.simplefilter("ignore")
        module = importlib.import_module(module)
    return getattr(module, SHAPES[sampler].distribution, None)


def jax_draws(sampler: str) -> dict[str, Callable[..., jax.Array]]:
    """Returns the draws of each peer written in JAX, from key and parameters.

    Args:
      sampler: a name in :data:`SHAPES`.

    Returns:
      Functions by peer, ours first.
    """
    law = SHAPES[sampler]
    draws = {OURS: law.ours}
    if law.jax_random:
        draws["jax.random"] = functools.partial(law.jax_random, "exact")
        has_methods = "method" in inspect.signature(random.gamma).parameters
        if has_methods and sampler != "truncated_normal":
            draws[APPROXIMATE] = functools.partial(law.jax_random, "approximate")
    for peer in ("numpyro", TFP):
        if distribution := _distribution(peer, sampler):
            draws[peer] = functools.partial(_draw_of_object, law, peer, distribution)
    return draws


def _draw_of_object(law, peer, distribution, key, *parameters):
    with warnings.catch_warnings():  # TFP asks for float64 on the way
        warnings.simplefilter("ignore")
        built = law.build(distribution, *parameters)
        draws = built.sample(seed=key) if peer == TFP else built.sample(key)
    return law.after(jnp, draws)


def differentiable(sampler: str, peer: str) -> bool:
    """Returns whether a peer's draws claim a gradient for the shape parameter.

    Args:
      sampler: a name in :data:`SHAPES`.
      peer: a name.

    Returns:
      Whether: NumPyro's and torch's flag, and yes for the others.
    """
    law = SHAPES[sampler]
    if peer == "numpyro":
        ones = [jnp.asarray(x) for x in law.parameters(np.ones(4, np.float32))]
    elif peer == "torch":
        ones = _tensors(sampler, np.ones(4, np.float32))
    else:
        return True
    return bool(law.build(_distribution(peer, sampler), *ones).has_rsample)


def _tensors(sampler, concentrations):
    torch = importlib.import_module("torch")
    parameters = SHAPES[sampler].parameters(concentrations)
    return [torch.tensor(x, requires_grad=True) for x in parameters]


def _torch_draw(sampler, tensors):
    law = SHAPES[sampler]
    built = law.build(_distribution("torch", sampler), *tensors)
    draw = built.rsample() if built.has_rsample else built.sample()
    return law.after(importlib.import_module("torch"), draw)


# Compiled once for all concentrations.
@functools.cache
def _jitted(sampler, job):
    return {
        peer: jax.jit({DRAW: draw, GRADIENT: _peers.with_gradient(draw)}[job])
        for peer, draw in jax_draws(sampler).items()
        if job == DRAW or differentiable(sampler, peer)
    }


def draw_programs(
    sampler: str, job: str, concentrations: np.ndarray
) -> dict[str, Callable[[], object]]:
    """Returns what each peer runs to draw from one law.

    Args:
      sampler: a name in :data:`SHAPES`.
      job: ``DRAW``, or ``GRADIENT`` for the sum of the draw's squares and its
        gradients for all parameters.
      concentrations: one for each element.

    Returns:
      Argument-free functions by peer, ours first.
    """
    parameters = SHAPES[sampler].parameters(concentrations)
    arguments = [jnp.asarray(x) for x in parameters]
    programs: dict[str, Callable[[], object]] = {
        peer: functools.partial(program, random.key(0), *arguments)
        for peer, program in _jitted(sampler, job).items()
    }
    if _distribution("torch", sampler) is None:
        return programs
    if job == DRAW or differentiable(sampler, "torch"):
        torch = importlib.import_module("torch")
        tensors = _tensors(sampler, concentrations)

        def draw():
            with torch.no_grad():
                return _torch_draw(sampler, tensors)

        def gradient():
            loss = _torch_draw(sampler, tensors).square().sum()
            return loss, torch.autograd.grad(loss, tensors)

        programs["torch"] = {DRAW: draw, GRADIENT: gradient}[job]
    return programs


def _of(sampler, quantity):
    law = SHAPES[sampler]
    if quantity == STATISTIC:
        return law.statistic
    return lambda xp, draws: law.pick(draws)


@functools.cache
def _slopes(sampler, quantity):
    def slopes_of(draw):
        def slopes(key, first, *others):
            def total(first):
                draws = draw(key, first, *others)
                return jnp.sum(_of(sampler, quantity)(jnp, draws)), draws

            return jax.grad(total, has_aux=True)(first)

        return jax.jit(slopes)

    draws = jax_draws(sampler).items()
    return {
        peer: slopes_of(draw) for peer, draw in draws if differentiable(sampler, peer)
    }


def gradients(
    sampler: str, quantity: str, concentrations: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns each peer's draws, and gradients draw by draw.

    Args:
      sampler: a name in :data:`SHAPES`.
      quantity: whose gradients: ``DRAWN``, of a vector its first element, or
        ``STATISTIC``.
      concentrations: one for each element.

    Returns:
      By peer with a gradient, draws and derivatives with the first parameter (of a
      vector, its first element).
    """
    law, results = SHAPES[sampler], {}
    arguments = [jnp.asarray(x) for x in law.parameters(concentrations)]
    for peer, slopes in _slopes(sampler, quantity).items():
        slope, draws = jax.device_get(slopes(random.key(1), *arguments))
        results[peer] = draws, law.pick(slope)
    if _distribution("torch", sampler) and differentiable(sampler, "torch"):
        torch = importlib.import_module("torch")
        tensors = _tensors(sampler, concentrations)
        draws = _torch_draw(sampler, tensors)
        total = _of(sampler, quantity)(torch, draws).sum()
        (slope,) = torch.autograd.grad(total, tensors[:1])
        results["torch"] = draws.detach().numpy(), law.pick(slope.numpy())
    return results
