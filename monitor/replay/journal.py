"""What an interrupted run has read already: a file of JSON lines that only grows.

The first line says what was asked for, every further one what was in one input. A line that a
crash has torn is cut off at the next start. Only whole inputs are noted, so that what could not be
read is tried again.
"""

import io
import os
from pathlib import Path

import msgspec

from monitor.errors import SettingsError
from monitor.event import Wanted
from monitor.replay.reading import Reading
from monitor.replay.sources import Input
from monitor.replay.times import Span

VERSION = 1


class Head(msgspec.Struct, frozen=True):
    """What a journal is tied to."""

    wanted: Wanted
    start: str | None
    """As typed: `7d` means what it meant at the first start."""
    end: str | None
    span: Span
    kms_monitor_replay: int = VERSION


class Entry(msgspec.Struct, frozen=True):
    name: str
    """Unique for the input: an absolute path, or the name."""
    stamp: str
    read: int
    damaged: int
    fault: str
    events: list[msgspec.Raw]


class Journal:
    """An open journal. `close` it."""

    def __init__(self, file: io.FileIO, head: Head, done: dict[str, Entry]) -> None:
        self.file = file
        self.head = head
        self.done = done

    @classmethod
    def open(cls, path: Path, head: Head) -> "Journal":
        """Begin one, or go on with one. Raises `SettingsError` where it does not fit."""
        try:
            # Records say who did what from where: nobody else's business.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            file = io.FileIO(descriptor, "r+")
            text = file.readall()
        except OSError as error:
            raise SettingsError([f"--resume {path}: {error.strerror}"]) from error
        try:
            return cls(file, *continued(file, text, head, path))
        except SettingsError:
            file.close()
            raise

    def reading(self, one: Input) -> Reading | None:
        """What was in an input, if it was read before and has not changed since."""
        entry = self.done.get(one.path or one.name)
        if entry is None or not one.stamp or entry.stamp != one.stamp:
            return None
        events = [bytes(raw) for raw in entry.events]
        return Reading(events, entry.read, entry.damaged, entry.fault)

    def note(self, one: Input, reading: Reading) -> None:
        """It is read. Raises OSError."""
        if not (one.stamp and reading.whole):
            return
        events = [msgspec.Raw(event) for event in reading.events]
        entry = Entry(
            one.path or one.name, one.stamp, reading.read, reading.damaged, reading.fault, events
        )
        write_line(self.file, entry)

    def close(self) -> None:
        self.file.close()


def continued(
    file: io.FileIO, text: bytes, head: Head, path: Path
) -> tuple[Head, dict[str, Entry]]:
    """The head that counts and what was done; a new file gets its first line."""
    first, newline, rest = text.partition(b"\n")
    if not text or (not newline and b"kms_monitor_replay".startswith(first[2:20])):
        file.truncate(0)
        write_line(file, head)
        return head, {}
    try:
        old = msgspec.json.decode(first, type=Head)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise SettingsError([f"--resume {path}: is not a file of kms-monitor replay"]) from error
    asked = (head.wanted, head.start, head.end, head.kms_monitor_replay)
    if asked != (old.wanted, old.start, old.end, old.kms_monitor_replay):
        fault = "was begun with another --from, --to, set of detectors or version; take a new file"
        raise SettingsError([f"--resume {path}: {fault}"])
    done: dict[str, Entry] = {}
    whole = len(first) + 1
    for line in rest.splitlines(keepends=True):
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except (msgspec.DecodeError, UnicodeError):
            break
        if not line.endswith(b"\n"):
            break
        done[entry.name] = entry
        whole += len(line)
    file.truncate(whole)
    return old, done


def write_line(file: io.FileIO, value: Head | Entry) -> None:
    """All of it: a raw file may take less at once."""
    left = memoryview(msgspec.json.encode(value) + b"\n")
    while left:
        left = left[file.write(left) or 0 :]
