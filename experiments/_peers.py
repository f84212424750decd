"""The programs to time: draws and a network, here and as users of others write them."""

import dataclasses
import functools
import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

import reparam_jax as rj

from ._shapes import OURS, SHAPES

OPTIONAL = ("numpyro", "torch")
# Only the nightly build imports on current JAX; its JAX side needs no TensorFlow.
TFP = "tensorflow_probability"
DRAW, GRADIENT = "draw", "draw and gradient"
FORWARD, BACKWARD = "forward", "forward and backward"

Programs = dict[str, Callable[[], object]]


class UnknownSamplerError(ValueError):
    """The library has no sampler of that name."""


@dataclasses.dataclass(frozen=True)
class Law:
    """What a sampler draws, and how others write it.

    Attributes:
      values: of the parameters, in the sampler's order.
      jax_random: the lines on ``jax.random``: key and parameters to a draw.
      distribution: the class, where NumPyro and torch have it.
      arguments: its arguments, from ``jnp`` or ``torch`` and the parameters.
    """

    values: tuple[float, ...]
    jax_random: Callable[..., jax.Array]
    distribution: str
    arguments: Callable[..., tuple] = lambda _, *parameters: parameters


def _kumaraswamy(key, concentration1, concentration0):
    uniform = random.uniform(key, concentration1.shape)
    return (1 - uniform ** (1 / concentration0)) ** (1 / concentration1)


LAWS: Mapping[str, Law] = {
    "normal": Law(
        (0.5, 2.0),
        lambda key, mean, var: mean + jnp.sqrt(var) * random.normal(key, mean.shape),
        "Normal",
        lambda xp, mean, var: (mean, xp.sqrt(var)),
    ),
    "laplace": Law(
        (0.5, 2.0),
        lambda key, loc, scale: loc + scale * random.laplace(key, loc.shape),
        "Laplace",
    ),
    "logistic": Law(
        (0.5, 2.0),
        lambda key, loc, scale: loc + scale * random.logistic(key, loc.shape),
        "Logistic",
    ),
    "gumbel": Law(
        (0.5, 2.0),
        lambda key, loc, scale: loc + scale * random.gumbel(key, loc.shape),
        "Gumbel",
    ),
    "cauchy": Law(
        (0.5, 2.0),
        lambda key, loc, scale: loc + scale * random.cauchy(key, loc.shape),
        "Cauchy",
    ),
    "uniform": Law(
        (0.5, 2.0),
        lambda key, low, high: random.uniform(key, low.shape, minval=low, maxval=high),
        "Uniform",
    ),
    "log_normal": Law(
        (0.5, 0.8),
        lambda key, loc, scale: jnp.exp(loc + scale * random.normal(key, loc.shape)),
        "LogNormal",
    ),
    "half_normal": Law(
        (2.0,),
        lambda key, scale: scale * jnp.abs(random.normal(key, scale.shape)),
        "HalfNormal",
    ),
    "half_cauchy": Law(
        (2.0,),
        lambda key, scale: scale * jnp.abs(random.cauchy(key, scale.shape)),
        "HalfCauchy",
    ),
    "exponential": Law(
        (2.0,),
        lambda key, rate: random.exponential(key, rate.shape) / rate,
        "Exponential",
    ),
    "weibull": Law(
        (2.0, 1.5),
        lambda key, scale, concentration: random.weibull_min(
            key, scale, concentration, scale.shape
        ),
        "Weibull",
    ),
    "pareto": Law(
        (2.0, 3.0),
        lambda key, scale, concentration: (
            scale * random.pareto(key, concentration, scale.shape)
        ),
        "Pareto",
    ),
    "kumaraswamy": Law((2.0, 3.0), _kumaraswamy, "Kumaraswamy"),
    "rayleigh": Law(
        (2.0,),
        lambda key, scale: random.rayleigh(key, scale, scale.shape),
        "Rayleigh",
    ),
}


def existing() -> list[str]:
    """Returns the names of laws that the library has samplers for."""
    return [name for name in (*LAWS, *SHAPES) if hasattr(rj, name)]


def check(sampler: str) -> None:
    """Refuses names the library has no sampler for.

    Args:
      sampler: a name.

    Raises:
      UnknownSamplerError: it is not in :func:`existing`.
    """
    if sampler not in existing():
        raise UnknownSamplerError(
            f"No sampler `{sampler}` to time. There are: {', '.join(existing())}."
        )


def installed(library: str) -> bool:
    """Returns whether ``library`` can be imported."""
    return importlib.util.find_spec(library) is not None


def libraries(samplers: Sequence[str] = ()) -> tuple[str, ...]:
    """Returns the names of the libraries that are peers of some samplers."""
    has_shapes = any(sampler in SHAPES for sampler in samplers)
    return (*OPTIONAL, *[TFP] * has_shapes)


def missing(samplers: Sequence[str] = ()) -> list[str]:
    """Returns the names of the peers of some samplers that are not installed."""
    return [library for library in libraries(samplers) if not installed(library)]


