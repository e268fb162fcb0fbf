"""The wanted records of a log file: found wherever they stand, and nothing else taken for one.

In scope: monitor.sources.records and what it is made of. Files are made here, by hypothesis where
their form is what matters; the judge of what is in them is `json.loads`.
"""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.errors import Unreadable
from monitor.event import Event
from monitor.sources import unpack
from monitor.sources.records import Limits, Search, Stats, classify, read_records

KMS = "kms.amazonaws.com"
WANTED = frozenset({(KMS, "DisableKey"), (KMS, "ScheduleKeyDeletion"), ("a.b", "Odd (name)")})
SEARCH = Search(WANTED)


def record(number: int = 0, name: str = "DisableKey", **members: Any) -> dict[str, Any]:
    return {
        "eventVersion": "1.11",
        "eventTime": "2026-11-20T09:14:03Z",
        "eventSource": KMS,
        "eventName": name,
        "eventID": f"id-{number}",
    } | members


def log_file(*records: Any, **layout: Any) -> bytes:
    return json.dumps({"Records": records}, **layout).encode("utf-8", "surrogatepass")


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def ids(data: bytes, *, size: int = 65536, **limits: int) -> list[str]:
    return [one.event_id for one in read_records(cut(data, size), SEARCH, limits=Limits(**limits))]


def fails(data: bytes, *, size: int = 65536, **limits: int) -> tuple[list[Event], str, Stats]:
    """The events that came before the error, its reason, and what was counted."""
    events, stats = [], Stats()
    try:
        for one in read_records(cut(data, size), SEARCH, limits=Limits(**limits), stats=stats):
            events.append(one)  # noqa: PERF402 - those before the error are wanted
    except Unreadable as error:
        return events, error.reason, stats
    pytest.fail("it was read without an error")


# -- what is found

texts = st.text(max_size=12) | st.sampled_from(
    [
        '"eventName":"DisableKey"',
        '\\"eventName":"DisableKey","eventSource":"kms.amazonaws.com"',
        '"},{"eventName":"DisableKey"',
        "}]}{[",
        "\\",
        'x"',
        "DisableKey",
        "eventName",
    ]
)
forged = st.fixed_dictionaries(
    {"eventName": st.just("DisableKey"), "eventSource": st.just(KMS), "eventID": st.just("forged")},
    optional={"eventTime": st.just("2026-11-20T09:14:03Z"), "more": texts},
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | texts | forged,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=5,
)


@st.composite
def records(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    for number in range(draw(st.integers(0, 4))):
        name = draw(st.sampled_from(["DisableKey", "Decrypt", "Odd (name)", "ScheduleKeyDeletion"]))
        source = draw(st.sampled_from([KMS, "a.b"]))
        members = list(record(number, name, eventSource=source).items())
        members += draw(
            st.dictionaries(st.sampled_from(["requestParameters", 'a"b', "é"]), anything)
        ).items()
        made.append(dict(draw(st.permutations(members))))
    return made


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    made=records(),
    indent=st.sampled_from([None, 0, 2, "\t", " " * 8]),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\r\n ")]),
    ascii_only=st.booleans(),
    size=st.sampled_from([1, 2, 3, 7, 50, 10_000]),
    packed=st.booleans(),
)
def test_finds_what_a_full_parse_finds(
    *,
    made: list[dict[str, Any]],
    indent: int | str | None,
    separators: tuple[str, str],
    ascii_only: bool,
    size: int,
    packed: bool,
) -> None:
    data = log_file(*made, indent=indent, separators=separators, ensure_ascii=ascii_only)
    expected = [
        one["eventID"]
        for one in json.loads(data)["Records"]
        if (one["eventSource"], one["eventName"]) in WANTED
    ]
    assert ids(gzip.compress(data) if packed else data, size=size) == expected


@pytest.mark.parametrize("piece", [1, 7, 64, 1000])
def test_a_record_may_lie_across_any_piece(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "PIECE", piece)
    names = ["DisableKey" if number % 7 == 3 else "Decrypt" for number in range(60)]
    data = log_file(*(record(number, name) for number, name in enumerate(names)))
    assert ids(gzip.compress(data), record_bytes=2048) == [f"id-{n}" for n in range(3, 60, 7)]


def test_what_is_far_into_a_large_file_is_found_in_order() -> None:
    noise = [record(number, "Decrypt", userAgent="x" * 3000) for number in range(2000)]
    for number in (0, 1, 700, 701, 1500, 1999):
        noise[number] = record(number)
    found = ids(gzip.compress(log_file(*noise)))
    assert found == [f"id-{number}" for number in (0, 1, 700, 701, 1500, 1999)]


