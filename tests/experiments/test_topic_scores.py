"""Tests of ``experiments._topic_scores`` against hand calculations."""

import numpy as np

from experiments._topic_scores import coherence, match, top_words


def test_match_finds_the_permutation_and_the_distances():
    truth = np.array([[0.8, 0.2, 0.0], [0.0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]])
    topics = truth[[2, 0, 1]] + np.array([[0.0, 0, 0], [-0.1, 0, 0.1], [0, 0, 0]])
    partners, distances = match(topics, truth)
    assert partners.tolist() == [1, 2, 0]
    np.testing.assert_allclose(distances, [0.1, 0, 0], atol=1e-12)


def test_coherence_is_one_together_minus_one_apart_and_by_hand_between():
    counts = np.array([[1, 1, 0, 2], [3, 1, 0, 0], [0, 0, 1, 0], [0, 0, 2, 1]])

    def of(first, second):
        topic = np.zeros(4)
        topic[first], topic[second] = 0.6, 0.4
        return coherence(topic[None], counts, num_top=2)

    np.testing.assert_allclose(of(0, 1), 1)
    np.testing.assert_allclose(of(0, 2), -1)
    np.testing.assert_allclose(of(0, 3), 0, atol=1e-12)  # 1/4 = 1/2 * 1/2
    three = np.array([[1, 1], [1, 1], [1, 0], [0, 0]])
    topic = np.array([[0.6, 0.4]])
    expected = np.log(0.5 / (0.75 * 0.5)) / -np.log(0.5)
    np.testing.assert_allclose(coherence(topic, three, num_top=2), expected)


def test_top_words_come_in_order():
    assert top_words(np.array([0.1, 0.5, 0.0, 0.4]), 3).tolist() == [1, 3, 0]
