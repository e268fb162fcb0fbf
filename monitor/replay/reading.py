"""One file read: its shape recognised, the events that somebody looks at taken out of it.

Runs in worker processes, so what goes in and comes out is plain data. Of 7 MB of records gunzip and
the typed decoding of every record each take 6 ms, so no search goes before it.

A line is a document; a document is a trail's `{"Records": [...]}`, a list of records, one record,
an EventBridge event, or what `aws cloudtrail lookup-events` prints (aws-facts 1 and 4).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import msgspec
from isal import igzip, isal_zlib

from monitor.decoding import elements, explain, part, pieces, with_whole_characters
from monitor.errors import Unreadable
from monitor.event import Event, Wanted, checked, read_record
from monitor.notices import ALL_TOLD, TOLD_BY_BRIDGE, from_bridge
from monitor.replay.times import Span

LARGEST = 2**30
"""Bytes of one document. A small archive can unfold into gigabytes."""
GZIP = b"\x1f\x8b"
DAMAGED: tuple[type[Exception], ...] = (igzip.BadGzipFile, cast("Any", isal_zlib).error)


class Asked(msgspec.Struct, frozen=True):
    """What is to be taken out of the inputs."""

    wanted: Wanted
    span: Span = Span()


class Reading(msgspec.Struct):
    """What was in one input."""

    events: list[bytes] = []
    """The wanted ones, each as a record on one line of JSON."""
    read: int = 0
    """How many records there were."""
    damaged: int = 0
    """How many of them cannot be read."""
    fault: str = ""
    """Why the input, or the rest of it, or the first damaged record cannot be read."""
    whole: bool = True
    """False where `fault` concerns more than damaged records."""

    def take(self, event: Event, asked: Asked) -> None:
        """Count one record, and keep it if it is wanted."""
        self.read += 1
        if not asked.wanted.takes(event):
            return
        try:
            if asked.span.holds(checked(event).time):
                self.events.append(on_one_line(msgspec.json.encode(event)))
        except (Unreadable, msgspec.DecodeError) as error:
            self.damage(str(error))

    def damage(self, why: str) -> None:
        self.damaged += 1
        self.fault = self.fault or why

    def broken_off(self, why: str) -> None:
        self.fault = why
        self.whole = False


class Lookup(msgspec.Struct, frozen=True):
    """One entry of what LookupEvents answers."""

    record: str | None = msgspec.field(default=None, name="CloudTrailEvent")


class Document(msgspec.Struct, frozen=True):
    """Whatever shape it has: the members by which it is recognised."""

    records: list[Event] | None = msgspec.field(default=None, name="Records")
    detail: Event | None = None
    lookups: list[Lookup] | None = msgspec.field(default=None, name="Events")
    event_name: str = msgspec.field(default="", name="eventName")


decoder = msgspec.json.Decoder(Document)
record_decoder = msgspec.json.Decoder(Event)


def read_file(path: str, asked: Asked) -> Reading:
    """Everything that is wanted in one file. What cannot be read is said in the answer."""
    reading = Reading(events=[])
    try:
        with Path(path).open("rb") as file:
            zipped = file.read(2) == GZIP
            file.seek(0)
            stream = unzipped(file) if zipped else file
            for event in events_of(stream, reading):
                reading.take(event, asked)
    except Unreadable as error:
        reading.broken_off(str(error))
    except EOFError:
        reading.broken_off("the gzip data break off")
    except DAMAGED as error:
        reading.broken_off(f"the gzip data are damaged: {error}")
    except OSError as error:
        reading.broken_off(error.strerror or str(error))
    return reading


def unzipped(file: IO[bytes]) -> IO[bytes]:
    return cast("IO[bytes]", cast("Any", igzip).IGzipFile(fileobj=file))


def events_of(stream: IO[bytes], reading: Reading) -> Iterator[Event]:
    """Every record in a stream. Raises `Unreadable` where none can be found, and what read raises."""
    first = next_line(stream)
    try:
        yield from events_in(first)
    except Unreadable as error:
        # Either the first line is damaged, or one document fills many lines.
        rest = stream.read(LARGEST + 1)
        if not rest:
            if first.strip():
                raise
            return
        yield from events_over_lines(first + rest, error, reading)
    while line := next_line(stream):
        yield from events_or_damage(line, reading)


def events_over_lines(text: bytes, first: Unreadable, reading: Reading) -> Iterator[Event]:
    if len(text) > LARGEST:
        raise Unreadable("too_large", f"one document of more than {LARGEST} bytes")
    try:
        yield from events_in(text)
    except Unreadable as error:
        start = text.lstrip()[:1]
        lines = text.splitlines()
        if not any(is_document(line) for line in lines):
            raise error if start in {b"{", b"["} else first from error
        for line in lines:
            yield from events_or_damage(line, reading)


def is_document(line: bytes) -> bool:
    try:
        return next(events_in(line), None) is not None
    except Unreadable:
        return False


def events_or_damage(line: bytes, reading: Reading) -> Iterator[Event]:
    if not line.strip():
        return
    try:
        yield from events_in(line)
    except Unreadable as error:
        reading.read += 1
        reading.damage(str(error))


def next_line(stream: IO[bytes]) -> bytes:
    line = stream.readline(LARGEST + 1)
    if len(line) > LARGEST:
        raise Unreadable("too_large", f"one document of more than {LARGEST} bytes")
    return line


def events_in(text: bytes) -> Iterator[Event]:
    """Every record in one document. Raises `Unreadable`, before the first one is given."""
    try:
        document = decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return iter(salvage(text))
    if document.records is not None:
        return iter(document.records)
    if document.detail is not None:
        told = () if document.detail.event_name else told_by_bridge(text)
        return iter(told or (document.detail,))
    if document.lookups is not None:
        return iter([read_record(one.record or "") for one in document.lookups])
    if not document.event_name:
        raise Unreadable(
            "unknown_shape", "neither a CloudTrail record nor anything that holds some"
        )
    try:
        return iter((record_decoder.decode(text),))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return iter(salvage(text))


def told_by_bridge(text: bytes) -> tuple[Event, ...]:
    """The event that a service told EventBridge by itself, which is no CloudTrail record."""
    members = pieces.decode(text)
    kind = part(members.get("detail-type", msgspec.Raw(b"null")), str, "")
    return from_bridge(kind, members, ALL_TOLD).events if kind in TOLD_BY_BRIDGE else ()


def salvage(text: bytes) -> list[Event]:
    """What can be made of a document that is not wholly as it should be. Raises `Unreadable`."""
    text = cast("bytes", with_whole_characters(text))
    try:
        if text.lstrip()[:1] == b"[":
            return [part(raw, Event, Event()) for raw in elements.decode(text)]
        members = pieces.decode(text)
        if "Records" in members:
            return [part(raw, Event, Event()) for raw in elements.decode(members["Records"])]
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise explain(error) from error
    raw = members.get("detail") or msgspec.Raw(text)
    event = part(raw, Event, Event())
    if not event.event_name:
        raise Unreadable(
            "unknown_shape", "neither a CloudTrail record nor anything that holds some"
        )
    return [event]


def on_one_line(record: bytes) -> bytes:
    return msgspec.json.format(record, indent=-1) if b"\n" in record else record
