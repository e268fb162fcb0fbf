"""What CloudWatch Logs packs before it sends it: unpacked, but never into more than is honest. Pure."""

from typing import Final

from monitor.errors import Unreadable
from monitor.sources.unpack import Limits, Stats, unpack

MOST: Final = Limits(unpacked_bytes=64 * 1024**2)
"""Lambda is called with 6 MB at most ("Lambda quotas"), and text packs ten to thirty to one."""


def unpacked(content: bytes) -> bytes:
    """Raises `Unreadable`: `corrupt`, `truncated`, `bomb`."""
    if not content:
        raise Unreadable("empty", "there is nothing in it")
    return b"".join(unpack([content], MOST, Stats()))
