"""Since when keys are other than they should be: noted where other containers can read it. Pure.

The sweep gives messages some minutes before it acts. A daemon remembers that; of a function each
look may be made by another container. Windows can only grow, so that a key is right again is noted,
too.
"""

from collections.abc import Mapping
from typing import Final

from monitor.key import KeyRef
from monitor.windows import DAY, Entry, Window, Windows

KIND: Final = "doubts"
OVER: Final = "over"
KEEP: Final = DAY
"""Seconds: longer than from one look to the next."""

Doubts = Mapping[KeyRef, tuple[str, float]]
"""What is doubtful of each key, and since when (epoch seconds)."""


def window_of(windows: Windows, kind: str, place: tuple[str, str]) -> Window:
    """`kind`: which of several lists of one place."""
    return windows.of(KIND, f"{kind}|{'|'.join(place)}")


def recall(window: Window, now: float) -> dict[KeyRef, tuple[str, float]]:
    """What was doubtful at the last look."""
    last: dict[KeyRef, Entry] = {}
    for entry in window.entries:  # oldest first
        key = KeyRef.parse(entry.about)
        if key is not None and entry.until >= now:
            last[key] = entry
    return {key: (one.what, one.at) for key, one in last.items() if one.what != OVER}


def note(window: Window, doubts: Doubts, now: float) -> None:
    """What is doubtful now, and what no more."""
    before = recall(window, now)
    for key, (what, since) in doubts.items():
        if before.get(key) != (what, since):
            window.note(f"{key.arn} {what} {since}", since, what, key.arn, keep=KEEP)
    for key in before.keys() - doubts.keys():
        window.note(f"{key.arn} {OVER} {now}", now, OVER, key.arn, keep=KEEP)
