"""The measure-valued (weak) derivative."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from reparam_jax.distributions._outcomes import part_shape
from reparam_jax.distributions._structure import unwrap
from reparam_jax.distributions._values import draw_values

from ._attach import weighted
from ._estimator import Estimator
from ._weak_derivatives import family_of


@dataclasses.dataclass(frozen=True)
class MeasureValued(Estimator):
    r"""The measure-valued gradient: the cost's difference between two coupled draws.

    .. math:: \frac{\partial}{\partial \theta} \mathrm{E} f(z)
       = c_\theta \, \mathrm{E} \left[ f(z^+) - f(z^-) \right]

    since the derivative of a density is a difference of two densities, times a
    constant. It needs no gradient of the cost, which may jump. With z the ordinary
    draw, from which the value is,

    .. math::
       \text{normal mean:} \quad & c = 1 / (s \sqrt{2 \pi}), \quad
          z^\pm = \mu \pm s w, \quad w \sim \text{Rayleigh}(1) \\
       \text{normal scale:} \quad & c = 1 / s, \quad
          z^+ = \mu + s m, \quad z^- = \mu + s m u \\
       \text{gamma, exponential rate:} \quad & c = \alpha / \beta, \quad
          z^+ = z, \quad z^- = z + e / \beta \\
       \text{gamma concentration:} \quad & c = B(\alpha, 1/2) / \sqrt{1 - v}, \quad
          z^+ = z, \quad z^- = v z \\
       \text{Poisson rate:} \quad & c = 1, \quad z^+ = z + 1, \quad z^- = z \\
       \text{Bernoulli probability:} \quad & c = 1, \quad z^+ = 1, \quad z^- = 0 \\
       \text{categorical probability of k:} \quad & c = 1, \quad z^+ = k, \quad z^- = z

    with m from Maxwell's law with a random sign, u uniform, e exponential and
    :math:`v \sim \text{Beta}(\alpha, 1/2)`. Of several elements, one at a time moves,
    and the others stay at the ordinary draw.

    Draws:
      For each distribution a dictionary of arrays of shape (num_samples, \*shape).
      ``"value"``: z, as ``dist.sample`` gives it. For a normal distribution also
      ``"rayleigh"``: w; ``"maxwell"``: m; ``"uniform"``: u on [0, 1). For a gamma or an
      exponential one ``"exponential"``: e; for a gamma one ``"log_factor"``:
      :math:`\log v`. For a multinomial of one trial ``"value"`` is one-hot.

    Raises:
      TypeError: a distribution is none of Normal, Gamma, Exponential, Poisson,
        Bernoulli, Categorical and Multinomial of one trial.

    Gradient:
      Unbiased for any bounded cost, and for others with finite expectations at
      :math:`z^\pm`; of the first order: a second derivative in the parameters raises.
      For all else that the cost depends on it is the derivative of the cost at z. A
      scale, rate or concentration of 0 gives NaN. For a Bernoulli or categorical
      distribution of one element it has no variance.

    Cost:
      One evaluation of the cost for each sample, and for each element of all
      distributions 4 if it is normal, 2 if gamma, 1 if exponential, Poisson or
      Bernoulli, K if categorical with K outcomes. A cost of the batch's shape moves all
      elements of the batch at once: so many for each element of an event.

    References:
      Pflug. Sampling derivatives of probabilities. Computing 42, 1989.
      Heidergott, Vazquez-Abad, Volk-Makarewicz. Sensitivity estimation for Gaussian
      systems. European Journal of Operational Research 187, 2008.
      Mohamed, Rosca, Figurnov, Mnih. Monte Carlo gradient estimation in machine
      learning. JMLR 21, 2020, section 6.

    Example:
      >>> import jax, numpyro.distributions as dist, reparam_jax as rj
      >>> def loss(loc):
      ...   return rj.expectation(
      ...     jax.random.key(0),
      ...     lambda z: (z > 0) * 1.0,
      ...     dist.Normal(loc, 1.0),
      ...     estimator=rj.MeasureValued(),
      ...   )
      >>> round(float(jax.grad(loss)(0.0)), 4)  # the density at 0, without variance
      0.3989
    """

    def draw_leaf(self, key, leaf, num_samples):
        """Draws values, and the noise of the coupled pairs."""
        family = family_of(leaf)
        keys = jax.random.split(key)
        value = draw_values(keys[0], leaf, (num_samples,))
        noise = family.draw(keys[1], leaf, (num_samples, *part_shape(leaf)))
        return {"value": value, **noise}

    def estimates(self, costs, leaves, draws):
        """The costs at the ordinary draws, with the differences as slopes."""
        values = [draw["value"] for draw in draws]
        elementwise = bool(costs.shape_at(values))
        terms = [
            _terms_at(leaf, value, noise)
            for leaf, value, noise in zip(leaves, values, draws, strict=True)
        ]
        moved = [
            _moved(leaf, value, term.points, elementwise)
            for leaf, value, term in zip(leaves, values, terms, strict=True)
        ]
        # One call for all, so that a key that the cost closes over is used once.
        ordinary, *changed = _one_call(costs, values, moved)
        slopes, parameters = [], []
        for leaf, term, change in zip(leaves, terms, changed, strict=True):
            change = change - ordinary[None]
            coefficients = _align(leaf, term.coefficients, ordinary)
            slopes.append(lax.stop_gradient(coefficients) * change)
            parameter = _align(leaf, term.parameters, ordinary)
            parameters.append(jnp.broadcast_to(parameter, change.shape))
        # Jointly: a slope holds hard draws of all leaves, so that one whose parameter
        # is differentiated again has to raise for the parameters of all.
        estimate = weighted(jnp.concatenate(slopes), jnp.concatenate(parameters))
        return ordinary + jnp.sum(estimate, 0)


def _terms_at(leaf, value, noise):
    terms = family_of(leaf).terms(leaf, value, noise)
    return terms._replace(points=lax.stop_gradient(terms.points))


def _moved(leaf, value, points, elementwise):
    """The draw with one part of it at one of the points.

    Returns:
      An array of shape (T * D, n, *leaf.shape()), for each of T points and each of the
      D parts of the leaf, or of an event for costs of the batch's shape.
    """
    shape = part_shape(leaf, of_event=elementwise)
    parts = math.prod(shape)
    inner = (1,) * unwrap(leaf).event_dim
    outer = (1,) * (len(leaf.shape()) - len(shape) - len(inner))
    chosen = jnp.eye(parts, dtype=bool).reshape(1, parts, 1, *outer, *shape, *inner)
    moved = jnp.where(chosen, points[:, None], value[None, None])
    return moved.reshape(-1, *value.shape)


def _one_call(costs, values, moved):
    """The costs at the values, and at those with one leaf moved, for each leaf."""
    counts = [1, *(len(move) for move in moved)]
    blocks = [
        [
            moved[place]
            if turn == place + 1
            else jnp.broadcast_to(value[None], (count, *value.shape))
            for turn, count in enumerate(counts)
        ]
        for place, value in enumerate(values)
    ]
    rows = jax.vmap(costs)([jnp.concatenate(block) for block in blocks])
    ordinary, *changed = jnp.split(rows, np.cumsum(counts)[:-1])
    return ordinary[0], *changed


def _align(leaf, terms, costs):
    """Turns terms of each part, (T, n, *parts), into (T * D, n, *shape) of the costs.

    As ``_moved`` orders the points; of length 1 for n, and along axes of the batch that
    the leaf lacks.
    """
    batch = leaf.batch_shape if costs.ndim > 1 else ()
    terms = terms.reshape(*terms.shape[:2], *batch, -1)
    terms = jnp.moveaxis(terms, -1, 1)
    missing = (1,) * (costs.ndim - 1 - len(batch))
    shape = (-1, terms.shape[2], *missing, *batch)
    return terms.reshape(shape).astype(costs.dtype)
