"""The bytes of a stored object, unpacked in pieces: bounded memory, whatever was packed.

Gzip is known by its first two bytes and not by the object's name, for S3 may serve an object with
`Content-Encoding: gzip` (aws-facts 4.5). Several members in a row are one file (RFC 1952, 2.2).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from isal import igzip_lib

from monitor.errors import Flaw, Unreadable

MAGIC = b"\x1f\x8b"
BROKEN: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment] # isal types it as a value
PIECE = 128 * 1024
"""Bytes unpacked at once: they stay in the processor's cache until they are searched."""
SLICE = 64 * 1024
"""Bytes given to the decompressor at once; it copies what it has not used yet with every call."""
UNSUSPICIOUS = 16 * 1024 * 1024
"""Bytes. A small file of one record over and over may well be packed beyond any ratio."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What no honest log file exceeds."""

    unpacked_bytes: int = 2 * 1024**3
    ratio: int = 200
    """Unpacked by stored bytes. Log files have 10 to 30; deflate can reach 1032."""
    record_bytes: int = 1024 * 1024
    """CloudTrail's own limit is 256 KB, and 1 MB for enriched events (aws-facts 1.1)."""


@dataclass(slots=True)
class Stats:
    """What was found in one object; complete once the reading has ended, by an error or not."""

    stored_bytes: int = 0
    unpacked_bytes: int = 0
    packed: bool = False
    """Whether it was gzip, whose own check tells that nothing is missing."""
    events: int = 0
    insights: int = 0
    """Records that only say how often such a call was made."""
    damaged: Counter[Flaw] = field(default_factory=Counter)
    """Records with a wanted name that cannot be read, by reason."""


def unpack(chunks: Iterable[bytes], limits: Limits, stats: Stats) -> Iterator[bytes]:
    """The unpacked bytes, at most `PIECE` at a time. Raises `Unreadable`, at the end at the latest.

    Only the end tells whether a packed object is complete and sound, so what has been unpacked
    before may turn out to be of a broken one.
    """
    slices = sliced(chunks, stats)
    first = b""
    for one in slices:
        first += one
        if len(first) >= len(MAGIC):
            break
    stats.packed = first.startswith(MAGIC)
    pieces = gunzip(first, slices) if stats.packed else chain_of(first, slices)
    for piece in pieces:
        stats.unpacked_bytes += len(piece)
        size = stats.unpacked_bytes
        if size > limits.unpacked_bytes:
            raise Unreadable("bomb", f"unpacks to more than {limits.unpacked_bytes} bytes")
        if size > max(UNSUSPICIOUS, stats.stored_bytes * limits.ratio):
            raise Unreadable("bomb", f"unpacks to more than {limits.ratio} times its size")
        yield piece


def sliced(chunks: Iterable[bytes], stats: Stats) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), SLICE):
            one = chunk[start : start + SLICE]
            stats.stored_bytes += len(one)
            yield one


def chain_of(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def gunzip(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """Every member's bytes. isal checks each member's CRC and length, and raises where they lie."""
    given: bytes | None = first
    while given is not None:
        unpacker = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        while not unpacker.eof:
            if given is None:
                raise Unreadable("truncated", "the object ends before its gzip member does")
            try:
                piece = unpacker.decompress(given, max_length=PIECE)
            except BROKEN as error:
                raise Unreadable("corrupt", str(error)) from error
            if piece:
                yield piece
            # A full piece means that there may be more inside; otherwise all input has been used.
            if not unpacker.eof:
                given = b"" if len(piece) == PIECE else next(rest, None)
        given = next_member(unpacker.unused_data, rest)


def next_member(left: bytes, rest: Iterator[bytes]) -> bytes | None:
    """The bytes with which the next member begins; None at the end of the object.

    Zeros between and after members are padding, as gzip itself takes them.
    """
    left = left.lstrip(b"\0")
    while len(left) < len(MAGIC) and (more := next(rest, None)) is not None:
        left = (left + more).lstrip(b"\0")
    if left and not left.startswith(MAGIC):
        raise Unreadable("corrupt", "something else follows the gzip data")
    return left or None
