"""Scores of generated images: what a classifier sees, and how far its features lie."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from ._data import Images


class Classifier(nnx.Module):
    """Classifies images by one hidden layer, whose values are the features.

    Args:
      image_size: height and width of the images.
      num_classes: number of logits.
      features: width of the hidden layer.
      rngs: an ``nnx.Rngs`` for the initial parameters.
    """

    def __init__(
        self, image_size: int, num_classes: int, *, features: int, rngs: nnx.Rngs
    ):
        self.hidden = nnx.Linear(image_size**2, features, rngs=rngs)
        self.readout = nnx.Linear(features, num_classes, rngs=rngs)

    def __call__(self, pixels: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Maps pixels (count, height, width, 1) to features and log-probabilities."""
        features = nnx.tanh(self.hidden(pixels.reshape(len(pixels), -1)))
        return features, jax.nn.log_softmax(self.readout(features))


@functools.partial(
    jax.jit,
    static_argnames=("num_classes", "features", "steps", "batch_size", "learning_rate"),
)
def train_classifier(
    key: jax.Array,
    images: Images,
    *,
    num_classes: int,
    features: int,
    steps: int,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
) -> Classifier:
    """Trains a :class:`Classifier` by Adam on the cross-entropy.

    Args:
      key: sets the first weights and the minibatches.
      images: to train on.
      num_classes: how many classes the labels count.
      features: width of the hidden layer.
      steps: how many minibatches.
      batch_size: images in a minibatch.
      learning_rate: at the start; it decays to 0 along a cosine.

    Returns:
      The trained classifier.
    """
    init_key, batch_key = jax.random.split(key)
    size = images.pixels.shape[1]
    classifier = Classifier(
        size, num_classes, features=features, rngs=nnx.Rngs(init_key)
    )
    graphdef, params = nnx.split(classifier)
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))

    def loss_fn(params, rows):
        _, log_probs = nnx.merge(graphdef, params)(jnp.asarray(images.pixels)[rows])
        return -jnp.take_along_axis(log_probs, images.labels[rows][:, None], 1).mean()

    def step(carry, key):
        params, opt_state = carry
        rows = jax.random.randint(key, (batch_size,), 0, len(images.labels))
        updates, opt_state = optimizer.update(
            jax.grad(loss_fn)(params, rows), opt_state, params
        )
        return (optax.apply_updates(params, updates), opt_state), None

    carry = params, optimizer.init(params)
    keys = jax.random.split(batch_key, steps)
    (params, _), _ = jax.lax.scan(step, carry, keys)
    return nnx.merge(graphdef, params)


def look(
    classifier: Classifier, pixels: np.ndarray | jax.Array
) -> tuple[np.ndarray, np.ndarray]:
    """Applies a classifier to images of the host.

    Args:
      classifier: from :func:`train_classifier`.
      pixels: of shape (count, height, width, 1).

    Returns:
      Features and log-probabilities, of shape (count, features) and (count, classes).
    """
    features, log_probs = classifier(jnp.asarray(pixels))
    return np.asarray(features), np.asarray(log_probs)


def frechet_distance(features: np.ndarray, others: np.ndarray) -> float:
    r"""Measures how far two sets of features are apart, as normals.

    With their means :math:`m, n` and covariances :math:`A, B` [1],

    .. math:: |m - n|^2 + \mathrm{tr}(A + B) - 2\, \mathrm{tr}(A^{1/2} B A^{1/2})^{1/2}.

    The last trace is the sum of the singular values of :math:`A^{1/2} B^{1/2}`, which
    needs no root of a matrix that is not symmetric. From few rows the distance is
    biased upwards: two samples of one law are apart as well.

    Args:
      features: of shape (count, features).
      others: of shape (other count, features).

    Returns:
      The squared Wasserstein distance of the two normals.

    References:
      [1] Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter. GANs trained by a two
      time-scale update rule converge to a local Nash equilibrium. NeurIPS 2017.
      https://arxiv.org/abs/1706.08500
    """
    means, roots, traces = [], [], []
    for rows in (features, others):
        rows = rows.astype(np.float64)
        covariance = np.atleast_2d(np.cov(rows, rowvar=False))
        values, vectors = np.linalg.eigh(covariance)
        means.append(rows.mean(0))
        roots.append(vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T)
        traces.append(covariance.trace())
    shared = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    return float(((means[0] - means[1]) ** 2).sum() + sum(traces) - 2 * shared)


def distances(
    features: np.ndarray,
    labels: np.ndarray,
    others: np.ndarray,
    other_labels: np.ndarray,
) -> dict[str, float]:
    """Measures the Frechet distances of two labelled sets of features.

    Args:
      features: of shape (count, features).
      labels: their classes.
      others: of shape (other count, features).
      other_labels: their classes, the same ones.

    Returns:
      ``frechet``, of the whole sets; ``class_frechet``, the mean over the classes of
      that of one class, which sees also whether the images are of their class.
    """
    classes = [
        frechet_distance(features[labels == label], others[other_labels == label])
        for label in np.unique(other_labels)
    ]
    return {
        "frechet": frechet_distance(features, others),
        "class_frechet": float(np.mean(classes)),
    }


def class_scores(log_probs: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    r"""Scores what a classifier sees in images of known classes.

    Args:
      log_probs: log-probabilities of the classes, of shape (count, classes).
      labels: the classes that the images should be of.

    Returns:
      ``accuracy``, how often the classifier agrees; ``histogram_gap``, the total
      variation between the frequencies of its classes and of the labels: 0 where no
      class is missing; ``classifier_score``, the inception score [1] of this
      classifier, :math:`\exp` of the mean :math:`\mathrm{KL}(p(y | x) \| p(y))`,
      between 1 and the number of classes.

    References:
      [1] Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen. Improved techniques for
      training GANs. NeurIPS 2016. https://arxiv.org/abs/1606.03498
    """
    log_probs = log_probs.astype(np.float64)
    probs, num_classes = np.exp(log_probs), log_probs.shape[1]
    divergences = (probs * (log_probs - np.log(probs.mean(0)))).sum(1)
    seen, wanted = (
        np.bincount(classes, minlength=num_classes) / len(labels)
        for classes in (log_probs.argmax(1), labels)
    )
    return {
        "accuracy": float((log_probs.argmax(1) == labels).mean()),
        "histogram_gap": float(np.abs(seen - wanted).sum() / 2),
        "classifier_score": float(np.exp(divergences.mean())),
    }
