"""Times as people type them, and which folders of a trail they can concern."""

import re
from datetime import UTC, datetime, timedelta

import msgspec

from monitor.errors import SettingsError

AGO = re.compile(r"(?P<count>[0-9]{1,6})(?P<unit>[smhdw])")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

DAY_FOLDER = re.compile(
    r"(?:^|/)CloudTrail/[a-z0-9-]{4,30}/(?P<year>\d{4})/(?:(?P<month>\d\d)/(?:(?P<day>\d\d)/)?)?"
)
"""`CloudTrail/REGION/YYYY/MM/DD/` (aws-facts 4.5), or as much of it as there is."""
NEIGHBOUR = re.compile(
    r"(?:^|/)(?:CloudTrail-(?:Digest|Insight|NetworkActivity|Aggregated)|Config)/"
)
"""What stands beside the log files of a trail and is none."""


class Span(msgspec.Struct, frozen=True):
    """From `start` to before `end` (epoch seconds); None where it is open."""

    start: float | None = None
    end: float | None = None

    def holds(self, moment: float) -> bool:
        return (self.start is None or moment >= self.start) and (
            self.end is None or moment < self.end
        )


def parse_time(text: str, option: str, now: float) -> float:
    """ISO 8601, or how long ago: `7d`. Epoch seconds. Raises `SettingsError`."""
    if match := AGO.fullmatch(text.strip()):
        return now - int(match["count"]) * UNITS[match["unit"]]
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        expected = "a time such as 2026-11-20, 2026-11-20T09:14:03Z, or how long ago: 12h, 7d"
        raise SettingsError([f"{option}: is {text[:60]!r}, but must be {expected}"]) from error


def parse_span(start: str | None, end: str | None, now: float) -> Span:
    """What `--from` and `--to` say. Raises `SettingsError`."""
    span = Span(
        None if start is None else parse_time(start, "--from", now),
        None if end is None else parse_time(end, "--to", now),
    )
    if span.start is not None and span.end is not None and span.start >= span.end:
        raise SettingsError([f"--from {start}: must be earlier than --to {end or 'now'}"])
    return span


def worth_opening(path: str, span: Span) -> bool:
    """Whether a file or folder (which ends in `/`) may hold log files of that span, by its path.

    The folders tell the day on which a file was delivered, minutes after its events as a rule, so
    that one more day is looked at after the end.
    """
    if NEIGHBOUR.search(path):
        return False
    match = DAY_FOLDER.search(path)
    if match is None:
        return True
    try:
        first = datetime(
            int(match["year"]), int(match["month"] or 1), int(match["day"] or 1), tzinfo=UTC
        )
        days = 1 if match["day"] else 31 if match["month"] else 366
        last = first + timedelta(days=days)
    except (ValueError, OverflowError):
        return True  # some other folder, named by other numbers
    if span.start is not None and last.timestamp() <= span.start:
        return False
    return span.end is None or first.timestamp() < span.end + 86400
