"""Tests of ``experiments._topic_corpus``: the laws of its documents."""

import numpy as np
import pytest
from scipy import stats

from experiments import _topic_corpus


@pytest.fixture(scope="module")
def bars():
    return _topic_corpus.make_bars(
        6,
        0.3,
        num_words=12,
        sizes=(10, 4000),
        rng=np.random.default_rng(0),
    )


def test_bars_are_the_rows_and_columns():
    topics = _topic_corpus.bar_topics(6)
    on, off = 0.99 / 3 + 0.01 / 9, 0.01 / 9
    row, column = np.full((2, 3, 3), off)
    row[1], column[:, 2] = on, on
    np.testing.assert_allclose(topics[1], row.ravel(), rtol=1e-12)
    np.testing.assert_allclose(topics[5], column.ravel(), rtol=1e-12)
    np.testing.assert_allclose(topics.sum(1), 1, rtol=1e-12)


def test_words_follow_the_mixture_of_their_document(bars, alpha):
    topics, shares = bars.truth
    assert bars.train.shape == (10, 9)
    assert (bars.held_out.sum(1) == 12).all()
    law = shares @ topics
    # Each word's total, and a score that fails if documents and shares are not paired.
    residual = bars.held_out - 12 * law
    of_words = residual.sum(0) / np.sqrt((12 * law * (1 - law)).sum(0))
    variance = (law**3).sum(1) - (law**2).sum(1) ** 2
    of_pairs = (residual * law).sum() / np.sqrt(12 * variance.sum())
    worst = np.abs([*of_words, of_pairs]).max()
    assert worst < stats.norm.isf(alpha / 2 / 10)


def test_shares_have_the_second_moment_of_the_prior(bars, alpha):
    squares = (bars.truth.shares**2).sum(1)
    expected = (0.3 + 1) / (6 * 0.3 + 1)
    error = squares.std() / np.sqrt(len(squares))
    assert abs(squares.mean() - expected) < stats.norm.isf(alpha / 2) * error


def test_docstrings_are_counted_without_examples_tests_and_stop_words(
    tmp_path, monkeypatch
):
    package = tmp_path / "papers"
    (package / "tests").mkdir(parents=True)
    long = " ".join(["matrix inverse"] * 20)
    texts = [
        f"{long} number{'x' * n}\n\n    Examples\n    --------\n    >>> secret"
        for n in range(1)
    ]
    others = ["the of and", "file folder " * 20, "axis legend " * 20, "mean std " * 20]
    body = [*texts, texts[0], *others]
    source = [f'def f{n}():\n    """{text}\n    """\n' for n, text in enumerate(body)]
    (package / "__init__.py").write_text("\n".join(source))
    hidden = 'def g():\n    """' + "hidden " * 40 + '"""\n'
    (package / "tests" / "test_papers.py").write_text(hidden)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_topic_corpus, "MODULES", ("papers",))
    counts, words = _topic_corpus.read_docstrings.__wrapped__(50)
    assert words == [
        "axis", "file", "folder", "inverse", "legend", "matrix", "mean", "numberx"[:6],
        "std",
    ]  # fmt: skip
    assert sorted(counts.sum(1)) == [40, 40, 40, 41]


def test_split_of_docstrings_is_disjoint_and_by_seed(monkeypatch):
    everything = np.arange(30, dtype=np.float32).reshape(10, 3)
    monkeypatch.setattr(
        _topic_corpus, "read_docstrings", lambda num_words: (everything, ["a"])
    )

    def sample(seed):
        return _topic_corpus.sample_docstrings(
            num_words=3, sizes=(6, 3), rng=np.random.default_rng(seed)
        )

    one, again, other = sample(0), sample(0), sample(1)
    assert one.truth is None
    assert one.train.shape == (6, 3)
    rows = {*map(tuple, one.train), *map(tuple, one.held_out)}
    assert len(rows) == 9
    assert rows <= set(map(tuple, everything))
    np.testing.assert_array_equal(one.train, again.train)
    assert (one.train != other.train).any()