@pytest.mark.parametrize("count", [1, 300])
def test_a_list_that_a_caller_sent_holds_no_records(count: int) -> None:
    sent = [record(number, responseElements="z" * 700) for number in range(count)]
    around = record(1, "Decrypt", requestParameters={"items": sent})
    assert ids(log_file(around)) == []
    assert ids(log_file(record(0), around, record(2))) == ["id-0", "id-2"]
    assert ids(log_file(around | {"eventName": "DisableKey"})) == ["id-1"]


def test_a_record_of_nearly_a_megabyte_is_read() -> None:
    large = record(5, requestParameters={"policy": "\\" * 250_000 + '"' * 240_000})
    assert ids(gzip.compress(log_file(record(1), large, record(2)))) == ["id-1", "id-5", "id-2"]


def test_events_come_before_the_rest_is_unpacked() -> None:
    data = gzip.compress(log_file(record(), *(record(n, "Decrypt") for n in range(20_000))), 0)

    def chunks() -> Iterator[bytes]:
        yield data[: 2 * 1024 * 1024]
        raise AssertionError("the first event needs no more")

    assert next(read_records(chunks(), SEARCH)).event_id == "id-0"


def test_an_event_keeps_nothing_of_the_file_but_its_record() -> None:
    (event,) = read_records([log_file(record(requestParameters={"keyId": "k"}))], SEARCH)
    assert event.request() == {"keyId": "k"}


def test_lone_surrogates_and_a_byte_order_mark_hide_nothing() -> None:
    data = log_file(record(3, userAgent="\ud83d"))
    assert b"\\ud83d" in data
    assert ids(data) == ["id-3"]
    assert ids(b"\xef\xbb\xbf" + data) == ["id-3"]


def test_nobody_looks_at_anything() -> None:
    assert list(read_records([log_file(record())], Search([]))) == []


@pytest.mark.parametrize("packed", [True, False])
def test_no_records(packed: bool) -> None:
    data = b'{"Records":[]}\n'
    assert ids(gzip.compress(data) if packed else data) == []


def test_several_gzip_members_and_padding_are_one_file() -> None:
    data = log_file(record(1), record(2))
    packed = b"".join(map(gzip.compress, (data[:40], b"", data[40:300], data[300:])))
    for size in (1, 2, 13, 10_000):
        assert ids(packed + b"\0" * 20, size=size) == ["id-1", "id-2"]


def test_reports_about_calls_are_skipped_and_counted() -> None:
    insight = {
        "eventType": "AwsCloudTrailInsight",
        "eventID": "i",
        "insightDetails": {"eventSource": KMS, "eventName": "DisableKey", "state": "Start"},
    }
    stats = Stats()
    data = log_file(insight, record(0), record(1, eventType="AwsCloudTrailInsight"))
    assert [one.event_id for one in read_records([data], SEARCH, stats=stats)] == ["id-0"]
    assert (stats.insights, stats.events) == (2, 1)


# -- what is damaged


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"eventName":"DisableKey","eventSource":"kms.amazonaws.com"}', "missing_field"),
        (
            b'{"eventName":"DisableKey","eventSource":"kms.amazonaws.com","eventID":"x","eventTime":"soon"}',
            "bad_time",
        ),
        (b'{"eventName":"DisableKey","eventSource":nonsense}', "not_json"),
        (
            b'{"eventName":"DisableKey","a":"\xff","eventSource":"kms.amazonaws.com"',
            "missing_field",
        ),
    ],
)
def test_a_damaged_record_costs_only_itself(bad: bytes, reason: str) -> None:
    good = [json.dumps(record(number)).encode() for number in range(2)]
    stats = Stats()
    data = (
        b'{"Records":['
        + good[0]
        + b","
        + bad
        + (b"" if bad[-1:] == b"}" else b"}")
        + b","
        + good[1]
        + b"]}"
    )
    found = [one.event_id for one in read_records([gzip.compress(data)], SEARCH, stats=stats)]
    assert found == ["id-0", "id-1"]
    assert sum(stats.damaged.values()) == 1
    assert stats.damaged == {reason: 1}


def test_a_record_beyond_the_limit_is_an_error_after_the_others_are_read() -> None:
    data = log_file(record(0), record(1, userAgent="x" * 9000), record(2))
    events, reason, stats = fails(data, record_bytes=4096)
    assert ([one.event_id for one in events], reason) == (["id-0", "id-2"], "too_large")
    assert stats.damaged == {"too_large": 1}


