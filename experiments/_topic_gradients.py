r"""Is the gradient of a Dirichlet draw right on average? Against quadrature.

The component :math:`\theta_j` of a Dirichlet draw is Beta(:math:`\alpha_j, B`), with B
the sum of the other concentrations, and the direction of the others does not depend on
:math:`\alpha_j`. So, with F the beta cdf,

.. math:: \frac{\partial}{\partial \alpha_j} \mathrm{E} f = \mathrm{E}_{others}
   \int -\frac{\partial F(t; \alpha_j, B)}{\partial \alpha_j} \frac{df}{dt} dt.

The integral is a sum over a grid of :math:`\mathrm{logit}(t)`, in float64 with SciPy's
cdf; the outer average is over draws of the direction, and its error is known.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import scipy.special

import reparam_jax as rj

LOGITS = np.linspace(-45, 45, 361)
STEP = 1e-4


def exact_gradient(
    concentration: np.ndarray,
    topics: np.ndarray,
    counts: np.ndarray,
    *,
    num_directions: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The gradient of a document's expected log-likelihood for the concentrations.

    Args:
      concentration: of shape (topics,).
      topics: word probabilities of shape (topics, words).
      counts: of the words of the document.
      num_directions: draws of the other components, for each component.
      rng: source of these.

    Returns:
      The gradient and its standard error, of shape (topics,).
    """
    columns = [
        _one_component(place, concentration, topics, counts, num_directions, rng)
        for place in range(len(concentration))
    ]
    mean, error = np.array(columns).T
    return mean, error


def _one_component(place, concentration, topics, counts, num_directions, rng):
    others = np.delete(concentration, place)
    own, rest = concentration[place], others.sum()
    share, share_of_rest = scipy.special.expit(LOGITS), scipy.special.expit(-LOGITS)

    def cdf(own):  # less 1 above the middle, to be precise in both tails
        below = scipy.special.betainc(own, rest, share)
        above = scipy.special.betainc(rest, own, share_of_rest)
        return np.where(LOGITS < 0, below, -above)

    cdf_slope = (cdf(own * (1 + STEP)) - cdf(own * (1 - STEP))) / (2 * STEP * own)
    directions = rng.dirichlet(others, num_directions)
    word_rest = (directions @ np.delete(topics, place, 0))[:, None]
    word_own = topics[place][None, None]
    words = share[None, :, None] * word_own + share_of_rest[None, :, None] * word_rest
    # df / dlogit(t), with dt / dlogit(t) = t (1 - t).
    slope = ((word_own - word_rest) / words) @ counts * share * share_of_rest
    estimates = -slope @ cdf_slope * (LOGITS[1] - LOGITS[0])
    return estimates.mean(), estimates.std(ddof=1) / np.sqrt(num_directions)


@functools.partial(jax.jit, static_argnames=("estimator", "num_draws"))
def measured_gradients(
    key: jax.Array,
    concentration: jax.Array,
    topics: jax.Array,
    counts: jax.Array,
    *,
    estimator,
    num_draws: int,
) -> jax.Array:
    """The gradients of single draws for what :func:`exact_gradient` has on average.

    Args:
      key: one key.
      concentration: of shape (topics,).
      topics: word probabilities of shape (topics, words).
      counts: of the words of the document.
      estimator: of the gradient.
      num_draws: how many gradients.

    Returns:
      Gradients of shape (draws, topics).
    """

    def one(key):
        def expected(concentration):
            return rj.expectation(
                key,
                lambda shares: jnp.log(shares @ topics) @ counts,
                dist.Dirichlet(concentration),
                estimator=estimator,
            )

        return jax.grad(expected)(concentration)

    return jax.vmap(one)(jax.random.split(key, num_draws))


def compare(
    gradients: np.ndarray, exact: np.ndarray, error: np.ndarray
) -> dict[str, float]:
    r"""Compares gradients of single draws with their true mean :math:`g`.

    Args:
      gradients: of shape (draws, topics).
      exact: g, of shape (topics,).
      error: its standard error.

    Returns:
      ``ratio``: the mean gradient along g, over the length of g: 1 if right;
      ``ratio_error``, its standard error, with that of g; ``noise``, the standard
      deviation of one gradient over the length of g; ``non_finite``, the share of
      gradients left out because they are not finite.
    """
    gradients = np.asarray(gradients, np.float64)
    finite = np.isfinite(gradients).all(1)
    gradients, square = gradients[finite], exact @ exact
    along = gradients @ exact / square
    of_exact = np.sqrt(((error * exact) ** 2).sum()) / square
    return {
        "ratio": float(along.mean()),
        "ratio_error": float(np.hypot(along.std() / np.sqrt(len(along)), of_exact)),
        "noise": float(np.sqrt(gradients.var(0).sum() / square)),
        "non_finite": float(1 - finite.mean()),
    }