def jax_draws(sampler: str) -> dict[str, Callable[..., jax.Array]]:
    """Returns the draws of each peer written in JAX, from key and parameters.

    Args:
      sampler: a name in :data:`LAWS`.

    Returns:
      Functions by peer, ours first.
    """
    law = LAWS[sampler]
    draws = {OURS: getattr(rj, sampler, None), "jax.random": law.jax_random}
    if distribution := _distribution("numpyro", law):
        draws["numpyro"] = lambda key, *parameters: distribution(
            *law.arguments(jnp, *parameters)
        ).sample(key)
    return {peer: draw for peer, draw in draws.items() if draw}


def draw_programs(sampler: str, job: str, size: int) -> Programs:
    """Returns what each peer runs to draw from one law.

    Args:
      sampler: a name in :data:`LAWS`.
      job: ``DRAW``, or ``GRADIENT`` for the sum of the draw's squares and its
        gradients for all parameters.
      size: elements of the draw and of every parameter.

    Returns:
      Argument-free functions by peer, ours first.
    """
    law = LAWS[sampler]
    parameters = [np.full(size, value, np.float32) for value in law.values]
    programs: Programs = {}
    for peer, draw in jax_draws(sampler).items():
        program = jax.jit({DRAW: draw, GRADIENT: with_gradient(draw)}[job])
        arguments = map(jnp.asarray, parameters)
        programs[peer] = functools.partial(program, random.key(0), *arguments)
    if distribution := _distribution("torch", law):
        torch = importlib.import_module("torch")
        tensors = [torch.tensor(x, requires_grad=job == GRADIENT) for x in parameters]

        def draw():
            return distribution(*law.arguments(torch, *tensors)).rsample()

        programs["torch"] = {
            DRAW: draw,
            GRADIENT: lambda: _torch_gradient(draw(), tensors),
        }[job]
    return programs


def network_programs(job: str, size: int) -> Programs:
    """Returns what each peer runs for the README's network, and its convolution alone.

    Args:
      job: ``FORWARD``, for a draw and its convolution, or ``BACKWARD``, for the sum of
        the output's squares and its gradients for all inputs and the kernel.
      size: height and width of the input.

    Returns:
      Argument-free functions by peer, ours first.
    """
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(1, size, size, 16)).astype(np.float32)
    var = rng.uniform(1, 9, mean.shape).astype(np.float32)
    kernel = rng.normal(scale=1 / 12, size=(3, 3, 16, 32)).astype(np.float32)
    programs: Programs = {}
    for peer, draw, inputs in (
        (OURS, rj.normal, (mean, var)),
        ("jax.random", LAWS["normal"].jax_random, (mean, var)),
        ("jax, convolution alone", lambda _, mean: mean, (mean,)),
    ):
        program = _jax_network(draw)
        program = jax.jit({FORWARD: program, BACKWARD: with_gradient(program)}[job])
        arguments = map(jnp.asarray, (kernel, *inputs))
        programs[peer] = functools.partial(program, random.key(0), *arguments)
    if installed("torch"):
        torch = importlib.import_module("torch")
        for peer, draw, inputs in (
            ("torch", _torch_normal, (mean, var)),
            ("torch, convolution alone", lambda mean: mean, (mean,)),
        ):
            nchw = [np.moveaxis(x, 3, 1) for x in inputs]
            tensors = [
                torch.tensor(np.ascontiguousarray(x), requires_grad=job == BACKWARD)
                for x in (kernel.transpose(3, 2, 0, 1), *nchw)
            ]
            programs[peer] = functools.partial(_torch_network, draw, job, tensors)
    return programs


def _distribution(library, law):
    if not installed(library):
        return None
    module = importlib.import_module(f"{library}.distributions")
    return getattr(module, law.distribution, None)


def with_gradient(draw: Callable[..., jax.Array]) -> Callable:
    """Returns the sum of a draw's squares, with its gradients for all parameters."""

    def loss(parameters, key):
        return jnp.sum(jnp.square(draw(key, *parameters)))

    return lambda key, *parameters: jax.value_and_grad(loss)(parameters, key)


def _torch_gradient(draw, tensors):
    loss = draw.square().sum()
    return loss, importlib.import_module("torch").autograd.grad(loss, tensors)


def _jax_network(draw):
    def network(key, kernel, *inputs):
        return jax.lax.conv_general_dilated(
            draw(key, *inputs),
            kernel,
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    return network


def _torch_normal(mean, var):
    torch = importlib.import_module("torch")
    return mean + torch.sqrt(var) * torch.randn_like(mean)


def _torch_network(draw, job, tensors):
    torch = importlib.import_module("torch")
    kernel, *inputs = tensors
    output = torch.nn.functional.conv2d(draw(*inputs), kernel, padding=1)
    return output if job == FORWARD else _torch_gradient(output, tensors)
