"""Rao-Blackwellised slopes by quadrature: the mean of one relaxation, less variance."""

import jax
import jax.numpy as jnp
import numpy as np

from reparam_jax.relaxations._rao_blackwell import conditional_scores, rao_blackwell

LOGITS, TEMPERATURE = np.array([0.4, -0.3]), 0.7
FLIP = LOGITS[1] - LOGITS[0]


def logistic_pieces(count):
    """Gauss-Legendre on both sides of the noise at which the hard draw flips."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    pieces = [(-40, FLIP - 5), (FLIP - 5, FLIP), (FLIP, FLIP + 5), (FLIP + 5, 40)]
    x = np.concatenate([(b - a) / 2 * nodes + (a + b) / 2 for a, b in pieces])
    w = np.concatenate([(b - a) / 2 * weights for a, b in pieces])
    small = np.exp(-np.abs(x))
    return x, w * small / (1 + small) ** 2


def draw_and_slope(noise):
    """The first component, and its slope for the first logit, at each noise."""

    def first(logit, noise):
        logits = jnp.stack([logit, LOGITS[1]])
        temperature = jnp.full(2, TEMPERATURE)
        return rao_blackwell(noise, logits, temperature)[0]

    return jax.jit(jax.vmap(jax.value_and_grad(first), (None, 0)))(LOGITS[0], noise)


def test_mean_and_variance_of_the_slope():
    """A difference of two Gumbels is logistic, and so is, given the larger score, that
    of the noise of the two scores: one node each is enough."""
    x, weights = logistic_pieces(40)
    slope = 1 / (1 + np.exp((x - FLIP) / TEMPERATURE))
    slope = slope * (1 - slope) / TEMPERATURE
    first = x > FLIP
    share = [weights[first].sum(), weights[~first].sum()]
    np.testing.assert_allclose(share[0], 1 / (1 + np.exp(FLIP)), rtol=1e-12)
    given = [np.average(slope[side], weights=weights[side]) for side in (first, ~first)]
    within = [
        np.average((slope[side] - mean) ** 2, weights=weights[side])
        for side, mean in zip((first, ~first), given, strict=True)
    ]
    mean = share @ np.array(given)
    between = share @ (np.array(given) - mean) ** 2

    pairs = np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2)
    with jax.enable_x64(True):
        noise = np.zeros((len(pairs), 2, 2))
        noise[..., 0] = pairs
        # Given that the second is larger, what is drawn is the other way round.
        values, slopes = map(np.asarray, draw_and_slope(jnp.asarray(noise)))
    np.testing.assert_array_equal(values, pairs[:, 0] > FLIP)
    joint = np.outer(weights, weights).ravel()
    actual = joint @ slopes
    np.testing.assert_allclose(actual, mean, rtol=1e-9)
    variance = joint @ (slopes - actual) ** 2
    np.testing.assert_allclose(
        variance, between + share @ np.array(within) / 2, rtol=1e-9
    )
    assert variance < 0.8 * (between + share @ np.array(within))


def test_conditional_scores_keep_the_choice_and_the_law_of_the_largest():
    logits = jnp.array([[0.0, 3.0, -2.0, -jnp.inf]])
    noise = jax.random.gumbel(jax.random.key(3), (500, 4))
    for choice in range(3):
        chosen = jnp.arange(4)[None] == choice
        scores = np.asarray(conditional_scores(noise, logits, chosen))
        np.testing.assert_array_equal(np.argmax(scores, -1), choice)
        top = jax.nn.logsumexp(logits) + noise[:, choice]
        np.testing.assert_allclose(scores[:, choice], top, rtol=1e-6)
        np.testing.assert_array_equal(scores[:, 3], -np.inf)
