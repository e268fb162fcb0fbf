"""Pieces of Markdown."""

import re
from collections.abc import Iterable

from manual.rows import Row

MADE = "This page is made from the code by `make reference`; do not write in it."


def plain(text: str) -> str:
    """A text of the code's as Markdown that says the same; what is in backticks stays code."""
    parts = " ".join(text.split()).split("`")
    for place in range(0, len(parts), 2):
        parts[place] = re.sub(r"([*<\[\]\\])", r"\\\1", parts[place])
    return "`".join(parts)


def cell(text: str) -> str:
    """Text that ends no cell. Line breaks of docstrings are blanks."""
    return " ".join(text.split()).replace("|", "\\|")


def table(heads: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(cell(one) for one in row)} |" for row in rows)


def settings(rows: Iterable[Row]) -> str:
    return table(
        ("setting", "type", "default", "meaning"),
        ((f"`{one.path}`", one.type, one.default, plain(one.meaning)) for one in rows),
    )
