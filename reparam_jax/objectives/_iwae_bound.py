"""The importance-weighted bound."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from reparam_jax import _checks
from reparam_jax.distributions._paths import find_path, path_of
from reparam_jax.distributions._structure import Distribution
from reparam_jax.estimators import Pathwise, ScoreFunction
from reparam_jax.estimators._attach import hard
from reparam_jax.estimators._estimator import check_count

from ._model import Model, parameters
from ._multi_sample import (
    draw_leaves,
    estimate_together,
    estimators_of,
    log_mean_exp,
    scored_bound,
)

GRADIENTS = ("standard", "dreg")


def iwae_bound(
    key: jax.Array,
    log_joint_fn: Callable[..., jax.Array],
    guide: Any,
    *args: Any,
    prior: Any = None,
    num_samples: int,
    estimator: Any = None,
    gradient: str = "standard",
) -> jax.Array:
    r"""Estimates the importance-weighted bound of every example, to be maximised.

    .. math:: \mathrm{E}_{z_1 \ldots z_K \sim q} \log \frac1K \sum_{k=1}^K w_k
       \le \log p(x), \qquad w_k = p(x, z_k) / q(z_k)

    It grows with K = ``num_samples`` towards :math:`\log p(x)`, and is the evidence
    lower bound for K = 1.

    Args:
      key: one key from ``jax.random.key``. Used once.
      log_joint_fn: ``(draw, *args)`` to :math:`\log p(x, z)` in nats, one for each
        example, of the guide's batch shape; or one number for all of them. With
        ``prior``, to :math:`\log p(x \mid z)`. It is mapped over the draws.
      guide: :math:`q`: a NumPyro distribution, or a tree of independent ones, as for
        :func:`elbo`.
      *args: further arguments of ``log_joint_fn``, such as data.
      prior: :math:`p(z)`, in the tree of the guide.
      num_samples: K, how many draws are weighted.
      estimator: of the gradient. By default pathwise for the parts of the guide that
        have a gradient here, and for the others the scores of :func:`vimco`. Couplings
        of ``Pathwise`` couple the K draws. Estimators other than ``Pathwise()`` and
        ``ScoreFunction()`` see one cost of K copies of the guide: their programs grow
        with K.
      gradient: ``"standard"``; or ``"dreg"``, for pathwise guides: doubly
        reparameterised, whose relative noise falls as K grows, where that of the
        standard one grows.

    Returns:
      One bound for each example, in nats, of the guide's batch shape; a number if
      ``log_joint_fn`` returns one. Infinite or NaN as that of :func:`elbo`.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, ``guide`` or ``prior`` hold something
        other than distributions, the estimator does not know one, or ``"dreg"`` is
        asked of a guide whose draws have no gradient here.
      ValueError: ``num_samples`` is less than 1, the densities are of another shape,
        ``prior`` does not fit the guide, ``gradient`` is neither of the two, or
        ``"dreg"`` is asked with an estimator that is not pathwise, with coupled draws,
        or for a parameter that moves the support.

    Gradient:
      ``"standard"``: the estimator's, unbiased for this bound, to its orders.
      ``"dreg"``: unbiased for this bound, to first order; a derivative for the guide's
      parameters of any derivative raises (but for those that the network of a flow
      closes over: it is wrong). For normalised weights :math:`\tilde w_k` it
      is :math:`\sum_k \tilde w_k^2 \, \partial_z \log w_k \, \partial_\phi z_k` for
      the guide, and the standard one for all that ``log_joint_fn`` and ``prior`` depend
      on. What is masked in the guide must not matter to ``log_joint_fn``.
      Its program evaluates the log-weights twice from the same draws; XLA merges the
      two, but for loops (``lax.scan``) in ``log_joint_fn``.

    References:
      Burda, Grosse, Salakhutdinov. Importance weighted autoencoders. ICLR 2016.
      Tucker, Lawson, Gu, Maddison. Doubly reparameterized gradient estimators for Monte
      Carlo objectives. ICLR 2019.

    Example:
      >>> import jax, jax.numpy as jnp, numpyro.distributions as dist, reparam_jax as rj
      >>> x = jnp.array([1.5, -1.0])
      >>> def bound(mean, num_samples):
      ...   return rj.iwae_bound(
      ...     jax.random.key(0),
      ...     lambda z, x: dist.Normal(z, 1.0).log_prob(x),
      ...     dist.Normal(mean, 1.0),
      ...     x,
      ...     prior=dist.Normal(),
      ...     num_samples=num_samples,
      ...     gradient="dreg",
      ...   )
      >>> exact = dist.Normal(0, jnp.sqrt(2)).log_prob(x)
      >>> bool(jnp.all(jnp.abs(bound(jnp.zeros(2), 10_000) - exact) < 0.05))
      True
    """
    name = "iwae_bound"
    key = _checks.check_key(name, key)
    check_count(name, num_samples=num_samples)
    if gradient not in GRADIENTS:
        raise ValueError(
            f'`{name}` takes `gradient="standard"` or `"dreg"`, got {gradient!r}.'
        )
    model = Model(name, log_joint_fn, guide, prior)
    if gradient == "dreg":
        return _dreg(model, key, guide, args, num_samples, estimator)
    estimators = estimators_of(model, guide, estimator, pathwise_or_score)
    if estimators is None:
        (bound,) = estimate_together(
            model, key, guide, args, num_samples, estimator, [log_mean_exp]
        )
        return bound
    values = draw_leaves(model, key, num_samples, estimators)
    log_weights = model.make_log_weights(args)(values)
    return scored_bound(model, values, log_weights, estimators)


def pathwise_or_score(leaf: Distribution) -> Pathwise | ScoreFunction:
    """The default: the path where there is one, else the score."""
    return ScoreFunction() if find_path(leaf) is None else Pathwise()


def _dreg(model, key, guide, args, num_samples, estimator):
    for leaf in model.leaves:
        path_of(model.name, leaf)
    estimators = estimators_of(model, guide, estimator, pathwise_or_score)
    if estimators is None or not all(map(_is_uncoupled, estimators)):
        raise ValueError(
            f'`{model.name}` with `gradient="dreg"` goes through independent draws: it '
            f"takes `estimator=rj.Pathwise()`, uncoupled, or None, got {estimator!r}."
        )
    values = draw_leaves(model, key, num_samples, estimators)
    log_weights = model.make_log_weights(args, held=True)
    shares = jax.nn.softmax(log_weights(lax.stop_gradient(values)), 0)
    values = [
        _scale_gradient(
            value, jnp.reshape(shares, shares.shape + (1,) * (value.ndim - shares.ndim))
        )
        for value in values
    ]
    bound = log_mean_exp(log_weights(values))
    return hard(bound, parameters(model.leaves))


# Its formula takes the other draws as given, which coupled ones move with.
def _is_uncoupled(estimator):
    return isinstance(estimator, Pathwise) and estimator.coupling is None


@jax.custom_jvp
def _scale_gradient(value, share):
    del share
    return value


# With normalised weights w_k, the standard gradient for the guide is
#   sum_k w_k (d_z log w_k dz_k - d_phi log q(z_k)).
# The last term is a score; written by the path its mean is that of
#   sum_k (w_k - w_k^2) d_z log w_k dz_k,
# which leaves the sum of w_k^2 d_z log w_k dz_k (Tucker et al., section 4). The bound
# brings one factor w_k, this rule the other.
@_scale_gradient.defjvp
def _scale_gradient_jvp(primals, tangents):
    value, share = primals
    return value, share * tangents[0]
