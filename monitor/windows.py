"""What detectors remember over time: short lists of what happened about one subject.

A window belongs to one detector and one subject, such as an actor or a key. Its entries carry the
id of the event that they rest on: noted twice they count once, so a redelivery changes nothing.
They are ordered by CloudTrail's time, never by arrival, so that late and mixed-up events come to
the same end, and replay says what the daemon said.

Synchronous, hence atomic. `monitor.remembrance` keeps the windows in the store.
"""

from bisect import insort
from collections.abc import Iterable
from typing import Self

import msgspec

MOST_WINDOWS = 20_000
"""Beyond it the window is forgotten that was left alone the longest."""
MOST_ENTRIES = 500
"""In one window; beyond it the oldest are forgotten."""


class Entry(msgspec.Struct, frozen=True, order=True):
    """One thing that happened. Times are epoch seconds; `window` is the window's name."""

    at: float
    event_id: str
    what: str
    """A word of the detector's own, such as the event's name."""
    about: str = ""
    """What it happened to, or who did it: whatever the subject is not."""
    window: str = ""
    until: float = 0.0
    """When it may be forgotten."""
    level: int = 0
    """How far this event raised the window: see `Window.rises`."""


class Window:
    """What is known about one subject, oldest first."""

    def __init__(self, windows: "Windows", name: str) -> None:
        self.windows = windows
        self.name = name
        self.entries: list[Entry] = []

    def note(self, event_id: str, at: float, what: str, about: str = "", *, keep: float) -> Self:
        """Remember it for at least `keep` seconds after it happened."""
        if self.find(event_id) is None:
            entry = Entry(at, event_id, what, about, self.name, at + keep)
            insort(self.entries, entry)
            del self.entries[:-MOST_ENTRIES]
            if entry in self.entries:
                self.windows.changed[self.name, event_id] = entry
        return self

    def find(self, event_id: str) -> Entry | None:
        return next((one for one in self.entries if one.event_id == event_id), None)

    def between(self, start: float, end: float) -> list[Entry]:
        """The entries of that span, both ends included."""
        return [one for one in self.entries if start <= one.at <= end]

    def rises(self, event_id: str, level: int, within: float) -> bool:
        """Whether this event, which must be noted here, raises the window to a level yet unknown.

        It is true once for each level among the events `within` so many seconds before and after,
        and true again for the event that raised it, for that may be delivered again before anybody
        was told. Level 0 never rises.
        """
        mine = self.find(event_id)
        if mine is None:  # crowded out by 500 younger ones
            return False
        if mine.level:
            return True
        around = self.between(mine.at - within, mine.at + within)
        if level <= max(one.level for one in around):
            return False
        risen = msgspec.structs.replace(mine, level=level)
        self.entries[self.entries.index(mine)] = risen
        self.windows.changed[self.name, event_id] = risen
        return True


class Windows:
    """All windows, by name."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.by_name: dict[str, Window] = {}
        self.changed: dict[tuple[str, str], Entry] = {}
        """What is not in the store yet, by window and event id."""
        self.learn(entries)

    def of(self, detector: str, subject: str) -> Window:
        """The window of this detector about this subject; empty where nothing was noted."""
        name = f"{detector}|{subject}"
        # Taken out and put in again: the order of the dict is the order of use.
        window = self.by_name.pop(name, None) or Window(self, name)
        self.by_name[name] = window
        if len(self.by_name) > MOST_WINDOWS:
            del self.by_name[next(iter(self.by_name))]
        return window

    def learn(self, entries: Iterable[Entry]) -> None:
        """What the store knows: from before a restart, or of another replica."""
        for entry in sorted(entries):
            detector, _, subject = entry.window.partition("|")
            window = self.of(detector, subject)
            known = window.find(entry.event_id)
            if known is None:
                insort(window.entries, entry)
                del window.entries[:-MOST_ENTRIES]
            elif entry.level > known.level:
                window.entries[window.entries.index(known)] = entry

    def forget(self, now: float) -> None:
        """Drop what has run out, and windows that are empty."""
        for name, window in list(self.by_name.items()):
            window.entries = [one for one in window.entries if one.until >= now]
            if not window.entries:
                del self.by_name[name]

    def take_changed(self) -> list[Entry]:
        """What is to be written to the store, once."""
        changed, self.changed = list(self.changed.values()), {}
        return changed
