"""Every public function, its gradient, and every layer lower for GPU and for TPU."""

import collections
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from flax import nnx

import reparam_jax as rj
from tests.estimators.table import TABLE as ESTIMATORS
from tests.hlo import CIPHER
from tests.relaxations.table import SHAPE as RELAXED
from tests.relaxations.table import TABLE as RELAXATIONS
from tests.samplers.table import TABLE
from tests.special.table import TABLE as FUNCTIONS
from tests.ulps import ulps

PLATFORMS = ("cuda", "tpu")
SHAPE = (4, 16, 16, 16)
MEAN, VAR = jnp.zeros(SHAPE), jnp.ones(SHAPE)


def sampled(row):
    """A draw, as a function of its parameters and a key."""

    def draw(parameters, key):
        return row.draw(key, parameters)

    return draw, row.spread(SHAPE)


def given_noise(row):
    def draw(arguments, key):
        del key
        return row.from_noise(arguments["noise"], arguments["parameters"])

    noise = jnp.ones((*SHAPE, *row.oracle.noise_shape))
    return draw, {"noise": noise, "parameters": row.spread(SHAPE)}


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
    return rj.layers.GaussianHead(16, 2, rngs=rngs)


def stochastic_conv(rngs):
    return rj.layers.StochasticConv(16, 4, (3, 3), rngs=rngs)


def coupled(coupling):
    return noise_of(functools.partial(coupling, rj.noise.logistic))


def samplers():
    cases = collections.defaultdict(list)
    for row in TABLE:
        cases[row.name].append(sampled(row))
        if row.noise:
            cases[f"{row.name}_from_noise"].append(given_noise(row))
    return dict(cases)


def noises():
    draws = {
        name: function
        for name, function in vars(rj.noise).items()
        if inspect.isfunction(function)
    }
    couplings = {name: draws.pop(name) for name in ("antithetic", "stratified")}
    return {f"noise.{name}": [noise_of(draw)] for name, draw in draws.items()} | {
        f"noise.{name}": [coupled(coupling)] for name, coupling in couplings.items()
    }


def special_functions():
    def case(function):
        def evaluate(parameters, key):
            del key
            return function(parameters)

        arguments = {
            name: jnp.full(SHAPE, value) for name, value in function.arguments.items()
        }
        return evaluate, arguments

    return {f"special.{function.name}": [case(function)] for function in FUNCTIONS}


def relaxations():
    def of_noise(member):
        def draw(arguments, key):
            del key
            return member.from_noise(arguments["noise"], arguments["parameters"])

        return draw, {"noise": jnp.ones(RELAXED), "parameters": member.given()}

    def of_key(member):
        return lambda parameters, key: member.draw(key, parameters), member.given()

    def of_draw(function):
        arguments = {"draw": jnp.ones(RELAXED), "parameters": jnp.ones(RELAXED)}

        def evaluate(arguments, key):
            del key
            return function(arguments["draw"], arguments["parameters"])

        return [(evaluate, arguments)]

    room = rj.relaxations
    cases = collections.defaultdict(list)
    for member in RELAXATIONS:
        cases[member.name].append(of_key(member))
        if member.twin_options is not None:
            cases[f"{member.name}_from_noise"].append(of_noise(member))
    functions = {
        "log_gumbel_softmax_log_prob": lambda x, y: room.log_gumbel_softmax_log_prob(
            x, y, 0.5
        ),
        "logit_relaxed_bernoulli_log_prob": lambda x, y: (
            room.logit_relaxed_bernoulli_log_prob(x, y, 0.5)
        ),
        "hard_concrete_nonzero_prob": lambda x, y: (
            x * room.hard_concrete_nonzero_prob(y)
        ),
        "saturated_fraction": lambda x, y: y * room.saturated_fraction(x),
    }
    cases |= {name: of_draw(function) for name, function in functions.items()}
    in_room = {f"relaxations.{name}": each for name, each in cases.items()}
    # The same functions under a shorter name.
    return in_room | {name: [] for name in cases if hasattr(rj, name)}


