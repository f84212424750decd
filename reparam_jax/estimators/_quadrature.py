"""Gaussian quadrature over the base noise of continuous distributions."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from reparam_jax import noise as noise_room
from reparam_jax import samplers
from reparam_jax.distributions._paths import find_path
from reparam_jax.distributions._structure import Distribution, unwrap

from ._estimator import Estimator, check_count, instead_for
from ._grid import Axis, integrate, joint_points, make_grid


@dataclasses.dataclass(frozen=True)
class Quadrature(Estimator):
    r"""The expectation by Gaussian quadrature, without randomness.

    For draws :math:`z = z_\theta(\epsilon)` that are a map of base noise, such as
    :math:`\mu + s \epsilon`,

    .. math:: \mathrm{E} f(z) \approx \sum_k w_k f(z_\theta(\epsilon_k))

    with the nodes and weights of the rule for the law of :math:`\epsilon`:
    Gauss-Hermite for normal noise, Gauss-Legendre for uniform and Gauss-Laguerre for
    exponential noise. Of several elements, all joint nodes: a scalar cost is summed
    over those of all elements of all distributions, at most :math:`2^{16}`; a cost of
    the batch's shape over those of one element of the batch, for all elements at once.

    Args:
      num_points: how many nodes for each element, n.

    Draws:
      For each distribution an array of shape (num_samples, 0): nothing is random, and
      ``num_samples`` has no effect.

    Raises:
      TypeError: a distribution is not a map of independent normal, uniform or
        exponential noise.
      ValueError: there are more than :math:`2^{16}` joint nodes, or ``num_points`` is
        not positive.

    Gradient:
      That of the sum, to every order and in every mode: exact where the cost is a
      polynomial of degree below 2 n in the noise, and converging geometrically in n
      where it is analytic. The cost must be smooth: what a jump contributes to the
      gradient is lost, and a kink makes the convergence slow.

    Cost:
      n evaluations of the cost, to the power of the number of elements.

    References:
      Golub, Welsch. Calculation of Gauss quadrature rules. Mathematics of Computation
      23, 1969.

    Example:
      >>> import jax, numpyro.distributions as dist, reparam_jax as rj
      >>> def loss(loc):
      ...   return rj.expectation(
      ...     jax.random.key(0),
      ...     lambda z: z**4,
      ...     dist.Normal(loc, 1.0),
      ...     estimator=rj.Quadrature(num_points=3),
      ...   )
      >>> round(float(jax.grad(loss)(2.0)), 4)  # 4 loc^3 + 12 loc
      56.0
    """

    num_points: int = 32

    def __post_init__(self):
        check_count("Quadrature", num_points=self.num_points)

    def draw_leaf(self, key, leaf, num_samples):
        """Draws nothing."""
        _noise_map(leaf)
        return jnp.zeros((num_samples, 0))

    def estimates(self, costs, leaves, draws):
        """The weighted sum of the costs at the nodes."""
        maps = [_noise_map(leaf) for leaf in leaves]
        axes = [Axis(*rule(self.num_points)) for rule, _, _ in maps]

        def draws_at(nodes):
            return [
                at(joint_points(leaf, jnp.asarray(node, dtype)))
                for leaf, node, (_, at, dtype) in zip(leaves, nodes, maps, strict=True)
            ]

        example = draws_at([np.zeros((1, *leaf.event_shape)) for leaf in leaves])
        batch_ndim = len(costs.shape_at(example))
        grid = make_grid("Quadrature", leaves, axes, batch_ndim)
        return integrate(costs, draws_at(grid.values), grid.weights)


def _noise_map(leaf: Distribution):
    """The rule for the noise, the map to draws of any number, and the noise's dtype."""
    base = unwrap(leaf)
    if isinstance(base, dist.MultivariateNormal):
        at = functools.partial(
            samplers.multivariate_normal_from_noise,
            mean=base.loc,
            scale_tril=jnp.asarray(base.scale_tril),
        )
        return _hermite, at, base.loc.dtype
    path = find_path(leaf)
    if path is None or path.noise not in _RULES:
        raise TypeError(
            "`Quadrature` needs distributions that are maps of independent normal, "
            f"uniform or exponential noise, got {type(base).__name__}: "
            f"{instead_for(leaf)} works for it."
        )
    return _RULES[path.noise], path.at, path.dtype


def _hermite(count):
    return _normalized(*np.polynomial.hermite_e.hermegauss(count))


def _legendre(count):
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return _normalized((nodes + 1) / 2, weights)


def _laguerre(count):
    return _normalized(*np.polynomial.laguerre.laggauss(count))


def _normalized(nodes, weights):
    return nodes, weights / weights.sum()


_RULES: dict[Any, Callable[[int], tuple[np.ndarray, np.ndarray]]] = {
    noise_room.normal: _hermite,
    noise_room.uniform: _legendre,
    noise_room.exponential: _laguerre,
}
