"""Times as people type them, and the folders of days."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import SettingsError
from monitor.replay.times import Span, parse_span, parse_time, worth_opening

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7d", NOW - 7 * 86400),
        ("12h", NOW - 12 * 3600),
        ("90m", NOW - 5400),
        ("30s", NOW - 30),
        ("2w", NOW - 14 * 86400),
        ("2026-11-20", 1795132800),
        ("2026-11-20T09:14:03Z", 1795166043),
        ("2026-11-20T09:14:03", 1795166043),
        ("2026-11-20T10:14:03+01:00", 1795166043),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_time(text, "--from", NOW) == seconds


@pytest.mark.parametrize("text", ["", "yesterday", "7 d", "-7d", "7y", "d", "2026-13-01", "7٣d"])
def test_what_is_no_time_says_what_is(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--to: is .* how long ago: 12h, 7d"):
        parse_time(text, "--to", NOW)


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_a_settings_error(text: str) -> None:
    with suppress(SettingsError):
        assert isinstance(parse_time(text, "--from", NOW), float)


def test_a_span_includes_its_start_and_not_its_end() -> None:
    span = parse_span("2026-11-20", "2026-11-21", NOW)
    assert span.holds(1795132800)
    assert not span.holds(1795132800 + 86400)
    assert Span().holds(0)


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(SettingsError, match="must be earlier"):
        parse_span("1d", "2d", NOW)


@pytest.mark.parametrize(
    ("path", "worth"),
    [
        ("AWSLogs/111122223333/", True),
        ("AWSLogs/o-exampleorgid/111122223333/CloudTrail/", True),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/", True),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2025/", False),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/", True),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/10/", False),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/19/", False),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/20/", True),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/21/x.json.gz", True),
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/22/x.json.gz", False),
        ("AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/11/20/", False),
        ("AWSLogs/111122223333/Config/eu-west-1/2026/11/20/", False),
        ("my/CloudTrail/notes/2026/99/99/", True),
        ("anything/2024/01/01/x.json", True),
    ],
)
def test_folders_of_other_days_and_things_are_left_out(path: str, worth: bool) -> None:
    span = parse_span("2026-11-20", "2026-11-21", NOW)
    assert worth_opening(path, span) is worth


def test_without_a_span_every_day_is_looked_at() -> None:
    assert worth_opening("AWSLogs/111122223333/CloudTrail/eu-west-1/2013/11/20/", Span())
