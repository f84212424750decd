"""Mean and variance of gradient estimates on the regulator, against the exact one."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from ._policy_regulator import ARMS, Arm, make_setting
from ._regulator import Policy
from ._regulator_exact import exact_gradient
from ._seeds import over_seeds, place

# A bias is called seen beyond this many standard errors, and a bias of the declared
# size is missed with probability 1e-3: so far does a normal variable hardly ever fall.
NUM_ERRORS = 4.0
POWER_ERRORS = 3.09
# Beyond what the pilot's variance asks for, since that is an estimate.
MARGIN = 1.3
# Of the exact gradient: that for the gains, and that for the standard deviation.
PARTS = ("gains", "log_std")


class Moments(NamedTuple):
    """Of the estimates so far, in float64, one row a seed.

    Attributes:
      count: how many estimates of each seed.
      mean: of shape (seeds, numbers).
      squares: squared deviations from the mean, summed, of that shape.
    """

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray


def exact_numbers() -> np.ndarray:
    """What the numbers of :func:`make_measure` are on average, without bias.

    Returns:
      An array of shape (numbers,).
    """
    regulator, policy = make_setting()
    exact = exact_gradient(regulator, policy)
    return np.asarray(_numbers(exact, exact), np.float64)


def _numbers(grads: Policy, exact: Policy) -> jax.Array:
    """All elements, then for each part the length along the exact gradient over its."""
    along = [
        jnp.vdot(mine, truth) / jnp.vdot(truth, truth)
        for mine, truth in zip(grads, exact, strict=True)
    ]
    return jnp.concatenate([grads.gains.ravel(), grads.log_std, jnp.stack(along)])


def make_measure(arm: Arm, batch_size: int):
    """Makes ``(seed, index) -> (mean, squares)`` of a batch of estimates.

    Args:
      arm: the estimator.
      batch_size: estimates in a batch.

    Returns:
      The function, for one seed; ``jax.vmap`` has it for many.
    """
    regulator, policy = make_setting()
    exact = exact_gradient(regulator, policy)

    def measure(seed, index):
        key = jax.random.fold_in(jax.random.key(seed), index)

        def estimate(key):
            grads = jax.grad(arm.surrogate, argnums=1)(key, policy, regulator)
            return _numbers(grads, exact)

        numbers = jax.vmap(estimate)(jax.random.split(key, batch_size))
        mean = jnp.mean(numbers, 0)
        return mean, jnp.sum((numbers - mean[None]) ** 2, 0)

    return measure


def no_moments(num_seeds: int) -> Moments:
    """Before the first estimate.

    Args:
      num_seeds: how many rows.

    Returns:
      Zeros.
    """
    zeros = np.zeros((num_seeds, len(exact_numbers())))
    return Moments(np.zeros(()), zeros, zeros)


def add(moments: Moments, mean: np.ndarray, squares: np.ndarray, count: int) -> Moments:
    """Adds a batch to the moments.

    Args:
      moments: of the estimates so far.
      mean: of the batch.
      squares: squared deviations from that, summed.
      count: estimates in the batch.

    Returns:
      The moments of all.

    References:
      Chan, Golub, LeVeque. Updating formulae and a pairwise algorithm for computing
      sample variances. 1979.
    """
    mean, squares = np.asarray(mean, np.float64), np.asarray(squares, np.float64)
    total = moments.count + count
    gap = mean - moments.mean
    return Moments(
        total,
        moments.mean + gap * count / total,
        moments.squares + squares + gap**2 * moments.count * count / total,
    )


def pool(moments: Moments) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error over the estimates of all seeds.

    Args:
      moments: of the estimates.

    Returns:
      Two arrays of shape (numbers,).
    """
    seeds = len(moments.mean)
    var = moments.squares.sum(0) / (seeds * (moments.count - 1))
    return moments.mean.mean(0), np.sqrt(var / (seeds * moments.count))


def count_estimates(pilot: Moments, *, smallest_bias: float) -> int:
    r"""How many estimates see a bias of the declared size along the exact gradient.

    .. math:: n = (z_\alpha + z_\beta)^2 \, \mathrm{Var}(r) / \rho^2

    for the relative length r of an estimate, and the relative bias :math:`\rho`.

    Args:
      pilot: moments of some estimates.
      smallest_bias: :math:`\rho`.

    Returns:
      The number, of all seeds together.
    """
    _, errors = pool(pilot)
    var = errors[-len(PARTS) :].max() ** 2 * len(pilot.mean) * float(pilot.count)
    return math.ceil(MARGIN * (NUM_ERRORS + POWER_ERRORS) ** 2 * var / smallest_bias**2)


