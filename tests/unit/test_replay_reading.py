"""Files of every shape, whole and damaged."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.envelope import open_body
from monitor.errors import SettingsError
from monitor.event import Event
from monitor.replay.reading import Asked, read_file
from monitor.replay.sources import Bucket, History, Local, local_inputs, parse_source
from monitor.replay.times import Span
from tests.catalogue import Case, cases
from tests.unit.replay_records import ASKED, names, read, record, write

BOTH = [record("DisableKey"), record("Decrypt"), record("EnableKey")]
LINES = "\n".join(json.dumps(one) for one in BOTH)


@pytest.mark.parametrize(
    "content",
    [
        {"Records": BOTH},
        BOTH,
        LINES.encode(),
        (LINES + "\n\n").encode(),
        b"\n" + LINES.encode(),
        json.dumps({"Records": BOTH}, indent=2).encode(),
        json.dumps(BOTH, indent=2).encode(),
        {"Events": [{"CloudTrailEvent": json.dumps(one)} for one in BOTH]},
        "\n".join(
            json.dumps({"detail-type": "AWS API Call via CloudTrail", "detail": one})
            for one in BOTH
        ).encode(),
        f"{json.dumps({'Records': BOTH[:2]})}\n{json.dumps({'Records': BOTH[2:]})}".encode(),
    ],
)
@pytest.mark.parametrize("name", ["x.json", "x.json.gz", "x.jsonl"])
def test_every_shape(tmp_path: Path, content: Any, name: str) -> None:
    reading = read(tmp_path / name, content)
    assert (names(reading), reading.read) == (["DisableKey", "EnableKey"], 3)
    assert (reading.fault, reading.damaged, reading.whole) == ("", 0, True)


@pytest.mark.parametrize(
    "content",
    [
        record(),
        json.dumps(record(), indent=2).encode(),
        {"detail-type": "AWS API Call via CloudTrail", "detail": record()},
        record(eventVersion=7, userIdentity="odd"),
        json.dumps(record(userAgent="half a character \ud83d")).encode(),
    ],
)
def test_one_record(tmp_path: Path, content: Any) -> None:
    reading = read(tmp_path / "x.json", content)
    assert (names(reading), reading.read, reading.fault) == (["DisableKey"], 1, "")
    assert b"\n" not in reading.events[0]


def test_another_service_with_a_call_of_that_name_is_left_out(tmp_path: Path) -> None:
    other = record(eventSource="payment-cryptography.amazonaws.com")
    assert read(tmp_path / "x.json", [other]).events == []


def test_event_time_decides(tmp_path: Path) -> None:
    times = [record(at="09:00:00"), record(at="09:30:00"), record(at="10:00:00")]
    nine = 1795165200.0
    reading = read(tmp_path / "x.json", times, Span(nine, nine + 3600))
    assert (len(reading.events), reading.read) == (2, 3)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", ""),
        (b"\n", ""),
        (b"not json at all", "not_json"),
        (b"{", "not_json"),
        (b'{"Records": 7}', "Expected"),
        ({"awsAccountId": "111122223333", "logFiles": []}, "unknown_shape"),
        (b"[" * 100_000, "too_deep"),
        (b"\x00\x01\x02", "not_json"),
    ],
)
def test_what_is_no_log_file(tmp_path: Path, content: Any, fault: str) -> None:
    reading = read(tmp_path / "x.json", content)
    assert reading.events == []
    assert fault in reading.fault
    assert bool(reading.fault) is bool(fault)
    assert reading.whole is not bool(fault)


def test_damaged_gzip(tmp_path: Path) -> None:
    noise = [record(x=random.Random(1).randbytes(20_000).hex())]
    whole = gzip.compress(json.dumps(noise).encode())
    file = tmp_path / "x.json.gz"
    for body, fault in (
        (whole[: len(whole) // 2], "break off"),
        (whole[:100] + b"\xff" * 50 + whole[150:], "damaged"),
        (b"\x1f\x8b\x08", "break off"),
        (b"\x1f\x8b nothing of the kind", "damaged"),
    ):
        file.write_bytes(body)
        reading = read_file(str(file), ASKED)
        assert fault in reading.fault
        assert not reading.whole


def test_what_is_not_there(tmp_path: Path) -> None:
    assert read_file(str(tmp_path / "x"), ASKED).fault == "No such file or directory"
    assert read_file(str(tmp_path), ASKED).fault == "Is a directory"


def test_a_damaged_record_costs_only_itself(tmp_path: Path) -> None:
    records = [record(), record(eventTime="soon"), record(eventID=""), record("EnableKey")]
    for content in ({"Records": records}, "\n".join(map(json.dumps, records)).encode()):
        reading = read(tmp_path / "x.json", content)
        assert names(reading) == ["DisableKey", "EnableKey"]
        assert (reading.read, reading.damaged, reading.whole) == (4, 2, True)
        assert "eventTime" in reading.fault


@pytest.mark.parametrize("bad", [b"{torn", b"nonsense", b'{"other": 1}'])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_damaged_line_costs_only_itself(tmp_path: Path, bad: bytes, place: int) -> None:
    lines: list[bytes] = LINES.encode().split(b"\n")
    lines.insert(place, bad)
    reading = read(tmp_path / "x.jsonl", b"\n".join(lines))
    assert names(reading) == ["DisableKey", "EnableKey"]
    assert (reading.read, reading.damaged, reading.whole) == (4, 1, True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    cut=st.integers(0, 3000), at=st.integers(0, 3000), byte=st.binary(max_size=3), gz=st.booleans()
)
def test_no_damage_makes_it_fail(tmp_path: Path, cut: int, at: int, byte: bytes, gz: bool) -> None:
    body = json.dumps({"Records": BOTH}, indent=1).encode()
    body = gzip.compress(body) if gz else body
    file = tmp_path / "x"
    file.write_bytes((body[:at] + byte + body[at + len(byte) :])[:cut])
    reading = read_file(str(file), ASKED)
    assert len(reading.events) <= 2


def test_sources(tmp_path: Path) -> None:
    assert parse_source("lookup") == History()
    assert parse_source("lookup:111122223333/eu-west-1") == History("111122223333", "eu-west-1")
    assert parse_source("s3://bucket") == Bucket("bucket", "")
    assert parse_source("s3://bucket/AWSLogs/x") == Bucket("bucket", "AWSLogs/x")
    assert parse_source("-") == Local("-")
    assert parse_source(str(tmp_path)) == Local(str(tmp_path))


@pytest.mark.parametrize("text", ["lookup:x", "s3://", "s3:/b", "lookup:1/eu-west-1", "/no/such"])
def test_what_is_no_source(text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        parse_source(text)


def test_a_folder_at_any_depth(tmp_path: Path) -> None:
    for name in (
        "b.json",
        "a/c.jsonl",
        "a/CloudTrail/eu-west-1/2026/11/20/d.json.gz",
        "a/CloudTrail/eu-west-1/2026/11/25/e.json.gz",
        "a/CloudTrail-Digest/eu-west-1/2026/11/20/f.json.gz",
        "notes.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / name, [])
    span = Span(1795132800.0, 1795219200.0)
    found = local_inputs(Local(str(tmp_path)), span)
    assert [Path(one.name).name for one in found] == ["b.json", "c.jsonl", "d.json.gz"]


@pytest.mark.parametrize(
    "case",
    [one for one in cases("fires") if "detail-type" in one.given["records"][-1]],
    ids=lambda case: case.name,
)
def test_what_services_tell_by_themselves_is_read_as_the_daemon_reads_it(
    tmp_path: Path, case: Case
) -> None:
    detection, record = case.detection(), case.records()[-1]
    (event,) = open_body(json.dumps(record), detection.wanted).events
    reading = read_file(write(tmp_path / "one.json", record), Asked(detection.wanted))
    assert [msgspec.json.decode(one, type=Event) for one in reading.events] == [event]
