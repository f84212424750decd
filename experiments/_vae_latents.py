"""Laws of a latent: their priors, and guides made of the outputs of an encoder."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import constraints
from numpyro.distributions.kl import kl_divergence

import reparam_jax as rj

Latent = Literal["normal", "von_mises_fisher", "dirichlet"]
TITLES = {
    "normal": "normal",
    "von_mises_fisher": "von Mises-Fisher",
    "dirichlet": "Dirichlet",
}


class VonMisesFisher(dist.Distribution):
    r"""Unit vectors around a mean direction; uniform if the concentration is 0.

    .. math:: p(x) \propto e^{\kappa \, \mu \cdot x}, \quad |x| = 1

    Args:
      mean_direction: :math:`\mu`, of shape (..., dimension) and of length 1.
      concentration: :math:`\kappa`, from 0 to 1e4, of shape (...).

    Gradient:
      Of draws of :func:`reparam_jax.sample`: exact, to first order. Of the density:
      exact, to every order.
    """

    arg_constraints = {
        "mean_direction": constraints.sphere,
        "concentration": constraints.nonnegative,
    }
    support: Any = constraints.sphere

    def __init__(self, mean_direction: Any, concentration: Any, *, validate_args=None):
        self.mean_direction = jnp.asarray(mean_direction)
        self.concentration = jnp.asarray(concentration)
        *batch, dimension = self.mean_direction.shape
        batch = jnp.broadcast_shapes(tuple(batch), self.concentration.shape)
        super().__init__(batch, (dimension,), validate_args=validate_args)

    def sample(self, key: Any, sample_shape=()):
        """Draws vectors, by :func:`reparam_jax.von_mises_fisher`."""
        shape = (*sample_shape, *self.shape())
        return rj.von_mises_fisher(
            key, self.mean_direction, self.concentration, shape=shape
        )

    # The law turns with its mean, m: a change of m, orthogonal to it, turns draws by
    #   dx = dm (m . x) - m (dm . x).
    # The concentration moves them along the great circle through the mean: at the angle
    # t from it, dx / dt = (x cos t - m) / sin t.
    def pathwise(self, draws):
        """Returns given draws, with their derivatives for both parameters."""
        mean, concentration = self.mean_direction, self.concentration
        shift, held = _live(mean), jax.lax.stop_gradient(mean)
        cosine = _dot(held, draws)[..., None]
        turn = shift * cosine - held * _dot(shift, draws)[..., None]
        sideways = draws - cosine * held
        sine = jnp.linalg.norm(sideways, axis=-1, keepdims=True)
        away = (draws * cosine - held) / jnp.maximum(sine, 1e-12)
        slope = rj.special.von_mises_fisher_pathwise_grad(
            draws.shape[-1],
            jax.lax.stop_gradient(concentration),
            jnp.arctan2(sine, cosine)[..., 0],
        )
        return draws + turn + away * (slope * _live(concentration))[..., None]

    def log_prob(self, value, intermediates=None):
        """The log-density with respect to the area of the sphere, in nats."""
        excess = _dot(self.mean_direction, value) - 1
        dimension = self.event_shape[0]
        half = dimension / 2
        log_area = np.log(2) + half * np.log(np.pi) - jax.lax.lgamma(half)
        log_mass, _ = _log_mass(self.concentration, dimension)
        return self.concentration * excess - log_mass - log_area


def _live(parameter):
    """Returns 0, with the derivative of the parameter."""
    return parameter - jax.lax.stop_gradient(parameter)


def _dot(left, right):
    return jnp.sum(left * right, axis=-1)


def _log_mass(concentration, dimension):
    r"""The log of :math:`E e^{k (w - 1)}` for a uniform draw's cosine w, and its slope.

    By Gauss-Legendre quadrature over the angle, whose density is a power of its sine.
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    angles = (nodes + 1) * np.pi / 2
    weights = weights * np.sin(angles) ** (dimension - 2)
    log_weights = np.log(weights / weights.sum())
    excess = jnp.asarray(np.cos(angles) - 1, concentration.dtype)
    terms = concentration[..., None] * excess + jnp.asarray(log_weights, excess.dtype)
    return jax.nn.logsumexp(terms, -1), jnp.sum(jax.nn.softmax(terms) * excess, -1)


@kl_divergence.register(VonMisesFisher, VonMisesFisher)  # pyright: ignore
def _kl_von_mises_fisher(p, q):
    dimension = p.event_shape[0]
    log_mass, excess = _log_mass(p.concentration, dimension)
    other_log_mass, _ = _log_mass(q.concentration, dimension)
    mean_cosine = (1 + excess) * _dot(p.mean_direction, q.mean_direction)
    cross = q.concentration * (mean_cosine - 1) - other_log_mass
    return p.concentration * excess - log_mass - cross


def num_outputs(latent: Latent, size: int) -> int:
    """Counts what :func:`make_guide` needs of an encoder.

    Args:
      latent: the law.
      size: length of the latent.

    Returns:
      How many numbers for each example.
    """
    return {"normal": 2 * size, "von_mises_fisher": size + 1, "dirichlet": size}[latent]


def make_guide(latent: Latent, outputs: jax.Array) -> dist.Distribution:
    """Makes the law of each example's latent.

    Args:
      latent: the law.
      outputs: of an encoder, of shape (..., :func:`num_outputs`).

    Returns:
      A law of batch shape (...), whose event is the latent.
    """
    if latent == "normal":
        mean, log_std = jnp.split(outputs, 2, axis=-1)
        return dist.Normal(mean, jnp.exp(log_std)).to_event(1)
    if latent == "von_mises_fisher":
        direction, raw = outputs[..., :-1], outputs[..., -1]
        length = jnp.linalg.norm(direction, axis=-1, keepdims=True)
        return VonMisesFisher(direction / length, 1 + jax.nn.softplus(raw))
    # Draws of smaller concentrations round to 0, where the density may be infinite.
    return dist.Dirichlet(0.3 + jax.nn.softplus(outputs))


def make_prior(latent: Latent, size: int) -> dist.Distribution:
    """Makes the prior: standard normal, or uniform on the sphere or the simplex.

    Args:
      latent: the law.
      size: length of the latent.

    Returns:
      A law of empty batch shape, whose event is the latent.
    """
    if latent == "normal":
        return dist.Normal(jnp.zeros(size), 1.0).to_event(1)
    if latent == "von_mises_fisher":
        return VonMisesFisher(jnp.eye(size)[0], 0.0)
    return dist.Dirichlet(jnp.ones(size))


def center(guide: dist.Distribution) -> jax.Array:
    """Returns where a guide puts its latent: its mean, or its mean direction.

    Args:
      guide: from :func:`make_guide`.

    Returns:
      An array of shape (..., size).
    """
    is_spherical = isinstance(guide, VonMisesFisher)
    return guide.mean_direction if is_spherical else jnp.asarray(guide.mean)
