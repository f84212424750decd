"""Tests of ``experiments._gan_scores`` against closed forms."""

import numpy as np
import pytest
import scipy.linalg

from experiments._gan_scores import class_scores, distances, frechet_distance


def white(seed: int, count: int = 50, features: int = 4) -> np.ndarray:
    """Rows whose mean is 0 and whose covariance is the identity, exactly."""
    rows = np.random.default_rng(seed).normal(size=(count, features))
    rows -= rows.mean(0)
    return rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T


def test_features_are_no_distance_from_themselves():
    rows = 10.0 * white(0) + 3.0
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-10)


def test_a_shift_costs_its_square():
    shift = np.array([1.0, -2.0, 0.5, 3.0])
    distance = frechet_distance(white(0), white(1, count=70) + shift)
    assert distance == pytest.approx((shift**2).sum(), rel=1e-6)


def test_diagonal_covariances_cost_the_square_of_their_stds():
    first, second = np.array([1.0, 2.0, 0.1, 4.0]), np.array([3.0, 2.0, 0.5, 0.0])
    distance = frechet_distance(white(0) * first, white(1) * second)
    assert distance == pytest.approx(((first - second) ** 2).sum(), rel=1e-6)


def test_covariances_that_do_not_commute_agree_with_a_matrix_root():
    rng = np.random.default_rng(2)
    first, second = (white(n) @ rng.normal(size=(4, 4)) for n in range(2))
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    expected = np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)


def test_singular_covariances_cost_what_their_lines_do():
    line = np.array([1.0, 2.0, 3.0]) - 2.0
    along, across = np.array([0.6, 0.8, 0.0]), np.array([1.0, 0.0, 0.0])
    distance = frechet_distance(np.outer(3 * line, along), np.outer(line, across))
    assert distance == pytest.approx(9 + 1 - 2 * 3 * 0.6, rel=1e-6)


def test_float32_features_are_compared_in_float64():
    single = [(white(n, count=999) + 1e3).astype(np.float32) for n in range(2)]
    double = [rows.astype(np.float64) for rows in single]
    assert frechet_distance(*single) == pytest.approx(
        frechet_distance(*double), rel=1e-9
    )


def test_class_distance_sees_exchanged_classes_and_the_whole_does_not():
    rows, shift = white(0), np.array([2.0, 0.0, 0.0, 0.0])
    both = np.concatenate([rows, rows + shift])
    labels = np.repeat([3, 7], len(rows))
    right = distances(both, labels, both, labels)
    wrong = distances(both, labels[::-1], both, labels)
    assert right == pytest.approx({"frechet": 0, "class_frechet": 0}, abs=1e-10)
    assert wrong == pytest.approx({"frechet": 0, "class_frechet": 4}, abs=1e-10)


def test_class_scores_of_a_case_done_by_hand():
    # Seen as 0, 0, 1, 1 of classes 0, 1, 2; the mean of the rows is (1/2, 3/8, 1/8).
    probs = np.array(
        [[1.0, 0, 0], [0.5, 0.25, 0.25], [0.25, 0.75, 0], [0.25, 0.5, 0.25]]
    )
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.maximum(probs, 1e-300))
    scores = class_scores(log_probs, np.array([0, 1, 1, 2]))
    marginal = np.array([0.5, 0.375, 0.125])
    divergence = np.sum(probs * np.log(np.maximum(probs, 1e-300) / marginal)) / 4
    assert scores["accuracy"] == 0.5
    assert scores["histogram_gap"] == 0.25
    assert scores["classifier_score"] == pytest.approx(np.exp(divergence))


def test_classifier_score_runs_from_one_to_the_number_of_classes():
    sure = np.log(np.maximum(np.eye(5), 1e-300))
    unsure = np.log(np.full((5, 5), 0.2))
    labels = np.arange(5)
    assert class_scores(sure, labels)["classifier_score"] == pytest.approx(5)
    assert class_scores(unsure, labels)["classifier_score"] == pytest.approx(1)
    same = class_scores(sure[[2] * 5], labels)
    assert same["classifier_score"] == pytest.approx(1)
    assert same["histogram_gap"] == pytest.approx(0.8)
