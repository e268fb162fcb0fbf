"""Times as CloudTrail writes them into the parameters of KMS calls: text for people, without a zone.

Seen in AWS's own samples (aws-facts 2.3): `Jan 1, 2021 8:00:00 PM`, `Nov 2, 2021, 11:25:25 PM` and
`Apr 12, 2021 18:58:30 PM`, where the hour is of 24 and PM says nothing. Newer Java puts U+202F before
AM and PM. AWS documents no zone; UTC is taken, which is wrong by a day at most. So it serves to
tell "in a few days" from "in a year", and nothing else: DescribeKey knows the real time.
"""

import re
from datetime import UTC, datetime
from typing import Final

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WRITTEN: Final = re.compile(
    r"(?P<month>[A-Za-z]{3})[a-z]{0,6}\.? (?P<day>[0-9]{1,2}), (?P<year>[0-9]{4}),?"
    r" (?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(:(?P<second>[0-9]{2}))?"
    r"( ?(?P<half>[AaPp][Mm]))?( (UTC|GMT))?"
)


def read_written(text: str) -> float | None:
    """Epoch seconds; None if it is in none of the known forms. ISO 8601 is read as well."""
    plain = " ".join(text.split())  # U+202F and U+00A0 count as blanks
    if len(plain) > 60:
        return None
    try:
        moment = from_words(plain) or datetime.fromisoformat(plain)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def from_words(plain: str) -> datetime | None:
    """None if it is not of this form. Raises ValueError if it is, but there is no such time."""
    found = WRITTEN.fullmatch(plain)
    if found is None:
        return None
    month, hour, half = found["month"].lower(), int(found["hour"]), (found["half"] or "").lower()
    if half and hour <= 12:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return datetime(
        int(found["year"]),
        MONTHS.index(month) + 1,
        int(found["day"]),
        hour,
        int(found["minute"]),
        int(found["second"] or 0),
        tzinfo=UTC,
    )
