"""Test bound of a discrete autoencoder, and the noise in its encoder's gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import reparam_jax as rj

from ._discrete_estimators import Estimator


def make_variances(graphdef: nnx.GraphDef, estimator: Estimator, *, count: int):
    r"""Makes the jitted probe of the noise in the encoder's gradient.

    The trace of the covariance of a random gradient :math:`g` is

    .. math:: \operatorname{tr} \operatorname{Cov} g = \tfrac12 \mathrm{E} \| g - g'
       \|^2

    for an independent :math:`g'`; the terms are independent of each other.

    Args:
      graphdef: of a :class:`DiscreteVae`.
      estimator: of the gradient of the mean bound.
      count: how many pairs.

    Returns:
      ``variances(params, own, images, key)``: the terms, of shape (count,).
    """

    def gradient(params, own, images, key):
        def bound(encoder):
            vae = nnx.merge(graphdef, nnx.merge_state(params, encoder))
            return jnp.mean(estimator.bounds(key, own, vae, images))

        return jax.grad(bound)(nnx.State({"encoder": params["encoder"]}))

    @jax.jit
    def variances(params, own, images, key):
        def one(keys):
            pair = jax.vmap(lambda key: gradient(params, own, images, key))(keys)
            gaps = jax.tree.map(lambda leaf: leaf[0] - leaf[1], pair)
            return optax.tree.norm(gaps, squared=True) / 2

        return jax.lax.map(one, jax.random.split(key, (count, 2)))

    return variances


def make_evaluate(graphdef: nnx.GraphDef, *, num_samples: int):
    """Makes the jitted scores of a model.

    Args:
      graphdef: of a :class:`DiscreteVae`.
      num_samples: draws for each image.

    Returns:
      ``evaluate(params, images, key)``: means over the images of ``elbo`` and of
      ``log_likelihood``, which is importance-sampled, in nats.
    """

    @jax.jit
    def evaluate(params, images, key):
        vae = nnx.merge(graphdef, params)

        def one(inputs):
            key, image = inputs
            bound_key, likelihood_key = jax.random.split(key)
            model = vae.log_likelihood, vae.guide(image[None]), image[None]
            options = {"prior": vae.prior(), "num_samples": num_samples}
            log_likelihood, _ = rj.importance_sampled_log_likelihood(
                likelihood_key, *model, **options
            )
            return {
                "elbo": rj.elbo(bound_key, *model, **options)[0],
                "log_likelihood": log_likelihood[0],
            }

        keys = jax.random.split(key, len(images))
        return jax.tree.map(jnp.mean, jax.lax.map(one, (keys, images)))

    return evaluate


def make_look(
    graphdef: nnx.GraphDef,
    estimators: dict[str, Estimator],
    *,
    num_samples: int,
    pairs: int,
):
    """Makes the scores of all models at one step.

    Args:
      graphdef: of a :class:`DiscreteVae`.
      estimators: by name; at the weights of the first, all are compared.
      num_samples: draws for each test image.
      pairs: of gradients, that a variance is measured from.

    Returns:
      ``look(states, train_images, test_images, key, repeats=1)``: for each name the
      ``elbo`` and the ``log_likelihood`` of the test images, the ``variance`` of the
      encoder's gradient on all of ``train_images``, at its own weights, the
      ``common_variance`` at those of the first, and their standard errors, with
      ``_error`` behind the name, from ``repeats`` times as many pairs. All draws are
      the same for all estimators.
    """
    evaluate = make_evaluate(graphdef, num_samples=num_samples)
    variances = {
        name: make_variances(graphdef, estimator, count=pairs)
        for name, estimator in estimators.items()
    }

    def look(states, train_images, test_images, key, *, repeats=1):
        test_key, *place_keys = jax.random.split(key, 1 + 2 * repeats)
        common = states[next(iter(estimators))]["params"]
        scores = {}
        for name, state in states.items():
            key = jax.random.clone(test_key)
            means = evaluate(state["params"], test_images, key)
            scores[name] = {score: float(mean) for score, mean in means.items()}
            for place, params, keys in (
                ("variance", state["params"], place_keys[:repeats]),
                ("common_variance", common, place_keys[repeats:]),
            ):
                terms = [
                    variances[name](
                        params, state["own"], train_images, jax.random.clone(key)
                    )
                    for key in keys
                ]
                terms = np.concatenate(terms, dtype=np.float64)
                error = terms.std(ddof=1) / np.sqrt(len(terms))
                scores[name] |= {place: terms.mean(), f"{place}_error": error}
        return scores

    return look
