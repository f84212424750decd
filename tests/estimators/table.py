"""The estimators, a row each: general properties are tested on every row.

``python -m tests.estimators.table`` prints the README's table.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist

import reparam_jax as rj


@dataclasses.dataclass(frozen=True)
class Row:
    """One estimator, for one kind of distribution.

    Args:
      shown: how it is made, for the README.
      estimator: the estimator.
      law: a batch of parameters to the distribution.
      gradient: unbiased or not, for the README.
      needs: what it needs of the distribution, for the README.
      evaluations: of the cost for each sample, for the README.
      order: how often it may be differentiated.
      num_samples: as given to the expectation.
      relaxed: whether the cost sees one-hot vectors for categories.
      drawn_by_jax: whether the draw does not know explicit axes of a mesh.
    """

    shown: str
    estimator: Any
    law: Callable
    gradient: str
    needs: str
    evaluations: str
    order: float = 1
    num_samples: int = 2
    relaxed: bool = False
    drawn_by_jax: bool = False

    @property
    def title(self) -> str:
        return f"{self.shown} {type(self.law(jnp.zeros((8, 3)))).__name__}"


def normals(x):
    return dist.Normal(x, jnp.exp(0.3 * x)).to_event(1)


def bits(x):
    return dist.Bernoulli(logits=x).to_event(1)


def category(x):
    return dist.Categorical(logits=x)


def one_hot(x):
    return dist.Multinomial(total_count=1, logits=x)


UNBIASED, BIASED = "unbiased", "biased"
ANY, PATH = "a log-probability", "a sampler or CDF here"
BITS = "Bernoulli, categorical"
EVERY = math.inf

TABLE = (
    Row("Auto()", rj.Auto(), bits, UNBIASED, "any of these", "as used", EVERY),
    Row("Pathwise()", rj.Pathwise(), normals, UNBIASED, PATH, "1", EVERY),
    Row("ScoreFunction()", rj.ScoreFunction(), normals, UNBIASED, ANY, "1", EVERY),
    Row(
        'ScoreFunction(baseline="leave_one_out")',
        rj.ScoreFunction(baseline="leave_one_out"),
        bits,
        UNBIASED,
        ANY,
        "1, for at least 2 samples",
        EVERY,
    ),
    Row(
        "Enumerate()",
        rj.Enumerate(),
        bits,
        "exact",
        "few outcomes",
        "one for each outcome",
        EVERY,
    ),
    Row(
        "Quadrature()",
        rj.Quadrature(num_points=4),
        normals,
        "exact for polynomials of low degree",
        "few normal, uniform or exponential draws",
        "one for each node",
        EVERY,
    ),
    Row(
        "MeasureValued()",
        rj.MeasureValued(),
        normals,
        UNBIASED,
        "normal, gamma, Poisson, Bernoulli, categorical",
        "1, and 1 to 4 for each number",
    ),
    Row("ARM()", rj.ARM(), bits, UNBIASED, BITS, "2"),
    Row("DisARM()", rj.DisARM(), bits, UNBIASED, BITS, "2"),
    Row("DisARM()", rj.DisARM(), category, UNBIASED, BITS, "2"),
    Row("Rebar()", rj.Rebar(), bits, UNBIASED, BITS, "3", relaxed=True),
    Row(
        "Relax(control_variate, params)",
        rj.Relax(lambda params, z: jnp.tanh(z) @ params, jnp.ones(3)),
        bits,
        UNBIASED,
        BITS,
        "1, and the control variate",
        relaxed=True,
    ),
    Row(
        "StraightThrough()",
        rj.StraightThrough(),
        one_hot,
        BIASED,
        BITS,
        "1",
        EVERY,
        relaxed=True,
        drawn_by_jax=True,
    ),
    Row(
        "Relaxed(temperature)",
        rj.Relaxed(0.7),
        category,
        BIASED,
        BITS,
        "1",
        EVERY,
        relaxed=True,
    ),
)


def unique_rows():
    return {row.shown: row for row in reversed(TABLE)}


def print_table():
    print("| `rj.` | gradient | needs | costs for each sample | orders |")
    print("|---|---|---|---|---|")
    for row in dict.fromkeys(row.shown for row in TABLE):
        row = unique_rows()[row]
        order = "every" if row.order == EVERY else "first"
        print(
            f"| `{row.shown}` | {row.gradient} | {row.needs} | {row.evaluations} | "
            f"{order} |"
        )


if __name__ == "__main__":
    print_table()
