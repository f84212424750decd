"""Documents as counts of words: bars with known topics, or docstrings of packages."""

import ast
import functools
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PACKAGES = ("numpy", "scipy", "scikit-learn", "matplotlib")
MODULES = ("numpy", "scipy", "sklearn", "matplotlib")
STRAY = 0.01
FEWEST_WORDS = 30


class Truth(NamedTuple):
    """What documents were drawn with.

    ``topics`` has the word probabilities, of shape (topics, words), and ``shares``
    those of the topics in the held-out documents.
    """

    topics: np.ndarray
    shares: np.ndarray


class Corpus(NamedTuple):
    """Documents to train on and held out, of shape (documents, words).

    ``words`` names the columns; ``truth`` is there where it is known.
    """

    train: np.ndarray
    held_out: np.ndarray
    words: list[str]
    truth: Truth | None = None


def bar_topics(num_topics: int) -> np.ndarray:
    """The rows and columns of a square grid of words, as topics.

    A topic is uniform over its row or column, but for ``STRAY`` of its mass, which is
    uniform over the grid.

    Args:
      num_topics: twice the side of the grid.

    Returns:
      Word probabilities of shape (topics, words).

    References:
      Griffiths, Steyvers. Finding scientific topics. PNAS 2004.
    """
    side = num_topics // 2
    grid = np.arange(side**2).reshape(side, side)
    bars = np.zeros((num_topics, side**2))
    for topic, members in enumerate([*grid, *grid.T]):
        bars[topic, members] = 1 / side
    return (1 - STRAY) * bars + STRAY / side**2


def make_bars(
    num_topics: int,
    concentration: float,
    *,
    num_words: int,
    sizes: tuple[int, int],
    rng: np.random.Generator,
) -> Corpus:
    """Draws documents from the topic model itself.

    Args:
      num_topics: even, at least 4.
      concentration: of every topic in the Dirichlet distribution of the shares.
      num_words: length of a document.
      sizes: how many documents to train on, and held out.
      rng: source of the shares and the words.

    Returns:
      The corpus; a word is named by its row and column.
    """
    topics = bar_topics(num_topics)
    shares = rng.dirichlet(np.full(num_topics, concentration), sum(sizes))
    counts = rng.multinomial(num_words, shares @ topics).astype(np.float32)
    side = range(num_topics // 2)
    words = [f"{row},{column}" for row in side for column in side]
    train, held_out = np.split(counts, [sizes[0]])
    return Corpus(train, held_out, words, Truth(topics, shares[sizes[0] :]))


def sample_docstrings(
    *, num_words: int, sizes: tuple[int, int], rng: np.random.Generator
) -> Corpus:
    """Takes docstrings of the installed ``MODULES`` as documents.

    Args:
      num_words: size of the vocabulary.
      sizes: how many documents to train on, at most, and held out.
      rng: chooses them.

    Returns:
      The corpus.

    Raises:
      FileNotFoundError: a package is not installed.
    """
    counts, words = read_docstrings(num_words)
    order = rng.permutation(len(counts))[: sum(sizes)]
    held_out, train = np.split(counts[order], [sizes[1]])
    return Corpus(train, held_out, words)


@functools.cache
def read_docstrings(num_words: int) -> tuple[np.ndarray, list[str]]:
    """Counts the words of the docstrings of the installed ``MODULES``.

    Words are those of three letters or more, without English stop words and without
    those in a quarter of all documents; examples of code are left out, and documents of
    fewer than ``FEWEST_WORDS`` counted words. The same versions of the packages give
    the same counts.

    Args:
      num_words: size of the vocabulary: the most frequent words.

    Returns:
      Counts of shape (documents, words), and the words.

    Raises:
      FileNotFoundError: a package is not installed.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    texts = dict.fromkeys(text for name in MODULES for text in _docstrings(name))
    vectorizer = CountVectorizer(
        stop_words="english",
        token_pattern=r"\b[a-z]{3,}\b",
        max_df=0.25,
        max_features=num_words,
    )
    counts: Any = vectorizer.fit_transform(texts)
    lengths = np.asarray(counts.sum(1)).ravel()
    counts = counts[np.flatnonzero(lengths >= FEWEST_WORDS)].toarray()
    return counts.astype(np.float32), vectorizer.get_feature_names_out().tolist()


def versions() -> dict[str, str]:
    """The versions of the packages whose docstrings are read.

    Returns:
      Versions by name.
    """
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def _docstrings(module: str) -> Iterator[str]:
    """The docstrings in the sources of a package, in the order of its files."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"The corpus `docs` needs the package {module}.")
    folder = Path(spec.origin).parent
    for path in sorted(folder.rglob("*.py")):
        if "tests" in path.relative_to(folder).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                yield text.partition("\nExamples\n")[0]
