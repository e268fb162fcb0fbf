"""Writes what of the documentation is made from the code: `make reference`."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from manual import alerts, commands, metrics, pictures, responders, settings

DOCS: Final = Path(__file__).parents[1] / "docs"
MADE: Final[dict[str, Callable[[], str]]] = {
    "pictures/architecture.svg": pictures.architecture,
    "pictures/contested.svg": pictures.contested,
    "reference/alerts.md": alerts.page,
    "reference/commands.md": commands.page,
    "reference/metrics.md": metrics.page,
    "reference/responders.md": responders.page,
    "reference/settings.md": settings.page,
}
"""By the path in docs/."""


def main() -> None:
    for name, text in MADE.items():
        (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / name).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
