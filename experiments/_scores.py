"""Scores of predicted class probabilities."""

import numpy as np


def classification_scores(
    log_probs: np.ndarray, labels: np.ndarray, *, num_bins: int = 15
) -> dict[str, float]:
    """Scores predictions against the true labels.

    Args:
      log_probs: log-probabilities of the classes, of shape (count, classes).
      labels: true classes, integers of shape (count,).
      num_bins: number of equal bins of confidence for the calibration error.

    Returns:
      ``accuracy``; ``nll``, the mean negative log-likelihood in nats; ``ece``, the
      expected calibration error: the mean distance between confidence and accuracy
      over bins of confidence, weighted by their counts [1].

    References:
      [1] Guo, Pleiss, Sun, Weinberger. On calibration of modern neural networks.
      ICML 2017. https://arxiv.org/abs/1706.04599
    """
    log_probs = np.asarray(log_probs, np.float64)
    correct = log_probs.argmax(-1) == labels
    confidence = np.exp(log_probs.max(-1))
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    gaps = np.bincount(bins, weights=confidence - correct, minlength=num_bins)
    return {
        "accuracy": float(correct.mean()),
        "nll": float(-log_probs[np.arange(len(labels)), labels].mean()),
        "ece": float(np.abs(gaps).sum() / len(labels)),
    }
