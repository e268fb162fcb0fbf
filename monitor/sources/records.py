"""The wanted records of one CloudTrail log file, found before anything is parsed.

A log file is one JSON object `{"Records": [...]}` of thousands of records, and hardly any is about
what a detector looks at. So the unpacked bytes are searched for the wanted names; only around a hit
are the bounds of its record looked for, and only that record is parsed. Layout: AWS CloudTrail user
guide, "CloudTrail record contents"; aws-facts 1.1 and 4.5.

What makes the search exact: inside a JSON string every quote has a backslash before it. So a hit
whose first quote has none is a member of some object. Whether that object is a record, and not
something that a caller sent inside one, is told by what stands around it.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from monitor.decoding import explain, part, with_whole_characters
from monitor.errors import Unreadable
from monitor.event import Event, Wanted, checked
from monitor.sources.bounds import are_siblings, end_of, is_enclosed, start_of
from monitor.sources.unpack import Limits, Stats, unpack

__all__ = ["Kind", "Limits", "Search", "Stats", "classify", "read_records"]

Kind = Literal["log", "digest", "insight", "network_activity", "aggregated", "config", "other"]

FOLDERS: dict[str, Kind] = {
    "CloudTrail": "log",
    "CloudTrail-Digest": "digest",
    "CloudTrail-Insight": "insight",
    "CloudTrail-NetworkActivity": "network_activity",
    "CloudTrail-Aggregated": "aggregated",
    "Config": "config",
}
PLACE = re.compile(
    r"(?:^|/)AWSLogs/(?:o-[a-z0-9]+/)?\d{12}/([^/]+)/(?:[^/]+/)*[^/]+\.json(?:\.gz)?$"
)

HEAD = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"Records"\s*:\s*\[')
TAIL = re.compile(rb"\]\s*\}\s*\Z")
EDGE = 1024
"""Bytes of the beginning and of the end that are looked at for the file's own shape."""
LARGEST_SENT = 256 * 1024
"""CloudTrail's limit of one event, and so of what a caller can get into one (aws-facts 1.1)."""
NEARBY = 64 * 1024
INSIGHT = re.compile(rb'"insightDetails"\s*:\s*\Z')
SPACES = 32
"""White space of pretty-printed JSON, at most, on either side of a colon."""


def classify(key: str) -> Kind:
    """What an object is, by its name (aws-facts 4.5). Only `log` holds records of calls."""
    match = PLACE.search(key)
    return FOLDERS.get(match[1], "other") if match else "other"


