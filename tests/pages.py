"""The documentation as its readers see it: pages, code spans, blocks, and the commands in them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
PAGES: Final = {
    str(page.relative_to(ROOT)): page.read_text(encoding="utf-8")
    for page in sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
}
"""By their path in the repository."""

FENCE: Final = re.compile(r"^```(\w*).*?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN: Final = re.compile(r"`([^`\n]+)`")
OURS: Final = re.compile(r"(?:^|\$ |-- |[|;&(] ?)(?:\S*/)?kms-monitor ((?:[a-z]|--)[^|><;&)]*)")
"""A call of our command: at the start of a line, after a prompt, a pipe or `kubectl exec ... --`."""


def fences(text: str, *languages: str) -> Iterator[str]:
    for language, body in FENCE.findall(text):
        if language in languages:
            yield body


def spans(text: str) -> list[str]:
    """What stands in backticks within a line, outside of blocks."""
    return SPAN.findall(FENCE.sub("", text))


def commands(text: str) -> list[str]:
    """The arguments of every call of `kms-monitor` on a page."""
    blocks = "\n".join(fences(text, "sh", "console")).replace("\\\n", " ")
    lines = [*blocks.splitlines(), *spans(text)]
    return [found.strip() for line in lines for found in OURS.findall(line)]
