"""Every public function, its gradient, and every layer lower for GPU and for TPU."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import reparam_jax as rj
from tests.hlo import CIPHER
from tests.ulps import ulps

PLATFORMS = ("cuda", "tpu")
SHAPE = (2, 16, 16, 8)
MEAN, VAR = jnp.zeros(SHAPE), jnp.ones(SHAPE)


def sampled(**scales):
    """A draw and its gradients for every parameter, as functions of arrays."""

    def draw(parameters, key):
        return rj.normal(key, **parameters)

    parameters = {"mean": MEAN} | scales
    return draw, parameters


def given_noise():
    def draw(parameters, key):
        del key
        return rj.normal_from_noise(**parameters)

    return draw, {"noise": MEAN, "mean": MEAN, "var": VAR}


def noise_of(function):
    def draw(parameters, key):
        noise = function(key, SHAPE)
        return noise.astype(jnp.float32) * parameters["scale"]

    return draw, {"scale": VAR}


def layer(make, *inputs):
    """A layer's forward pass, as a function of its parameters, inputs and key."""
    graph, params, rest = nnx.split(make(rngs=nnx.Rngs(0)), nnx.Param, ...)

    def forward(parameters, key):
        module = nnx.merge(graph, parameters["params"], rest)
        takes_rngs = "rngs" in inspect.signature(type(module).__call__).parameters
        options = {"rngs": key} if takes_rngs else {}
        out = module(*parameters["inputs"], **options)
        return sum(out) if isinstance(out, tuple) else out

    return forward, {"params": params, "inputs": inputs}


def gaussian_head(rngs):
    return rj.layers.GaussianHead(8, 2, rngs=rngs)


def stochastic_conv(rngs):
    return rj.layers.StochasticConv(8, 4, (3, 3), rngs=rngs)


# For each public name: what to lower. `validation` switches Python code, not programs.
CASES = {
    "normal": [sampled(var=VAR), sampled(std=VAR), sampled(log_var=MEAN)],
    "normal_from_noise": [given_noise()],
    "validation": [],
    "noise.bits": [noise_of(rj.noise.bits)],
    "noise.uniform": [noise_of(rj.noise.uniform)],
    "noise.normal": [noise_of(rj.noise.normal)],
    "layers.Sample": [layer(rj.layers.Sample, MEAN, VAR)],
    "layers.GaussianHead": [layer(gaussian_head, MEAN)],
    "layers.StochasticConv": [layer(stochastic_conv, MEAN, VAR)],
}
DRAWS_NOTHING = ("normal_from_noise", "layers.GaussianHead")


def public_names():
    for name, value in vars(rj).items():
        if name.startswith("_"):
            continue
        if not inspect.ismodule(value):
            yield name
        elif f"from . import {name} as {name}" in inspect.getsource(rj):
            members = [member for member in vars(value) if not member.startswith("_")]
            for member in members:
                if not inspect.ismodule(getattr(value, member)):
                    yield f"{name}.{member}"


def test_every_public_name_is_listed_here():
    assert set(public_names()) == CASES.keys()


@pytest.mark.parametrize(
    ("name", "draw", "parameters"),
    [(name, *case) for name, cases in CASES.items() for case in cases],
)
def test_value_and_gradient_lower_for_gpu_and_tpu(name, draw, parameters):
    def loss(parameters, key):
        value = draw(parameters, key)
        return jnp.sum(value**2), value

    program = jax.jit(jax.value_and_grad(loss, has_aux=True))
    exported = jax.export.export(program, platforms=PLATFORMS)(
        parameters, jax.random.key(0)
    )
    assert exported.platforms == PLATFORMS
    shapes = [aval.shape for aval in exported.out_avals]
    leaves = jax.tree.leaves(parameters)
    assert shapes[2:] == [leaf.shape for leaf in leaves]
    text = exported.mlir_module()
    assert (f"dense<{CIPHER}>" in text) is (name not in DRAWS_NOTHING)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_program_lowers_for_one_platform_alone(platform):
    gradient = jax.jit(jax.grad(lambda m, v, k: jnp.sum(rj.normal(k, m, v)), (0, 1)))
    traced = gradient.trace(MEAN, VAR, jax.random.key(0))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert f"dense<{CIPHER}>" in text
    assert "optimization_barrier" in text


def test_a_whole_training_step_lowers():
    class Network(nnx.Module):
        def __init__(self, rngs):
            self.head = rj.layers.GaussianHead(8, 8, rngs=rngs)
            self.conv = rj.layers.StochasticConv(8, 1, (3, 3), rngs=rngs)

        def __call__(self, images):
            return jnp.mean(self.conv(*self.head(images)), axis=(1, 2, 3))

    graph, params, rest = nnx.split(Network(nnx.Rngs(0)), nnx.Param, ...)
    optimizer = optax.adam(1e-3)

    @jax.jit
    def step(params, moments, rest, images, targets):
        def loss(params):
            model = nnx.merge(graph, params, rest, copy=True)
            return jnp.mean((model(images) - targets) ** 2), nnx.state(
                model, nnx.RngState
            )

        (value, rest_), slopes = jax.value_and_grad(loss, has_aux=True)(params)
        updates, moments = optimizer.update(slopes, moments)
        return optax.apply_updates(params, updates), moments, rest_, value

    arguments = params, optimizer.init(params), rest, MEAN, jnp.zeros(2)
    exported = jax.export.export(step, platforms=PLATFORMS)(*arguments)
    text = exported.mlir_module()
    assert f"dense<{CIPHER}>" in text
    # Forward, and backward for both operands.
    assert text.count("stablehlo.convolution") >= 3


def test_a_symbolic_batch_exports_with_its_gradient():
    (batch,) = jax.export.symbolic_shape("batch")
    array = jax.ShapeDtypeStruct((batch, *SHAPE[1:]), jnp.float32)
    key = jax.ShapeDtypeStruct((), jax.random.key(0).dtype)

    def loss(mean, var, key):
        draw = rj.normal(key, mean, var)
        return jnp.sum(draw), draw

    program = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
    platforms = ("cpu", *PLATFORMS)
    exported = jax.export.export(program, platforms=platforms)(array, array, key)
    (for_mean, for_var), draw = exported.call(MEAN, VAR, jax.random.key(0))
    noise = jax.random.normal(jax.random.key(0), SHAPE)
    # Of unknown size, noise is drawn by `jax.random`, and rounded a little otherwise.
    assert ulps(draw, np.asarray(noise)) <= 3
    assert ulps(for_var, np.asarray(noise) / 2) <= 3
    np.testing.assert_array_equal(for_mean, 1)
