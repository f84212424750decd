"""The README's table of samplers is the one that is tested."""

import pathlib

from tests.samplers.table import as_markdown

README = pathlib.Path(__file__).parents[2] / "README.md"


def test_the_readme_shows_the_table():
    assert as_markdown() in README.read_text(), (
        "print it with `python -m tests.samplers.table`"
    )
