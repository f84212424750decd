"""Every uniform of an antithetic pair, as nodes and weights, and gradients at each.

What a pair of draws is, changes with each uniform at sigma(l) and at 1 - sigma(l) only:
between those, estimates are polynomials in it, which Gauss-Legendre nodes integrate.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from scipy.special import expit

import reparam_jax as rj

# Two nodes are exact to the third power: those of ARM and of its square.
NODES, WEIGHTS = (np.array([-1, 1]) / np.sqrt(3) + 1) / 2, [0.5, 0.5]
ESTIMATORS = (rj.ARM(), rj.DisARM())


def one_bit(logits):
    """Nodes and weights for each bit alone, of shape (nodes, *logits.shape)."""
    low = expit(-np.abs(np.asarray(logits, np.float64)))
    pieces = [(0 * low, low), (low, 1 - 2 * low), (1 - low, low)]
    nodes = [left + width * node for left, width in pieces for node in NODES]
    weights = [width * weight for _, width in pieces for weight in WEIGHTS]
    return np.stack(nodes), np.stack(weights)


def all_bits(logits):
    """Nodes of several bits together, of shape (nodes, bits), and their weights."""
    nodes, weights = one_bit(np.ravel(logits))
    grid = itertools.product(range(len(nodes)), repeat=nodes.shape[1])
    index = np.array(list(grid)), np.arange(nodes.shape[1])[None]
    return nodes[index], np.prod(weights[index], -1)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def gradients(estimators, cost_fn, dist_of, parameters, noise, *args):
    """For each estimator, the gradients of the sum of the costs, at each node alone."""

    def gradient(estimator, parameters, noise):
        def estimate(parameters):
            alone = jax.tree.map(lambda x: x[None], noise)
            law = dist_of(parameters)
            return jnp.sum(estimator.estimate(cost_fn, law, alone, *args))

        return jax.grad(estimate)(parameters)

    return [
        jax.vmap(functools.partial(gradient, estimator), (None, 0))(parameters, noise)
        for estimator in estimators
    ]


def close(found, expected, bits, scale=None):
    """Equal to 1e-6 in float32 and to 1e-12 in float64, of each or of the largest."""
    tolerance = {32: 1e-6, 64: 1e-12}[bits]
    if scale is None:
        np.testing.assert_allclose(found, expected, rtol=tolerance)
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


COSTS = np.array([0.375, -1.25])
THETA = np.array([1e-4, 0.02, 0.3, 0.45, 0.5, 0.6, 0.9, 0.999])


@functools.cache
def moments_of_one_bit(bits):
    """Mean and variance for one bit, at each of THETA and in x64 nearer 0 and 1.

    Returns:
      The logits; and for each estimator the gradients at each node, their mean and
      their variance.
    """
    with jax.enable_x64(bits == 64):
        dtype = jnp.dtype(f"float{bits}")
        theta = np.concatenate([THETA, [1e-9, 1 - 1e-9]]) if bits == 64 else THETA
        logits = jnp.asarray(np.log(theta) - np.log1p(-theta), dtype)
        exact = np.asarray(logits, np.float64)
        nodes, weights = one_bit(exact)
        noise, costs = jnp.asarray(nodes, dtype), jnp.asarray(COSTS, dtype)
        both = gradients(ESTIMATORS, look_up, bernoulli, logits, noise, costs)
    moments = {}
    for estimator, found in zip(ESTIMATORS, both, strict=True):
        found = np.asarray(found, np.float64)
        mean = np.sum(weights * found, 0)
        variance = np.sum(weights * (found - mean) ** 2, 0)
        moments[estimator] = found, mean, variance
    return exact, moments


def look_up(draw, costs):
    return costs[draw]


def bernoulli(logits):
    return dist.Bernoulli(logits=logits)


def categorical(logits):
    return dist.Categorical(logits=logits)


def one_hot(logits):
    return dist.Multinomial(1, logits=logits)


TREES = {
    "bits": [(bernoulli, -0.8), (bernoulli, 0.0), (bernoulli, 1.7)],
    "bit, 2 and 3": [
        (bernoulli, 0.7),
        (categorical, [0.4, -0.9]),
        (categorical, [0.3, -1.1, 0.6]),
    ],
    "4 and one-hot 3": [
        (categorical, [0.4, -1.0, 0.3, 0.2]),
        (one_hot, [0.0, 0.0, 2.0]),
    ],
}


class Tree:
    """A cost of several laws that is not separable, and all uniforms of its pairs."""

    def __init__(self, name):
        self.makes, self.logits = zip(*TREES[name], strict=True)
        # A Bernoulli law's probabilities are those of 0 and 1.
        self.probs = [
            _softmax([0.0, logits] if np.ndim(logits) == 0 else logits)
            for logits in self.logits
        ]
        costs = np.random.default_rng(0).integers(-99, 99, [len(p) for p in self.probs])
        self.costs = costs / 32
        self.sticks = [
            np.ravel(logits) if np.ndim(logits) == 0 else stick_logits(probs)
            for logits, probs in zip(self.logits, self.probs, strict=True)
        ]
        self.nodes, self.weights = all_bits(np.concatenate(self.sticks))
        self.ends = np.cumsum([len(sticks) for sticks in self.sticks])[:-1]

    def laws(self, logits):
        return [make(leaf) for make, leaf in zip(self.makes, logits, strict=True)]

    def cost_fn(self, draws):
        index = [jnp.argmax(draw) if draw.ndim else draw for draw in draws]
        return jnp.asarray(self.costs, jnp.result_type(float))[tuple(index)]

    def gradients(self, bits):
        """For each estimator and law, the gradients at each node: (nodes, K)."""
        parts = np.split(self.nodes, self.ends, 1)
        with jax.enable_x64(bits == 64):
            dtype = f"float{bits}"
            logits = [jnp.asarray(leaf, dtype) for leaf in self.logits]
            noise = [
                jnp.asarray(part, dtype).reshape(-1, *(leaf.shape and part.shape[1:]))
                for leaf, part in zip(logits, parts, strict=True)
            ]
            both = gradients(ESTIMATORS, self.cost_fn, self.laws, logits, noise)
        return {
            estimator: [
                np.asarray(leaf, np.float64).reshape(len(leaf), -1) for leaf in found
            ]
            for estimator, found in zip(ESTIMATORS, both, strict=True)
        }

    def exact_gradients(self):
        """Of the expected cost, for the logits of each law."""
        slopes = []
        for axis, probs in enumerate(self.probs):
            rest = np.moveaxis(self.costs, axis, -1)
            for other in self.probs[:axis] + self.probs[axis + 1 :]:
                rest = np.tensordot(other, rest, 1)
            slope = probs * (rest - probs @ rest)
            slopes.append(slope if np.ndim(self.logits[axis]) else slope[1:])
        return slopes

    def outcomes(self):
        """Numbers the pairs of draws, at each node, by what a cost can see of them."""
        theta = expit(np.concatenate(self.sticks))
        draws = [
            np.sum(np.cumsum(part, 1) == 0, 1)
            for bits in (self.nodes >= 1 - theta, self.nodes < theta)
            for part in np.split(bits, self.ends, 1)
        ]
        return np.unique(np.stack(draws), axis=1, return_inverse=True)[1]


@functools.cache
def tree(name, bits):
    """A tree, and its gradients."""
    made = Tree(name)
    return made, made.gradients(bits)


def stick_logits(probs):
    """The logits of the bits of one categorical law, the most probable first."""
    probs = np.sort(np.asarray(probs, np.float64))[::-1]
    rests = np.cumsum(probs[::-1])[::-1]
    return np.log(probs[:-1]) - np.log(rests[1:])


def _softmax(logits):
    odds = np.exp(np.asarray(logits, np.float64))
    return odds / odds.sum()
