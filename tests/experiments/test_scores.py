"""Tests of ``experiments._scores``."""

import numpy as np
import pytest

from experiments._scores import classification_scores


def test_scores_of_a_case_done_by_hand():
    # Confidences 0.9, 0.9 (one right, one wrong) and 0.6, 0.55 (both right): with four
    # bins, the gaps are |1.8 - 1| and |1.15 - 2|, over four predictions.
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.55, 0.45]])
    labels = np.array([0, 1, 1, 0])
    scores = classification_scores(np.log(probs), labels, num_bins=4)
    assert scores["accuracy"] == 0.75
    assert scores["nll"] == pytest.approx(-np.log([0.9, 0.1, 0.6, 0.55]).mean())
    assert scores["ece"] == pytest.approx((0.8 + 0.85) / 4)


def test_certain_and_right_is_perfect():
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.eye(3))
    scores = classification_scores(log_probs, np.arange(3))
    assert scores == {"accuracy": 1.0, "nll": 0.0, "ece": 0.0}
