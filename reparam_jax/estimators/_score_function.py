"""The gradient through the log-probability of the draw."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax import lax

from reparam_jax import _checks
from reparam_jax.distributions._log_prob import log_prob
from reparam_jax.distributions._structure import Distribution, unwrap
from reparam_jax.distributions._support import moving_ends
from reparam_jax.distributions._values import draw_values

from ._attach import fixed, score
from ._costs import spread
from ._couplings import check_coupling, draw_coupled
from ._estimator import Estimator

LEAVE_ONE_OUT = "leave_one_out"


@dataclasses.dataclass(frozen=True)
class ScoreFunction(Estimator):
    r"""The score-function gradient (REINFORCE), for any cost and any distribution.

    .. math:: \nabla_\theta \, \mathrm{E} f(z) = \mathrm{E} \left[ (f(z) - b)
       \nabla_\theta \log p_\theta(z) \right]

    for a baseline b that does not depend on the draw.

    Args:
      baseline: what is subtracted from the cost: ``None`` for nothing;
        ``"leave_one_out"`` for the mean cost of the other samples; an array that
        broadcasts to the shape of a cost, such as that of
        :func:`moving_average_baseline`; or a function of ``args``, the further
        arguments of the cost, to such an array. It is not differentiated, and must not
        depend on the draws.
      coupling: ``None``, ``"antithetic"`` or ``"stratified"``, as in
        :class:`Pathwise`. Leave-one-out baselines then leave out whole antithetic
        pairs, and refuse stratified draws, which all depend on each other.

    Draws:
      For each distribution its draws, of shape (num_samples, \*shape), as
      ``dist.sample`` gives them.

    Raises:
      TypeError: ``coupling`` is given for draws that are no monotone maps of noise; or
        the distribution is a point.
      ValueError: an argument is none of these; leave-one-out baselines with fewer than
        2 samples, or than 4 antithetic ones; a parameter that moves the support of the
        distribution is differentiated: the score knows nothing of a moving end.

    Gradient:
      Unbiased, to every order, in forward, reverse and mixed mode, also for the
      parameters that the cost itself depends on. A cost of the batch's shape is
      credited element by element: a cost that mixes elements of the batch is biased. A
      scalar cost is credited with the log-probability of all of them, so the variance
      grows with the batch.

    Cost:
      One evaluation of the cost for each sample.

    References:
      Williams. Simple statistical gradient-following algorithms. Machine Learning 8,
      1992.
      Foerster, Farquhar, Al-Shedivat, Rocktäschel, Xing, Whiteson. DiCE: the infinitely
      differentiable Monte Carlo estimator. ICML 2018.
      Kool, van Hoof, Welling. Buy 4 REINFORCE samples, get a baseline for free! 2019.

    Example:
      >>> import jax, numpyro.distributions as dist, reparam_jax as rj
      >>> def loss(rate):
      ...   return rj.expectation(
      ...     jax.random.key(0), lambda z: 3.0 * z, dist.Poisson(rate),
      ...     num_samples=20_000,
      ...     estimator=rj.ScoreFunction(baseline="leave_one_out"),
      ...   )
      >>> round(float(jax.grad(loss)(4.0)), 1)  # d/drate of 3 rate
      3.0
    """

    baseline: Any = None
    coupling: str | None = None

    def __post_init__(self):
        check_coupling("ScoreFunction", self.coupling)
        if isinstance(self.baseline, str) and self.baseline != LEAVE_ONE_OUT:
            raise ValueError(
                f'`ScoreFunction` takes `baseline="{LEAVE_ONE_OUT}"`, an array, a '
                f"function of `args` or None, got {self.baseline!r}."
            )
        if self._leaves_one_out and self.coupling == "stratified":
            raise ValueError(
                "`ScoreFunction` has no leave-one-out baseline for stratified draws: "
                "each depends on all others, so the gradient would be biased. Couple "
                "them in antithetic pairs, or pass another baseline."
            )

    @property
    def _leaves_one_out(self):
        return isinstance(self.baseline, str)

    def draw_leaf(self, key, leaf, num_samples):
        """Draws values, without gradient."""
        if isinstance(unwrap(leaf), dist.Delta):
            raise TypeError(
                "`ScoreFunction` needs a distribution whose density depends smoothly "
                "on its parameters; of a point (Delta) only `rj.Pathwise()` has the "
                "gradient."
            )
        if self._leaves_one_out:
            self._check_enough(num_samples)
        if self.coupling is None:
            return draw_values(key, leaf, (num_samples,))
        path, base = draw_coupled(
            "ScoreFunction", self.coupling, leaf, key, num_samples
        )
        return lax.stop_gradient(path.at(base))

    def estimates(self, costs, leaves, draws):
        """The costs, with the score-function gradient."""
        draws = lax.stop_gradient(draws)
        values = costs(draws)
        terms = [
            spread(score_of(leaf, draw), values)
            for leaf, draw in zip(leaves, draws, strict=True)
        ]
        total = jnp.broadcast_to(sum(terms[1:], terms[0]), values.shape)
        return score(values, self._baseline(values, costs.args), total)

    def _baseline(self, values, args):
        if self.baseline is None:
            return jnp.zeros_like(values)
        if self._leaves_one_out:
            return self._mean_of_others(lax.stop_gradient(values))
        given = self.baseline(*args) if callable(self.baseline) else self.baseline
        given = jnp.asarray(given, values.dtype)
        shape = values.shape[1:]
        if not _checks.broadcasts_to(given.shape, shape):
            raise ValueError(
                f"`ScoreFunction` needs a baseline that broadcasts to the shape of a "
                f"cost, {shape}, got {given.shape}."
            )
        return jnp.broadcast_to(given, values.shape)

    def _mean_of_others(self, values):
        count = values.shape[0]
        self._check_enough(count)
        left_out = values
        if self.coupling == "antithetic":
            left_out = values + jnp.roll(values, count // 2, 0)
        others = count - (2 if self.coupling else 1)
        return (jnp.sum(values, 0, keepdims=True) - left_out) / others

    def _check_enough(self, num_samples):
        needed = 4 if self.coupling else 2
        if num_samples < needed:
            raise ValueError(
                f"`ScoreFunction` with leave-one-out baselines needs `num_samples` of "
                f"at least {needed}{' in antithetic pairs' * bool(self.coupling)}, got "
                f"{num_samples}."
            )


def score_of(leaf: Distribution, draw: jax.Array) -> jax.Array:
    """The log-probability; raises where its derivative is not all of the gradient."""
    return fixed(log_prob(leaf, draw), moving_ends(leaf))
