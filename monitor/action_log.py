"""The log of everything that was done, chained by hashes. Pure.

Each entry holds the hash of the one before, so that whoever changes, drops or inserts one has to write
all later ones anew; and the hash of the last, noted elsewhere, shows even that.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec

START: Final = "0" * 64
"""What stands for the hash before the first entry."""


class LogEntry(msgspec.Struct, frozen=True):
    """Numbers begin with 1 and leave none out. `at` in epoch seconds."""

    number: int
    at: float
    what: dict[str, Any]
    """JSON: see whoever writes it. Texts in it may come from events: untrusted."""
    before: str
    """The hash of the entry before."""
    hash: str = ""


def digest(entry: LogEntry) -> str:
    """SHA-256 over all of the entry but its own hash, as JSON with sorted members and no blanks."""
    said = [entry.number, entry.at, entry.what, entry.before]
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def following(last: LogEntry | None, at: float, what: dict[str, Any]) -> LogEntry:
    """The entry after this one."""
    number, before = (last.number + 1, last.hash) if last else (1, START)
    entry = LogEntry(number, at, what, before)
    return msgspec.structs.replace(entry, hash=digest(entry))


def unreadable(number: int) -> LogEntry:
    """What stands for an entry that cannot be read: an empty one, which fits in no chain.

    So whoever tampers with the log is found, and does not keep us from writing on.
    """
    return LogEntry(number, 0.0, {}, "")


def faults(entries: Iterable[LogEntry], last: LogEntry | None = None) -> list[str]:
    """What is wrong with these entries, oldest first, that follow on `last`; [] if nothing is."""
    found = []
    for entry in entries:
        number, before = (last.number + 1, last.hash) if last else (1, START)
        if entry.number != number:
            found.append(f"entry {entry.number} stands where {number} should")
        if entry.before != before:
            found.append(f"entry {entry.number} does not follow on the one before it")
        if entry.hash != digest(entry):
            found.append(f"entry {entry.number} was changed")
        last = entry
    return found


class Verification:
    """The same for a log that is read a part at a time, and compared with a head noted elsewhere."""

    def __init__(self, number: int = 0, digest: str = "") -> None:
        """The entry of that number has to have that hash; 0: none is known."""
        self.number = number
        self.digest = digest
        self.last: LogEntry | None = None
        self.count = 0
        self.faults: list[str] = []

    def take(self, entry: LogEntry) -> None:
        """The next entry."""
        self.faults += faults([entry], self.last)
        self.last = entry
        self.count += 1
        if entry.number == self.number and entry.hash != self.digest:
            self.faults.append(f"entry {entry.number} is not the one that was noted elsewhere")

    def end(self) -> list[str]:
        """There are no more: what is wrong with the log."""
        number = self.last.number if self.last else 0
        if number < self.number:
            self.faults.append(f"it ends with entry {number}, but entry {self.number} was there")
        return self.faults