class Search:
    """Where a wanted `eventName`, or `errorCode`, may stand. What it finds is to be confirmed."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        names = sorted({name.encode() for _, name in wanted.calls})
        codes = sorted({code.encode() for _, _, code in wanted.failures})
        space = rb"\s{0,%d}" % SPACES
        members = [
            rb'"%b"%b:%b"(?:%b)"' % (member, space, space, b"|".join(map(re.escape, texts)))
            for member, texts in ((b"eventName", names), (b"errorCode", codes))
            if texts
        ]
        self.pattern = re.compile(b"|".join(members) or b"(?!)")
        longest = max(map(len, names + codes), default=0)
        self.longest = len(b'"eventName":""') + 2 * SPACES + longest

    def hits(self, piece: bytes) -> Iterator[re.Match[bytes]]:
        return self.pattern.finditer(piece)


def read_records(
    chunks: Iterable[bytes],
    search: Search,
    *,
    limits: Limits | None = None,
    stats: Stats | None = None,
) -> Iterator[Event]:
    """The wanted events of one stored object, in their order. Raises `Unreadable`.

    `chunks` are the object's bytes, gzip or plain JSON. An event is handed over as soon as its
    record is found, before the rest of the object is known to be sound; the error comes last, so
    that what can be read is read. A record that is damaged costs only itself: see `Stats.damaged`.
    """
    limits, stats = limits or Limits(), stats or Stats()
    reading = Reading(search, limits.record_bytes, stats)
    try:
        for piece in unpack(chunks, limits, stats):
            yield from reading.feed(piece)
    except Unreadable:
        # What came before is worth reading: every event is a hint that is looked into anyway.
        yield from reading.read(reading.size)
        raise
    yield from reading.end()


class Reading:
    """One object while it is read: the last pieces of it, and the hits that are still to be read.

    All places are counted from the object's first byte. A hit waits until there is as much behind
    it as a record may have.
    """

    def __init__(self, search: Search, reach: int, stats: Stats) -> None:
        self.search = search
        self.reach = max(reach, 2 * EDGE)
        self.stats = stats
        self.pieces: deque[bytes] = deque()
        self.begin = 0
        """Where the first of `pieces` stands; the last one ends at `size`."""
        self.size = 0
        self.window = b""
        """Some of the pieces in a row, from `window_begin` on, for the hits near one another."""
        self.window_begin = 0
        self.head = b""
        self.seam = b""
        self.hits: deque[int] = deque()
        self.known_end = -1
        """Where the last one ended that is known to be a record; -1 if none is yet."""
        self.too_large = 0

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Search one more piece; the events of those hits that have waited long enough."""
        if len(self.head) < EDGE:
            self.head += piece[:EDGE]
            if len(self.head) >= EDGE:
                self.check_head()
        longest, border = self.search.longest, len(self.seam)
        for hit in self.search.hits(self.seam + piece[:longest]) if border else ():
            if hit.start() < border < hit.end():  # what lies on one side of it is found there
                self.hits.append(self.size - border + hit.start())
        self.hits.extend(self.size + hit.start() for hit in self.search.hits(piece))
        self.seam = (self.seam + piece)[-longest:] if len(piece) < longest else piece[-longest:]
        self.pieces.append(piece)
        self.size += len(piece)
        yield from self.read(self.size - self.reach)
        needed = (self.hits[0] if self.hits else self.size) - self.reach
        while self.pieces and self.begin + len(self.pieces[0]) <= needed:
            self.begin += len(self.pieces.popleft())

    def end(self) -> Iterator[Event]:
        """The events that still waited, then what is wrong with the object as a whole."""
        self.check_head()
        yield from self.read(self.size)
        self.check_tail()
        if self.too_large:
            raise Unreadable("too_large", f"records of more than {self.reach} bytes")

    def read(self, until: int) -> Iterator[Event]:
        """The events of the hits up to `until`."""
        while self.hits and self.hits[0] <= until:
            hit = self.hits.popleft()
            if hit < self.known_end:
                continue  # one more in a record that has been read
            try:
                event = self.event(hit)
            except Unreadable as error:
                self.stats.damaged[error.reason] += 1
                self.too_large += error.reason == "too_large"
                continue
            if event is not None:
                self.stats.events += 1
                yield event
        if not self.hits:
            self.window = b""

    def event(self, hit: int) -> Event | None:
        """The event of the record around a hit, if it is one and wanted. Raises `Unreadable`."""
        window, place = self.around(hit, NEARBY)
        if window[place - 1 : place] == b"\\":
            return None  # the end of a string
        start = start_of(window, place, self.reach)
        if start is None and hit - place > self.begin:
            window, place = self.around(hit, self.reach)
            start = start_of(window, place, self.reach)
        if start is None:
            raise Unreadable("too_large" if place >= self.reach else "not_json")
        before = window[max(0, start - EDGE) : start].rstrip()
        if before[-1:] not in {b"[", b","}:
            self.stats.insights += INSIGHT.search(before) is not None
            return None
        end = end_of(window, start, self.reach)
        if end is None:
            large = len(window) - start >= self.reach
            raise Unreadable("too_large" if large else "not_json")
        if not self.is_record(window, start, end, hit - place):
            return None
        self.known_end = hit - place + end
        return wanted_event(window[start:end], self.search.wanted, self.stats)

    def around(self, hit: int, reach: int) -> tuple[bytes, int]:
        """All from `reach` before a hit on, and where in it the hit stands."""
        low = max(self.begin, hit - reach)
        if not self.window_begin <= low < self.window_begin + len(self.window) or (
            self.window_begin + len(self.window) < min(self.size, hit + self.reach)
        ):
            at, inside = self.begin, []
            for piece in self.pieces:
                if at + len(piece) > low:
                    inside.append(piece)
                at += len(piece)
            self.window = b"".join(inside)
            self.window_begin = self.size - len(self.window)
        return self.window, hit - self.window_begin

    def is_record(self, window: bytes, start: int, end: int, window_begin: int) -> bool:
        """Whether an object in an array is a record, and not something that a caller sent in one.

        It is one if it stands beside a record, or if nothing ends behind it but the file.
        """
        known = self.known_end - window_begin
        if self.known_end >= 0 and 0 <= known <= start and are_siblings(window[known:start]):
            return True
        # A little more than the largest, so that the end of the file can be told.
        return not is_enclosed(window[end : start + LARGEST_SENT + EDGE])

    def check_head(self) -> None:
        if HEAD.match(self.head) is None:
            raise Unreadable("unknown_shape", "not an object with a list of Records")

    def check_tail(self) -> None:
        """Whether the list of records ends, and the file with it."""
        window = b"".join(self.pieces)
        tail = TAIL.search(window, max(0, len(window) - EDGE))
        if tail is None:
            raise Unreadable("truncated", "the list of records does not end")
        if self.stats.packed:
            return
        # In a plain file that was cut off, `]}` may be the end of a record.
        opened = start_of(window, tail.start(), self.reach)
        if opened != (None if self.begin else window.find(b"{")):
            raise Unreadable("truncated", "the last record does not end")


class Outline(msgspec.Struct, rename="camel"):
    """What tells a call from a report about calls."""

    event_type: str | None = None


def wanted_event(text: bytes, wanted: Wanted, stats: Stats) -> Event | None:
    """The event of one record; None if it is not wanted after all. Raises `Unreadable`."""
    try:
        raw = msgspec.json.decode(with_whole_characters(text), type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise explain(error) from error
    event = part(raw, Event, Event())
    if not wanted.takes(event):
        return None
    if part(raw, Outline, Outline()).event_type == "AwsCloudTrailInsight":
        stats.insights += 1
        return None
    return checked(event)
