"""What detectors remember over time: short lists of what happened about one subject.

A window belongs to one detector and one subject, such as an actor or a key. Its entries carry the
id of the event that they rest on: noted twice they count once, so a redelivery changes nothing.
They are ordered by CloudTrail's time, never by arrival, so that late and mixed-up events come to
the same end, and replay says what the daemon said.

An event is judged once, when it arrives: of events that together mean something the last to arrive
sees them all. What was judged stays as it is, whatever arrives later.

Synchronous, hence atomic. `monitor.remembrance` keeps the windows in the store.
"""

from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Self

import msgspec

MOST_WINDOWS = 20_000
"""Of one detector; beyond it the window is forgotten that was left alone the longest."""
MOST_SPANS = 24
"""Stretches of one window that are looked at for one event."""
MOST_ENTRIES = 500
"""In one window; beyond it the oldest are forgotten of what it is fullest of: see `crowd_out`."""
UNJUDGED = -1
"""The level of an event that was noted, and no more."""
DAY = 86400.0


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
    level: int = UNJUDGED
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
            crowd_out(self.entries)
            if entry in self.entries:
                self.windows.changed[self.name, event_id] = entry
        return self

    def find(self, event_id: str) -> Entry | None:
        return next((one for one in self.entries if one.event_id == event_id), None)

    def between(self, start: float, end: float) -> list[Entry]:
        """The entries of that span, both ends included."""
        first = bisect_left(self.entries, start, key=time_of)
        return self.entries[first : bisect_right(self.entries, end, key=time_of)]

    def around(self, event_id: str, seconds: float) -> list[Entry]:
        """The entries so many seconds before and after an event, itself included."""
        mine = self.find(event_id)
        return self.between(mine.at - seconds, mine.at + seconds) if mine else []

    def spans(self, event_id: str, seconds: float) -> Iterator[list[Entry]]:
        """Every stretch of so many seconds that holds the event and begins with an entry.

        Of very many only some, evenly chosen, the first and the last among them: whoever floods a
        window must not have us look at each entry as often as there are entries.
        """
        mine = self.find(event_id)
        if mine is None:
            return
        starts = sorted({one.at for one in self.between(mine.at - seconds, mine.at)})
        if len(starts) > MOST_SPANS:
            step = (len(starts) - 1) / (MOST_SPANS - 1)
            starts = [starts[round(number * step)] for number in range(MOST_SPANS)]
        yield from (self.between(start, start + seconds) for start in starts)

    def rises(self, event_id: str, level: int, within: float) -> int:
        """The level that this event, which must be noted here, raises the window to; else 0.

        It does so once for each level among the events `within` so many seconds before and after.
        Asked again about the same event the answer is the same, for that may be delivered again
        before anybody was told. Level 0 is no rise.
        """
        mine = self.find(event_id)
        if mine is None:  # crowded out
            return 0
        if mine.level == UNJUDGED:
            highest = max(one.level for one in self.around(event_id, within))
            mine = self.put(mine, level=level if level > highest else 0)
        return mine.level

    def renew(self, entry: Entry, until: float) -> None:
        """Remember an entry for longer. By less than a day is not worth a write."""
        if until >= entry.until + DAY:
            self.put(entry, until=until)

    def put(self, entry: Entry, **changes: float) -> Entry:
        """Put a changed entry in the place of this one."""
        changed = msgspec.structs.replace(entry, **changes)
        self.entries[self.entries.index(entry)] = changed
        self.windows.changed[self.name, entry.event_id] = changed
        return changed


class Windows:
    """All windows, by detector and subject."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.by_detector: dict[str, dict[str, Window]] = defaultdict(dict)
        self.changed: dict[tuple[str, str], Entry] = {}
        """What is not in the store yet, by window and event id."""
        self.learn(entries)

    def of(self, detector: str, subject: str) -> Window:
        """The window of this detector about this subject; empty where nothing was noted."""
        windows = self.by_detector[detector]
        # Taken out and put in again: the order of the dict is the order of use.
        window = windows.pop(subject, None) or Window(self, f"{detector}|{subject}")
        windows[subject] = window
        if len(windows) > MOST_WINDOWS:
            del windows[next(iter(windows))]
        return window

    def all_of(self, detector: str) -> list[Window]:
        return list(self.by_detector[detector].values())

    def learn(self, entries: Iterable[Entry]) -> None:
        """What the store knows: from before a restart, or of another replica."""
        for entry in sorted(entries):
            detector, _, subject = entry.window.partition("|")
            window = self.of(detector, subject)
            known = window.find(entry.event_id)
            if known is None:
                insort(window.entries, entry)
                crowd_out(window.entries)
            else:
                window.entries[window.entries.index(known)] = msgspec.structs.replace(
                    known,
                    level=max(known.level, entry.level),
                    until=max(known.until, entry.until),
                )

    def forget(self, now: float) -> None:
        """Drop what has run out, written or not, and windows that are empty."""
        for windows in self.by_detector.values():
            for subject, window in list(windows.items()):
                window.entries = [one for one in window.entries if one.until >= now]
                if not window.entries:
                    del windows[subject]
        self.changed = {name: one for name, one in self.changed.items() if one.until >= now}

    def take_changed(self) -> list[Entry]:
        """What is to be written to the store, once."""
        changed, self.changed = list(self.changed.values()), {}
        return changed


def crowd_out(entries: list[Entry]) -> None:
    """Of too many entries forget the oldest of the commonest kind.

    Whoever repeats one call on one thing hundreds of times, or forges events of the far future,
    thus crowds out nothing but that.
    """
    while len(entries) > MOST_ENTRIES:
        counted = Counter((one.what, one.about) for one in entries)
        most = max(counted.values())
        full = {kind for kind, times in counted.items() if times == most}
        del entries[next(n for n, one in enumerate(entries) if (one.what, one.about) in full)]


def time_of(entry: Entry) -> float:
    return entry.at
