"""The table of relaxations: noise, parameters, an independent oracle, bad values."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

import reparam_jax as rj

# Of all draws in the tests; classes last.
SHAPE = (8, 3)


@dataclasses.dataclass(frozen=True, eq=False)
class Member:
    """One relaxation, with its options.

    Args:
      title: of the test cases.
      name: the function; ``{name}_from_noise`` is its twin.
      noise: the law of the noise.
      soft: ``(noise, **parameters)`` in NumPy, whose gradient the draw has; of complex
        parameters too, so that a step along the imaginary axis gives derivatives.
      hard: ``(noise, **parameters)`` in NumPy, the draw itself where that differs.
      options: keyword arguments.
      twin_options: those of the twin; ``None`` where it cannot do the same.
      event_ndim: 1 where classes lie along the last axis.
      bad: name of a parameter, and a value outside its domain.
    """

    title: str
    name: str
    noise: str
    soft: Callable[..., Any]
    hard: Callable[..., Any] | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    twin_options: Mapping[str, Any] | None = dataclasses.field(default_factory=dict)
    parameters: tuple[str, ...] = ("logits", "temperature")
    event_ndim: int = 0
    bad: tuple[tuple[str, float], ...] = ()

    def draw(self, key, parameters, **options):
        function = getattr(rj.relaxations, self.name)
        return function(key, **parameters, **self.options, **options)

    def from_noise(self, noise, parameters, **options):
        function = getattr(rj.relaxations, f"{self.name}_from_noise")
        return function(noise, **parameters, **self.twin_options, **options)

    def given(self, dtype=np.float32):
        """Parameters for ``SHAPE``."""
        rng = np.random.default_rng(7)
        values = {
            "logits": 2 * rng.normal(size=SHAPE),
            "temperature": np.geomspace(0.2, 5, SHAPE[0])[:, None],
            "stretch_low": np.array(-0.2),
            "stretch_high": np.array(1.3),
        }
        return {name: values[name].astype(dtype) for name in self.parameters}

    def draw_noise(self, key, dtype=jnp.float32):
        return getattr(rj.noise, self.noise)(key, SHAPE, dtype)


def softmax(noise, logits, temperature=1.0):
    return np.exp(log_softmax(noise, logits, temperature))


def log_softmax(noise, logits, temperature=1.0):
    scores = (logits + noise) / temperature
    top = np.argmax(scores.real, -1, keepdims=True)
    scores = scores - np.take_along_axis(scores, top, -1)
    return scores - np.log(np.sum(np.exp(scores), -1, keepdims=True))


def sigmoid(noise, logits, temperature=1.0):
    return 1 / (1 + np.exp(-(logits + noise) / temperature))


def gate(noise, logits, temperature, stretch_low, stretch_high):
    stretched = stretch_low + (stretch_high - stretch_low) * sigmoid(
        noise, logits, temperature
    )
    inside = (stretched.real > 0) & (stretched.real < 1)
    return np.where(inside, stretched, stretched.real >= 1)


def one_hot(noise, logits, temperature=1.0):
    del temperature
    scores = logits + noise
    return (scores == scores.max(-1, keepdims=True)).astype(float)


def is_positive(noise, logits, temperature=1.0):
    del temperature
    return (logits + noise > 0).astype(float)


BAD_TEMPERATURES = (
    ("temperature", 0.0),
    ("temperature", -1.0),
    ("temperature", np.nan),
)
BAD_ROWS = (("logits", np.nan), ("logits", np.inf))
BAD_LOGITS = (("logits", np.nan),)

TABLE = [
    Member(
        "gumbel_softmax",
        "gumbel_softmax",
        "gumbel",
        softmax,
        event_ndim=1,
        bad=(*BAD_ROWS, *BAD_TEMPERATURES),
    ),
    Member(
        "gumbel_softmax-hard",
        "gumbel_softmax",
        "gumbel",
        softmax,
        one_hot,
        options={"hard": True},
        twin_options={"hard": True},
        event_ndim=1,
        bad=(*BAD_ROWS, *BAD_TEMPERATURES),
    ),
    Member(
        "gumbel_softmax-rao_blackwell",
        "gumbel_softmax",
        "gumbel",
        softmax,
        one_hot,
        options={"hard": True, "rao_blackwell_samples": 3},
        twin_options=None,
        event_ndim=1,
        bad=(*BAD_ROWS, *BAD_TEMPERATURES),
    ),
    Member(
        "log_gumbel_softmax",
        "log_gumbel_softmax",
        "gumbel",
        log_softmax,
        event_ndim=1,
        bad=(*BAD_ROWS, *BAD_TEMPERATURES),
    ),
    Member(
        "relaxed_bernoulli",
        "relaxed_bernoulli",
        "logistic",
        sigmoid,
        bad=(*BAD_LOGITS, *BAD_TEMPERATURES),
    ),
    Member(
        "relaxed_bernoulli-hard",
        "relaxed_bernoulli",
        "logistic",
        sigmoid,
        is_positive,
        options={"hard": True},
        twin_options={"hard": True},
        bad=(*BAD_LOGITS, *BAD_TEMPERATURES),
    ),
    Member(
        "logit_relaxed_bernoulli",
        "logit_relaxed_bernoulli",
        "logistic",
        lambda noise, logits, temperature: (logits + noise) / temperature,
        bad=(*BAD_LOGITS, *BAD_TEMPERATURES),
    ),
    Member(
        "hard_concrete",
        "hard_concrete",
        "logistic",
        gate,
        parameters=("logits", "temperature", "stretch_low", "stretch_high"),
        bad=(*BAD_LOGITS, *BAD_TEMPERATURES),
    ),
    Member(
        "straight_through",
        "straight_through",
        "gumbel",
        lambda noise, logits: softmax(0 * noise, logits),
        one_hot,
        parameters=("logits",),
        event_ndim=1,
        bad=BAD_ROWS,
    ),
    Member(
        "straight_through-bernoulli",
        "straight_through",
        "logistic",
        lambda noise, logits: sigmoid(0 * noise, logits),
        is_positive,
        options={"event_ndim": 0},
        twin_options={"event_ndim": 0},
        parameters=("logits",),
        bad=BAD_LOGITS,
    ),
]

# Whose programs are tested at every change.
LEADERS = {"gumbel_softmax-hard"}
