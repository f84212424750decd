"""Gradient estimators of a discrete latent, at equal cost, some with a state."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal, get_args

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import optax
from flax import nnx

import reparam_jax as rj

from . import _runs
from ._discrete_model import DiscreteVae

Name = Literal[
    "score_function",
    "moving_average",
    "leave_one_out",
    "arm",
    "disarm",
    "rebar",
    "relax",
    "straight_through",
    "relaxed",
    "measure_valued",
    "enumerate",
    "vimco",
]
NAMES: tuple[Name, ...] = get_args(Name)
MOST_OUTCOMES = 4096
CONTROL_WIDTH = 32


@dataclasses.dataclass(frozen=True)
class Estimator:
    """One of the library's estimators, as it is.

    Args:
      num_samples: independent estimates of each image in a step.
      evaluations: of the decoder that these take.
      rule: the library's estimator.
      objective: of the signature of ``rj.elbo``.
    """

    num_samples: int
    evaluations: int
    rule: Any = None
    objective: Callable[..., jax.Array] = rj.elbo
    tuning: ClassVar[int] = 0
    """Further evaluations, for each image, that train the estimator itself."""

    def init(self, key: jax.Array) -> Any:
        """Makes the first state, a tree of arrays, from one key."""
        del key
        return {}

    def rule_at(self, state: Any, images: jax.Array) -> Any:
        """Gives the library's estimator at a state, for a batch of images."""
        del state, images
        return self.rule

    def bounds(
        self, key: jax.Array, state: Any, vae: DiscreteVae, images: jax.Array
    ) -> jax.Array:
        """Estimates the bound of each image in nats, of shape (batch,)."""
        return self.objective(
            key,
            vae.log_likelihood,
            vae.guide(images),
            images,
            prior=vae.prior(),
            num_samples=self.num_samples,
            estimator=self.rule_at(state, images),
        )

    def update(
        self,
        key: jax.Array,
        state: Any,
        vae: DiscreteVae,
        images: jax.Array,
        bounds: jax.Array,
    ) -> Any:
        """Gives the state after a step that estimated these bounds."""
        del key, vae, images, bounds
        return state


class MovingAverage(Estimator):
    """The score function, less the average log-likelihood of earlier steps."""

    baseline: ClassVar = rj.moving_average_baseline(decay=0.99)

    def init(self, key):
        """Starts with nothing seen."""
        del key
        return self.baseline.init()

    def rule_at(self, state, images):
        """Subtracts the average so far."""
        del images
        return rj.ScoreFunction(baseline=state.value)

    def update(self, key, state, vae, images, bounds):
        """Counts the log-likelihoods in: the bounds, without their divergence."""
        del key
        divergence = dist.kl_divergence(vae.guide(images), vae.prior())
        return self.baseline.update(state, bounds + divergence)


@dataclasses.dataclass(frozen=True)
class Tuned(Estimator):
    """An estimator whose own parameters descend on the variance of the gradient.

    Args:
      optimizer: of these parameters.
      params: makes the first ones from a key.
      make: makes the library's estimator from them and a batch of images.
      cost: evaluations of the decoder by one estimate.
    """

    optimizer: Any = None
    params: Any = None
    make: Any = None
    cost: int = 1

    @property
    def tuning(self):
        """One estimate, of each image in a step."""
        return self.cost

    def init(self, key):
        """Makes the first parameters, and the state of their optimiser."""
        params = self.params(key)
        return {"params": params, "opt_state": self.optimizer.init(params)}

    def rule_at(self, state, images):
        """Gives the library's estimator at its parameters."""
        return self.make(state["params"], images)

    def update(self, key, state, vae, images, bounds):
        """Takes one step down the second moment of the gradient for the logits."""
        del bounds
        guide = vae.guide(images)

        def second_moment(params):
            return rj.gradient_second_moment(
                key,
                vae.log_likelihood,
                guide,
                images,
                estimator=self.make(params, images),
            )

        slopes = jax.grad(second_moment)(state["params"])
        updates, opt_state = self.optimizer.update(slopes, state["opt_state"])
        params = optax.apply_updates(state["params"], updates)
        return {"params": params, "opt_state": opt_state}


