"""Boxes and arrows as SVG: enough for the pictures of the pages, and nothing that a browser has to fetch."""

from collections.abc import Iterable
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

STYLE: Final = """\
svg{background:#f6f8fa;font-family:system-ui,sans-serif;font-size:14px;fill:#1f2933}
.box{fill:#fff;stroke:#52667a}
.ours{fill:#e3edf7;stroke:#2f6690}
.room{fill:none;stroke:#2f6690;stroke-dasharray:6 4}
.note{font-size:12px;fill:#52667a}
.name{font-weight:600}
path{fill:none;stroke:#52667a;stroke-width:1.5}
.asks{stroke-dasharray:4 4}
text{text-anchor:middle}
"""
"""The same in light and dark: a card of its own, for a picture does not know which of them is chosen."""
HEAD: Final = (
    '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto-start-reverse"><path d="M1 1 7 4 1 7"/></marker>'
)

Point = tuple[float, float]


class Box(NamedTuple):
    """A box with a name and lines below it. `kind` is a class of STYLE."""

    x: float
    y: float
    width: float
    height: float
    name: str
    notes: tuple[str, ...] = ()
    kind: str = "box"

    @property
    def top(self) -> Point:
        return self.x + self.width / 2, self.y

    @property
    def bottom(self) -> Point:
        return self.x + self.width / 2, self.y + self.height

    @property
    def left(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        return self.x + self.width, self.y + self.height / 2

    def svg(self) -> str:
        middle = self.x + self.width / 2
        first = self.y + (24 if self.kind == "room" else self.height / 2 + 5 - 8 * len(self.notes))
        lines = [text((middle, first), self.name, "name")]
        lines += [
            text((middle, first + 17 * number), note, "note")
            for number, note in enumerate(self.notes, 1)
        ]
        shape = f'x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" height="{self.height:g}"'
        return f'<rect class="{self.kind}" {shape} rx="6"/>' + "".join(lines)


def text(where: Point, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{where[0]:g}" y="{where[1]:g}">{escape(words)}</text>'


def arrow(*points: Point, asks: bool = False, both: bool = False) -> str:
    """A line along the points, with a head at its end; dashed where it only asks."""
    line = "M" + " ".join(f"{x:g} {y:g}" for x, y in points)
    start = ' marker-start="url(#head)"' if both else ""
    kind = ' class="asks"' if asks else ""
    return f'<path{kind} d="{line}" marker-end="url(#head)"{start}/>'


def picture(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """The whole file. `title` is what a reader hears who does not see it."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(title)}</title><style>{STYLE}</style><defs>{HEAD}</defs>",
            *parts,
            "</svg>\n",
        ]
    )