def estimated(row):
    def cost(draw):
        return jnp.cos(jnp.reshape(draw, (4, -1)).sum(-1))

    def mean(parameters, key):
        law, options = row.law(parameters["x"]), {"num_samples": row.num_samples}
        return rj.expectation(key, cost, law, estimator=row.estimator, **options)

    return mean, {"x": jnp.full((4, 3), 0.3)}


def estimators():
    cases = collections.defaultdict(list)
    for row in ESTIMATORS:
        cases[type(row.estimator).__name__].append(estimated(row))
    return dict(cases) | {"expectation": [estimated(ESTIMATORS[1])]}


def objective(function, **options):
    """Bounds of 64 latent numbers, as a function of their means and logits."""

    def model(draw):
        return -jnp.sum((draw["z"] + draw["bit"]) ** 2, -1)

    def bound(parameters, key):
        guide = {
            "z": dist.Normal(parameters["loc"], 0.5).to_event(1),
            "bit": dist.Bernoulli(logits=parameters["logits"]).to_event(1),
        }
        found = function(key, model, guide, **options)
        return found[0] if isinstance(found, tuple) else found

    return bound, {"loc": jnp.zeros((8, 8)), "logits": jnp.zeros((8, 8))}


def objectives():
    several = rj.iwae_bound, rj.vimco, rj.importance_sampled_log_likelihood
    cases = {each.__name__: [objective(each, num_samples=3)] for each in several}
    chunks = objective(several[-1], num_samples=3, chunk_size=2)
    cases[several[-1].__name__].append(chunks)
    cases["elbo"] = [objective(rj.elbo)]
    in_room = {f"objectives.{name}": [] for name in cases}
    return cases | in_room


def second_moment(temperature, key):
    law, estimator = dist.Bernoulli(logits=jnp.zeros(16)), rj.Rebar(temperature)
    return rj.gradient_second_moment(
        key, lambda bits: jnp.sum(bits) ** 2, law, estimator=estimator
    )


def numpyro_draw(parameters, key):
    return rj.sample(key, dist.StudentT(4.0, **parameters))


def numpyro_density(parameters, key):
    return rj.sample_and_log_prob(key, dist.StudentT(4.0, **parameters))[1]


def follow(parameters, key):
    init, update = rj.moving_average_baseline()
    del key
    return update(init(SHAPE), parameters["cost"]).value


# For each public name: what to lower. `validation` switches Python code, not programs.
CASES = {
    **samplers(),
    **noises(),
    **special_functions(),
    **estimators(),
    **objectives(),
    **relaxations(),
    "gradient_second_moment": [(second_moment, jnp.float32(0.5))],
    "moving_average_baseline": [(follow, {"cost": VAR})],
    "sample": [(numpyro_draw, {"loc": MEAN, "scale": VAR})],
    "sample_and_log_prob": [(numpyro_density, {"loc": MEAN, "scale": VAR})],
    "validation": [],
    "layers.Sample": [layer(rj.layers.Sample, MEAN, VAR)],
    "layers.GaussianHead": [layer(gaussian_head, MEAN)],
    "layers.StochasticConv": [layer(stochastic_conv, MEAN, VAR)],
}


WITHOUT_DRAWS = {
    "layers.GaussianHead",
    "Auto",  # of few outcomes
    "Enumerate",
    "Quadrature",
    "moving_average_baseline",
}


def draws_nothing(name):
    if name.startswith("special.") or name.endswith(
        ("softmax_log_prob", "bernoulli_log_prob", "nonzero_prob", "_fraction")
    ):
        return True
    return name.endswith("_from_noise") or name in WITHOUT_DRAWS


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
    assert (f"dense<{CIPHER}>" in text) is (not draws_nothing(name))


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
            self.head = rj.layers.GaussianHead(16, 16, rngs=rngs)
            self.conv = rj.layers.StochasticConv(16, 1, (3, 3), rngs=rngs)

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

    arguments = params, optimizer.init(params), rest, MEAN, jnp.zeros(4)
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
