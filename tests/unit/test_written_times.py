"""Times as CloudTrail writes them for people."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.written_times import read_written

MOMENTS = st.integers(1_356_998_400, 32_503_679_999).map(lambda at: datetime.fromtimestamp(at, UTC))
"""Whole seconds of the years 2013 to 2999."""


def words(moment: datetime, form: str) -> str:
    """The moment as English text, whatever the language of this machine."""
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return form.format(
        month=months[moment.month - 1],
        day=moment.day,
        year=moment.year,
        hour12=moment.hour % 12 or 12,
        hour24=moment.hour,
        minute=moment.minute,
        second=moment.second,
        half="AM" if moment.hour < 12 else "PM",
    )


@pytest.mark.parametrize(
    "form",
    [
        "{month} {day}, {year} {hour12}:{minute:02}:{second:02} {half}",
        "{month} {day}, {year}, {hour12}:{minute:02}:{second:02} {half}",
        "{month} {day}, {year}, {hour12}:{minute:02}:{second:02}\u202f{half}",
        "{month} {day}, {year} {hour12:02}:{minute:02}:{second:02}{half} UTC",
        "{month} {day}, {year} {hour24}:{minute:02}:{second:02}",
    ],
)
@given(moment=MOMENTS)
def test_every_form_says_the_same_moment(form: str, moment: datetime) -> None:
    assert read_written(words(moment, form)) == moment.timestamp()


@given(MOMENTS)
def test_iso_8601_is_read(moment: datetime) -> None:
    assert read_written(moment.isoformat()) == moment.timestamp()
    assert read_written(moment.replace(tzinfo=None).isoformat()) == moment.timestamp()


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        # AWS's own samples (aws-facts 2.3)
        ("Jan 1, 2021 8:00:00 PM", "2021-01-01T20:00:00+00:00"),
        ("Nov 2, 2021, 11:25:25 PM", "2021-11-02T23:25:25+00:00"),
        ("Apr 12, 2021 18:58:30 PM", "2021-04-12T18:58:30+00:00"),
        ("Jan 1, 2019 12:00:00 AM", "2019-01-01T00:00:00+00:00"),
        # the same family
        ("Jan 1, 2019 12:00:00 PM", "2019-01-01T12:00:00+00:00"),
        ("September 3, 2026 9:05 am", "2026-09-03T09:05:00+00:00"),
        ("Dec 20, 2026,\u00a09:14:03\u202fAM", "2026-12-20T09:14:03+00:00"),
        ("2026-12-20T09:14:03Z", "2026-12-20T09:14:03+00:00"),
        ("2026-12-20T09:14:03+02:00", "2026-12-20T07:14:03+00:00"),
    ],
)
def test_known_forms(text: str, iso: str) -> None:
    assert read_written(text) == datetime.fromisoformat(iso).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30. November 2026 um 09:14",
        "Nov 31, 2026 9:14:03 AM",
        "Nop 30, 2026 9:14:03 AM",
        "Nov 30, 2026 25:14:03",
        "Nov 30, 2026 25:14:03 PM",
        "Nov 30, 2026 13:14:60 AM",
        "Nov 30, 0000 9:14:03 AM",
        "1795166043",
        "x" * 10_000,
    ],
)
def test_what_cannot_be_read_is_none(text: str) -> None:
    assert read_written(text) is None


@given(st.text() | st.text("JanFebPM 0123456789,:/-TZ+", max_size=40))
def test_no_text_breaks_it(text: str) -> None:
    assert isinstance(read_written(text), float | None)
