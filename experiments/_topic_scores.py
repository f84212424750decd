"""Scores of topics: how near to known ones, and how coherent."""

import numpy as np
from scipy.optimize import linear_sum_assignment


def match(topics: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs topics with known ones, so that the total variation is least.

    Args:
      topics: word probabilities of shape (topics, words).
      truth: likewise, as many.

    Returns:
      For each known topic the index of its partner, and the total variation distance
      between the two, in [0, 1].
    """
    distances = np.abs(truth[:, None] - topics[None]).sum(-1) / 2
    rows, partners = linear_sum_assignment(distances)
    return partners, distances[rows, partners]


def coherence(topics: np.ndarray, counts: np.ndarray, *, num_top: int = 10) -> float:
    r"""The normalised pointwise mutual information of the top words of topics.

    .. math:: \log \frac{p(a, b)}{p(a) p(b)} \Big/ {-\log p(a, b)}

    with the shares of documents that hold the words a, and b, and both; -1 for words
    that never meet, 1 for words that always do.

    Args:
      topics: word probabilities of shape (topics, words).
      counts: of shape (documents, words).
      num_top: how many words of each topic are paired with each other, at most.

    Returns:
      The average over pairs and topics, in [-1, 1].

    References:
      Bouma. Normalized (pointwise) mutual information in collocation extraction. 2009.
    """
    present = (counts > 0).astype(np.float64)
    scores = []
    for topic in topics:
        top = present[:, top_words(topic, num_top)]
        both = top.T @ top / len(top)
        first, second = np.triu_indices(len(both), 1)
        joint = both[first, second]
        apart = both[first, first] * both[second, second]
        meet = joint > 0
        ratio = np.log(np.where(meet, joint, 1) / np.where(meet, apart, 1))
        surprise = -np.log(np.where(meet, joint, 1))
        always = surprise == 0
        npmi = np.where(always, 1, ratio / np.where(always, 1, surprise))
        scores.append(np.where(meet, npmi, -1).mean())
    return float(np.mean(scores))


def top_words(topic: np.ndarray, count: int) -> np.ndarray:
    """The most probable words of a topic, the first first.

    Args:
      topic: word probabilities.
      count: how many.

    Returns:
      Their indices.
    """
    return np.argsort(-topic, kind="stable")[:count]