class ControlVariate(nnx.Module):
    """Predicts the log-likelihood of an image from its continuous latent.

    Args:
      num_inputs: pixels of an image, and logits of its latent.
      rngs: an ``nnx.Rngs`` for the initial parameters.
    """

    def __init__(self, num_inputs: int, *, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(num_inputs, CONTROL_WIDTH, rngs=rngs)
        self.readout = nnx.Linear(CONTROL_WIDTH, 1, rngs=rngs)

    def __call__(self, draws: jax.Array, images: jax.Array) -> jax.Array:
        """Maps draws and images of one batch to numbers, of shape (batch,)."""
        parts = jax.nn.sigmoid(draws), images
        flat = jnp.concatenate([part.reshape(len(part), -1) for part in parts], -1)
        return self.readout(jnp.tanh(self.hidden(flat)))[:, 0]


def make_estimator(
    name: Name,
    *,
    evaluations: int,
    logits_shape: tuple[int, ...],
    num_pixels: int,
    temperature: float,
    learning_rate: float,
) -> Estimator:
    """Makes an estimator that spends at most so many evaluations, or one estimate.

    Args:
      name: one of ``NAMES``.
      evaluations: of the decoder, for each image in a step.
      logits_shape: of one image: (latents,) of bits, (latents, classes) of categories.
      num_pixels: of one image.
      temperature: of ``relaxed``, and the first one of ``rebar``.
      learning_rate: of the parameters that ``rebar`` and ``relax`` train.

    Returns:
      The estimator.

    Raises:
      OptionsError: ``enumerate`` has too many outcomes to add up.
    """

    def counted(cost, least=1):
        count = max(evaluations // cost, least)
        return count, count * cost

    match name:
        case "score_function":
            return Estimator(*counted(1), rule=rj.ScoreFunction())
        case "moving_average":
            return MovingAverage(*counted(1))
        case "leave_one_out":
            rule = rj.ScoreFunction(baseline="leave_one_out")
            return Estimator(*counted(1, least=2), rule=rule)
        case "arm":
            return Estimator(*counted(2), rule=rj.ARM())
        case "disarm":
            return Estimator(*counted(2), rule=rj.DisARM())
        case "straight_through":
            return Estimator(*counted(1), rule=rj.StraightThrough())
        case "relaxed":
            return Estimator(*counted(1), rule=rj.Relaxed(temperature))
        case "measure_valued":
            cost = 1 + math.prod(logits_shape)
            return Estimator(*counted(cost), rule=rj.MeasureValued())
        case "enumerate":
            outcomes = _count_outcomes(logits_shape)
            return Estimator(1, outcomes, rule=rj.Enumerate())
        case "vimco":
            return Estimator(*counted(1, least=2), objective=rj.vimco)
        case "rebar":
            parts = _rebar(temperature)
            cost = 3
        case "relax":
            parts = _relax(num_pixels + math.prod(logits_shape))
            cost = 1
    params, make = parts
    return Tuned(
        *counted(cost),
        optimizer=optax.adam(learning_rate),
        params=params,
        make=make,
        cost=cost,
    )


def _count_outcomes(logits_shape):
    latents, num_classes = (*logits_shape, 2)[:2]
    outcomes = num_classes**latents
    if outcomes > MOST_OUTCOMES:
        raise _runs.OptionsError(
            "`enumerate` runs the decoder on every outcome of the latent at once, "
            f"{MOST_OUTCOMES} at most: {latents} variables of {num_classes} values "
            f"have {outcomes:.3g}. Choose fewer `--latents`, or another estimator."
        )
    return outcomes


def _rebar(temperature):
    def params(key):
        del key
        return {"log_temperature": jnp.log(temperature), "scale": jnp.ones(())}

    def make(params, images):
        del images
        return rj.Rebar(jnp.exp(params["log_temperature"]), params["scale"])

    return params, make


def _relax(num_inputs):
    def control(key):
        return ControlVariate(num_inputs, rngs=nnx.Rngs(key))

    graphdef = nnx.graphdef(nnx.eval_shape(control, jax.random.key(0)))

    def control_variate(params, draws):
        weights, images = params
        return nnx.merge(graphdef, weights)(draws, images)

    def make(weights, images):
        return rj.Relax(control_variate, (weights, images))

    return lambda key: nnx.state(control(key)), make
