"""Nodes of base noise for estimates that hold a draw and a draw given its outcome.

Given the outcome b, an estimate is a function of the draw z plus one of the draw given
b, and both have the same law. So its mean needs no product of the two: each node serves
as both, once for every outcome.
"""

import itertools

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def noise(seed, shape):
    """A pair of logistic noise for one leaf; any floats serve where means do not."""
    pair = np.random.default_rng(seed).logistic(size=(2, *shape)).astype(np.float32)
    return tuple(pair)


def logistic(step=0.25, end=38.0):
    """Trapezoidal nodes and weights of the standard logistic law, right to 1e-16."""
    nodes = np.arange(-end, end + step, step)
    weights = step * sigmoid(nodes) * sigmoid(-nodes)
    return nodes, weights / weights.sum()


def given(logit, outcome, noise):
    """A bit's continuous draw given its outcome: the quantile of its law there."""
    theta = sigmoid(logit)
    if outcome:
        # u = 1 - theta + v theta, and 1 - u = theta (1 - v).
        odds = (1 - theta + sigmoid(noise) * theta) / (theta * sigmoid(-noise))
    else:
        odds = (1 - theta) * sigmoid(noise) / (sigmoid(-noise) + sigmoid(noise) * theta)
    return logit + np.log(odds)


def one_bit(logit, nodes, weights):
    """Draws of one bit, (2 * nodes,) each, and their weights, for means."""
    theta = sigmoid(logit)
    free = [given(logit, outcome, nodes) - logit for outcome in (0, 1)]
    chance = np.concatenate([(1 - theta) * weights, theta * weights])
    return (np.concatenate(free), np.tile(nodes, 2)), chance


def one_bit_product(logit, nodes, weights):
    """Draws of one bit with both kinds of noise independent, for variances."""
    (free, _), chance = one_bit(logit, nodes, weights)
    draws = np.repeat(free, len(nodes)), np.tile(nodes, len(free))
    return draws, (chance[:, None] * weights).ravel()


def matched(logit, outcome, temperature, coarse=(-5.0, -2.0, 0.0, 2.0, 5.0)):
    """Few nodes and weights, exact for costs and control variates linear in a bit.

    Such an estimate is linear in the relaxed draw y given the outcome, its slope, and
    the slope of the relaxed free draw, for each bit: weights that integrate these three
    and 1 integrate products over bits too.
    """

    def integrands(noise):
        z = given(logit, outcome, noise)
        y = sigmoid(z / temperature)
        slope = y * (1 - y) / temperature
        # dz / dl at given v: by the chain rule through theta.
        sign = 2 * outcome - 1
        softplus = np.log1p(np.exp(sign * logit))
        z_slope = sigmoid(sign * noise + softplus) * sigmoid(sign * logit)
        return np.stack([np.ones_like(y), y, slope, slope * z_slope])

    nodes, weights = logistic()
    coarse = np.array(coarse)
    exact = integrands(nodes) @ weights
    return coarse, np.linalg.lstsq(integrands(coarse), exact, rcond=None)[0]


def several_bits(logits, temperature):
    """Draws of several bits, (nodes, bits) each, and weights, exact as in `matched`."""
    sets = []
    for logit in logits:
        draws, chances = [], []
        for outcome in (0, 1):
            nodes, weights = matched(logit, outcome, temperature)
            free = given(logit, outcome, nodes) - logit
            draws += zip(free, nodes, strict=True)
            chances += list(weights * sigmoid(logit if outcome else -logit))
        sets.append(list(zip(draws, chances, strict=True)))
    rows = list(itertools.product(*sets))
    noise = np.array([[draw for draw, _ in row] for row in rows])
    weights = np.array([np.prod([chance for _, chance in row]) for row in rows])
    return (noise[..., 0], noise[..., 1]), weights


def tanh_sinh(step=0.1, end=3.2):
    """Nodes in (0, 1), their distances to 1, and weights."""
    t = np.arange(-end, end + step, step)
    upper = 1 / (1 + np.exp(-np.pi * np.sinh(t)))
    lower = 1 / (1 + np.exp(np.pi * np.sinh(t)))
    weights = step * np.pi * np.cosh(t) * upper * lower
    return upper, lower, weights


def three_categories(probs):
    """Draws of one of three categories, (nodes, 3) each, and weights.

    Relaxed draws see differences of Gumbel noise alone: ratios of exponentials, whose
    shares are uniform on the triangle.
    """
    upper, lower, weights = tanh_sinh()
    share = np.stack(
        np.broadcast_arrays(
            lower[:, None], upper[:, None] * upper, upper[:, None] * lower
        ),
        -1,
    ).reshape(-1, 3)
    area = 2 * (weights * upper)[:, None] * weights
    noise, weight, free = -np.log(share), area.ravel(), []
    log_probs = np.log(probs)
    for outcome in range(3):
        # Below the largest z: P(z_i < x | z_i < top) = exp(-p_i (e^-x - e^-top)).
        top = noise[:, [outcome]]
        z = -np.log(share / probs + np.exp(-top))
        z[:, outcome] = top[:, 0]
        free.append(z - log_probs)
    chance = np.concatenate([prob * weight for prob in probs])
    return (np.concatenate(free), np.tile(noise, (3, 1))), chance
