"""Draws of NumPyro distributions, with exact gradients."""

from typing import Any

import jax

from reparam_jax import _checks

from ._paths import path_of
from ._structure import flatten


def sample(key: jax.Array, dist: Any, sample_shape: tuple[int, ...] = ()) -> Any:
    r"""Draws from a NumPyro distribution, with exact gradients for its parameters.

    .. math:: z = g(\epsilon; \theta), \qquad \nabla_\theta \, E f(z) =
       E \, \nabla_\theta f(g(\epsilon; \theta))

    The map :math:`g` is that of this library's samplers: where NumPyro's draws carry no
    gradient (von Mises, mixtures) or an inexact one (gamma, beta and Dirichlet of small
    concentrations, truncated normals in the tail), these carry the right one.

    Args:
      key: one key from ``jax.random.key``. Used once; split for a tree of several.
      dist: a distribution, or a tree (list, tuple, dict, ...) of independent ones, also
        under ``Independent``, ``expand``, ``mask`` and ``TransformedDistribution``. A
        mask changes how a density is added up, and nothing here.
      sample_shape: the leading axes of the result, of independent draws.

    Returns:
      Draws of shape ``sample_shape + dist.shape()``, in the parameters' promoted float
      dtype, in the tree of ``dist``. For the families that this library has a sampler
      for, they are that sampler's, and so is what happens outside the domain: an
      element raises when concrete, and is NaN under ``jax.jit``, as are its gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or ``dist`` is not a distribution whose
        draws have gradients here: discrete and mixed ones, vectors without a map from
        noise, numbers without a ``cdf``. The message names the estimators for them.
      ValueError: ``key`` is a batch of keys, or a concrete parameter lies outside its
        domain.

    Gradient:
      Exact for every parameter, in forward, reverse and mixed mode, pathwise or
      implicit as in the samplers, and of their order. Any other one-dimensional
      distribution with a ``cdf``, a caller's own class included, is drawn by its own
      ``sample``, with the implicit gradient :math:`-\partial_\theta F(z) / p(z)`: as
      exact, and of the order and modes, as ``cdf`` can be differentiated. A caller's
      class, of vectors too, may have a method ``pathwise(draws)`` instead: it returns
      the given draws, with their derivatives for its parameters. Mixtures
      have implicit gradients for the weights and for the components: of numbers with a
      ``cdf``, of independent such numbers, and of normal vectors. NumPyro's flag
      ``has_rsample`` is not asked.

    References:
      Figurnov, Mohamed, Mnih. Implicit reparameterization gradients. NeurIPS 2018.
      Jankowiak, Obermeyer. Pathwise derivatives beyond the reparameterization trick.
      ICML 2018.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> import numpyro.distributions as dist
      >>> def mean(concentration):
      ...   law = dist.Gamma(concentration, 2.0)
      ...   return rj.sample(jax.random.key(0), law, (20_000,)).mean()
      >>> round(float(jax.grad(mean)(3.0)), 2)  # of 3 / 2, in the concentration
      0.5
      >>> laws = {"a": dist.Normal(), "b": dist.VonMises(jnp.zeros(3), 1.0)}
      >>> draws = rj.sample(jax.random.key(1), laws, (5,))
      >>> draws["a"].shape, draws["b"].shape
      ((5,), (5, 3))
    """
    key = _checks.check_key("sample", key)
    sample_shape = _checks.check_shape("sample", sample_shape=sample_shape)
    leaves, structure = flatten("sample", dist)
    paths = [path_of("sample", leaf) for leaf in leaves]
    keys = [key] if len(leaves) == 1 else jax.random.split(key, len(leaves))
    draws = [
        path.at(path.draw(key, (*sample_shape, *leaf.shape())))
        for key, leaf, path in zip(keys, leaves, paths, strict=True)
    ]
    return structure.unflatten(draws)