def judge(name: str, moments: Moments) -> dict:
    """Compares the estimates of one arm with the exact gradient.

    Args:
      name: of the arm.
      moments: of its estimates.

    Returns:
      ``bias`` and ``bias_error``, relative, along the exact gradient, for each part;
      ``worst_z``, the largest deviation of any element in standard errors;
      ``smallest_bias``, that would have been seen; ``relative_var``, the trace of the
      variance over the squared norm of the exact gradient, for each part and seed;
      ``steps_for_ten_percent``, the environment steps for a relative root mean square
      error of 0.1, likewise; ``None`` where a bias of that size forbids it.
    """
    exact = exact_numbers()
    mean, error = pool(moments)
    bias, bias_error = (mean - exact)[-len(PARTS) :], error[-len(PARTS) :]
    var = moments.squares / (moments.count - 1)
    size = make_setting()[1].gains.size
    elements = slice(0, size), slice(size, -len(PARTS))
    relative_var = np.stack(
        [var[:, part].sum(1) / (exact[part] ** 2).sum() for part in elements]
    )
    arm = ARMS[name]
    # What the bias leaves of the squared error.
    left = 0.01 - arm.is_biased * bias**2
    steps = [
        [
            arm.environment_steps * value / allowed if allowed > 0 else None
            for value in row
        ]
        for row, allowed in zip(relative_var.tolist(), left.tolist(), strict=True)
    ]
    return {
        "environment_steps": arm.environment_steps,
        "knows": arm.knows,
        "is_biased": arm.is_biased,
        "estimates": int(moments.count) * len(moments.mean),
        "bias": bias.tolist(),
        "bias_error": bias_error.tolist(),
        "worst_z": float(np.abs((mean - exact) / error).max()),
        "smallest_bias": float((NUM_ERRORS + POWER_ERRORS) * bias_error.max()),
        "relative_var": relative_var.tolist(),
        "steps_for_ten_percent": steps,
    }


class Measuring:
    """The calls that measure bias and variance, one arm after the other.

    Args:
      mesh: the devices.
      seeds: integers; the devices' number divides theirs.
      batch_size: estimates of each seed in one call.
      smallest_bias: relative, that must be seen.

    Attributes:
      count: how many calls there are.
      start: the first state, of no estimates.
    """

    def __init__(
        self, mesh: Mesh, seeds: np.ndarray, *, batch_size: int, smallest_bias: float
    ):
        self._size = batch_size
        self._seeds = place(mesh, seeds)
        self._measures = [
            over_seeds(make_measure(arm, batch_size), mesh, 1, 1)
            for arm in ARMS.values()
        ]
        self.start = no_moments(len(seeds))
        self._calls = [
            self._count_calls(turn, smallest_bias)
            for turn in range(len(self._measures))
        ]
        self._ends = np.cumsum(self._calls)
        self.count = int(self._ends[-1])

    def _add(self, moments, turn, index):
        mean, squares = self._measures[turn](self._seeds, np.uint32(index))
        return add(moments, mean, squares, self._size)

    def _count_calls(self, turn, smallest_bias):
        # The batch of the pilot is not used again.
        pilot = self._add(self.start, turn, 0)
        count = count_estimates(pilot, smallest_bias=smallest_bias)
        return -(-count // (self._size * len(self._seeds)))

    def advance(self, index: int, moments: Moments) -> tuple[Moments, list[dict]]:
        """Adds a batch to the moments of the arm whose turn it is.

        Args:
          index: of the call.
          moments: after the call before.

        Returns:
          The moments, and at an arm's last call a line to log: what :func:`judge` says.
        """
        turn = int(np.searchsorted(self._ends, index, side="right"))
        call = index - int(self._ends[turn]) + self._calls[turn]
        moments = self._add(self.start if call == 0 else moments, turn, call + 1)
        if call + 1 < self._calls[turn]:
            return moments, []
        name = list(ARMS)[turn]
        return moments, [{"estimator": name, **judge(name, moments)}]