def test_cut_off_anywhere_it_is_truncated() -> None:
    whole = log_file(record(0, resources=[{"ARN": "a"}]), record(1, resources=[{"ARN": "b"}]))
    for data in (whole, gzip.compress(whole)):
        reasons = {fails(data[:length])[1] for length in range(2, len(data))}
        assert reasons <= {"truncated", "unknown_shape"}
        assert all(fails(data[:length])[1] == "truncated" for length in range(40, len(data)))


def test_what_came_before_the_cut_is_read() -> None:
    data = log_file(*(record(number) for number in range(50)))
    events, reason, _ = fails(gzip.compress(data, 0)[:-300])
    assert [one.event_id for one in events][:40] == [f"id-{number}" for number in range(40)]
    assert reason == "truncated"


def test_any_bit_flipped_is_noticed() -> None:
    whole = gzip.compress(log_file(record(0), record(1)), mtime=0)
    harmless = 0
    for place in range(len(whole) * 8):
        broken = bytearray(whole)
        broken[place // 8] ^= 1 << place % 8
        try:
            assert ids(bytes(broken)) == ["id-0", "id-1"]
            harmless += 1
        except Unreadable as error:
            assert error.reason in {"corrupt", "truncated", "unknown_shape"}  # noqa: PT017
    # The time, two hints and the system in gzip's header, and flags that announce nothing.
    assert harmless <= 8 * 8


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "unknown_shape"),
        (b"{}", "unknown_shape"),
        (b"[]", "unknown_shape"),
        (b"hello", "unknown_shape"),
        (b'{"logFiles":[{"eventName":"DisableKey"}]}', "unknown_shape"),
        (gzip.compress(b""), "unknown_shape"),
        (gzip.compress(b'{"configurationItems":[]}'), "unknown_shape"),
        (gzip.compress(b'{"Records":[]}') + b"garbage", "corrupt"),
        (gzip.compress(b'{"Records":[]}') + b"\x1f", "corrupt"),
        (b'{"Records":[]}garbage', "truncated"),
        (gzip.compress(b'{"Records":[]'), "truncated"),
    ],
)
def test_what_is_no_log_file_is_unreadable(data: bytes, reason: str) -> None:
    for size in (1, 1000):
        assert fails(data, size=size)[1] == reason


# -- bombs


def test_a_bomb_is_given_up_early() -> None:
    bomb = gzip.compress(b'{"Records":[' + b" " * 200_000_000, 9)
    _, reason, stats = fails(bomb)
    assert reason == "bomb"
    assert stats.unpacked_bytes < 30_000_000


def test_a_file_larger_than_allowed_is_given_up() -> None:
    data = log_file(*(record(number, "Decrypt") for number in range(3000)))
    assert fails(gzip.compress(data), unpacked_bytes=100_000)[1] == "bomb"
    assert fails(data, unpacked_bytes=100_000)[1] == "bomb"


def test_what_repeats_itself_in_a_small_file_is_no_bomb() -> None:
    data = gzip.compress(log_file(*[record(0, "Decrypt", userAgent="x" * 1000)] * 5000), 9)
    assert ids(data) == []


# -- names of objects

ORG = "AWSLogs/o-exampleorgid/111122223333"


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/20/111122223333_CloudTrail_eu-west-1_20261120T0915Z_Ab.json.gz", "log"),
        (f"{ORG}/CloudTrail/eu-west-1/2026/11/20/1_CloudTrail_eu-west-1_20261120T0915Z_Ab.json.gz", "log"),
        (f"my prefix/a/{ORG}/CloudTrail/us-gov-west-1/2026/11/20/x.json", "log"),
        (f"{ORG}/CloudTrail-Digest/eu-west-1/2026/11/20/x.json.gz", "digest"),
        (f"{ORG}/CloudTrail-Insight/eu-west-1/2026/11/20/x.json.gz", "insight"),
        (f"{ORG}/CloudTrail-NetworkActivity/eu-west-1/2026/11/20/x.json.gz", "network_activity"),
        (f"{ORG}/CloudTrail-Aggregated/eu-west-1/2026/11/20/x.json.gz", "aggregated"),
        (f"p/{ORG}/Config/eu-west-1/2026/11/20/ConfigHistory/x.json.gz", "config"),
        (f"{ORG}/vpcflowlogs/eu-west-1/2026/11/20/x.log.gz", "other"),
        (f"{ORG}/CloudTrail/", "other"),
        (f"{ORG}/CloudTrail/eu-west-1/2026/11/20/x.txt", "other"),
        ("CloudTrail/x.json.gz", "other"),
        ("", "other"),
    ],
)  # fmt: skip
def test_an_object_is_known_by_its_name(key: str, kind: str) -> None:
    assert classify(key) == kind
