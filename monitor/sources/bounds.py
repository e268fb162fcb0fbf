"""Where an object inside a JSON text begins and ends, seen from a place within it.

Only the bytes around that place are looked at, backwards too. That works because of what JSON is:
inside a string every quote has a backslash before it, and nowhere else is there any backslash.
"""

import re
from typing import Any

import msgspec

BRACE = re.compile(rb'[^"{}]*+(?:"(?:[^"\\]++|\\.)*+"[^"{}]*+)*+([{}])', re.DOTALL)
"""Up to the next brace outside of strings."""
BRACE_BACKWARDS = re.compile(rb'[^"{}]*+(?:"(?:[^"]++|"(?=\\))*+"[^"{}]*+)*+([{}])')
"""The same in a text that is turned around, where a quote inside a string is followed by `\\`."""
NEAR = 4096
"""Bytes. Most records are smaller, so it is tried first."""


class Skipped(msgspec.Struct):
    """An object of which nothing is wanted; for msgspec to skip at its speed."""


array: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[msgspec.Raw])
members: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Skipped)
CLOSED = re.compile(r"trailing characters \(byte (\d+)\)")
"""msgspec's words where a value ends before the text does; it counts from 1."""


def start_of(window: bytes, place: int, reach: int) -> int | None:
    """Where the object begins that has `place` between its members; None if not within reach."""
    for span in (NEAR, 16 * NEAR, reach):
        low = max(0, place - span)
        backwards = window[low:place][::-1]
        depth = at = 0
        while match := BRACE_BACKWARDS.match(backwards, at):
            at = match.end()
            if match[1] == b"}":
                depth += 1
            elif depth == 0:
                return place - at
            else:
                depth -= 1
        if low == 0:
            break
    return None


def end_of(window: bytes, start: int, reach: int) -> int | None:
    """Behind the object that begins at `start`; None if it does not end within reach."""
    depth, at, limit = 0, start, min(len(window), start + reach)
    while match := BRACE.match(window, at, limit):
        at = match.end()
        depth += 1 if match[1] == b"{" else -1
        if depth == 0:
            return at
    return None


def are_siblings(between: bytes) -> bool:
    """Whether only whole objects stand between two objects, as in one array."""
    try:
        array.decode(b"[0" + between + b"0]")
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False
    return True


def is_enclosed(behind: bytes) -> bool:
    """Whether the array around an object, and what is around that array, both end in `behind`.

    `behind` is what follows the object. The list of records and the file around it do not count:
    behind them is nothing.
    """
    end = closed_at(array, b"[0", behind)
    if end is None:
        return False
    outside = behind[end:]
    return any(
        closed_at(decoder, opening, outside) is not None
        for decoder, opening in ((members, b'{"":0'), (array, b"[0"))
    )


def closed_at(decoder: msgspec.json.Decoder[Any], opening: bytes, rest: bytes) -> int | None:
    """Where in `rest` closes what `opening` opens; None if it does not, or nothing follows."""
    try:
        decoder.decode(opening + rest)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        closed = CLOSED.search(str(error))
        return int(closed[1]) - 1 - len(opening) if closed else None
    return None
