"""Log files: the wanted records and no others, whatever the file looks like, in little memory."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import Unreadable
from monitor.event import Wanted
from monitor.sources.records import Limits, Search, Stats, classify, read_records

WANTED = {("kms.amazonaws.com", "DisableKey"), ("kms.amazonaws.com", "ScheduleKeyDeletion")}
SEARCH = Search(Wanted(frozenset(WANTED)))
HIT = '"eventName":"DisableKey"'


def record(number: int, name: str = "Decrypt", **more: Any) -> dict[str, Any]:
    return {
        "eventVersion": "1.11",
        "eventTime": "2026-11-20T09:14:03Z",
        "eventSource": "kms.amazonaws.com",
        "eventName": name,
        "eventID": str(number),
    } | more


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def read(data: bytes, size: int = 4096, **more: Any) -> list[str]:
    return [event.event_id for event in read_records(chunks(data, size), SEARCH, **more)]


def packed(records: list[dict[str, Any]], **more: Any) -> bytes:
    return gzip.compress(json.dumps({"Records": records}, **more).encode())


# Texts that a caller can get into a record, made to look like records.
TRAPS = st.sampled_from(
    [HIT, HIT.replace(":", " : "), "}]}", '{"Records":[', '\\"', "\\", '"', "}{", "é\u2028😀", "[{"]
)
VALUES = st.recursive(
    st.one_of(st.none(), st.integers(), TRAPS, st.text(max_size=12)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(TRAPS, st.sampled_from(["eventName", "Records"])), inner, max_size=3
        ),
    ),
    max_leaves=6,
)
RECORDS = st.lists(
    st.builds(
        lambda name, source, before, after: (
            {"requestParameters": before} | record(0, name, eventSource=source) | {"zz": after}
        ),
        st.sampled_from(["Decrypt", "DisableKey", "ScheduleKeyDeletion", "DisableKeyRotation"]),
        st.sampled_from(["kms.amazonaws.com", "lambda.amazonaws.com"]),
        VALUES,
        VALUES,
    ),
    max_size=8,
)


@given(
    records=RECORDS,
    indent=st.sampled_from([None, 1, 4]),
    ascii_only=st.booleans(),
    shape=st.sampled_from(["gzip", "plain", "two members"]),
    size=st.integers(1, 200),
)
def test_all_that_is_wanted_and_nothing_else(
    records: list[dict[str, Any]], indent: int | None, ascii_only: bool, shape: str, size: int
) -> None:
    for number, one in enumerate(records):
        one["eventID"] = str(number)
    data = json.dumps({"Records": records}, indent=indent, ensure_ascii=ascii_only).encode()
    if shape == "gzip":
        data = gzip.compress(data)
    elif shape == "two members":
        data = gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :])
    expected = [
        one["eventID"] for one in records if (one["eventSource"], one["eventName"]) in WANTED
    ]
    assert read(data, size) == expected


def test_a_file_that_ends_anywhere_too_early_is_truncated() -> None:
    data = packed([record(1, "DisableKey"), *(record(n) for n in range(20))])
    for end in range(2, len(data)):  # with one byte it is not even gzip
        with pytest.raises(Unreadable) as caught:
            read(data[:end])
        assert caught.value.reason in {"truncated", "corrupt"}, end


@given(st.data())
def test_a_flipped_bit_is_never_taken_for_sound(data: st.DataObject) -> None:
    good = packed([record(1, "DisableKey"), *(record(n) for n in range(50))])
    # Behind the header, whose time and name of the file mean nothing.
    place = data.draw(st.integers(10, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        seen = read(bytes(bad))
    except Unreadable:
        return
    # Some bits mean nothing, such as those that fill up deflate's last byte.
    assert seen == ["1"]
    assert gzip.decompress(bad) == gzip.decompress(good)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "unknown_shape"),
        (b"{}", "unknown_shape"),
        (b"hello", "unknown_shape"),
        (gzip.compress(b'{"Records":{}}', mtime=0), "unknown_shape"),
        (packed([record(1)]) + b"more", "corrupt"),
    ],
)
def test_what_is_no_log_file(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(data)
    assert caught.value.reason == reason


def test_an_empty_log_file_is_fine() -> None:
    assert read(packed([])) == []


def test_a_bomb_is_not_unpacked_to_its_end() -> None:
    bomb = gzip.compress(b'{"Records":[' + b" " * (64 * 1024**2))
    stats = Stats()
    with pytest.raises(Unreadable, match="bomb"):
        read(bomb, 65536, stats=stats)
    assert stats.unpacked_bytes < 32 * 1024**2
    with pytest.raises(Unreadable, match="bomb"):
        read(packed([record(n) for n in range(5000)]), limits=Limits(unpacked_bytes=100_000))


def test_a_damaged_record_costs_only_itself() -> None:
    stats = Stats()
    bad = record(2, "DisableKey")
    del bad["eventTime"]
    data = packed([record(1, "DisableKey"), bad, record(3, "ScheduleKeyDeletion")])
    assert read(data, stats=stats) == ["1", "3"]
    assert sum(stats.damaged.values()) == 1


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("CloudTrail", "log"),
        ("CloudTrail-Digest", "digest"),
        ("CloudTrail-Insight", "insight"),
        ("CloudTrail-NetworkActivity", "network_activity"),
        ("CloudTrail-Aggregated", "aggregated"),
        ("Config", "config"),
        ("elasticloadbalancing", "other"),
    ],
)
@pytest.mark.parametrize("before", ["", "my prefix/", "a/AWSLogs/b/"])
@pytest.mark.parametrize("organisation", ["", "o-exampleorgid/"])
def test_what_an_object_is_by_its_name(
    folder: str, kind: str, before: str, organisation: str
) -> None:
    key = f"{before}AWSLogs/{organisation}111122223333/{folder}/eu-west-1/2026/11/20/x.json.gz"
    assert classify(key) == kind
    assert classify(key.replace("AWSLogs", "elsewhere")) == "other"


MEMORY = """
import gzip, json, resource
from monitor.sources.records import Search, read_records
from tests.unit.test_records import SEARCH, chunks, record
many = ",".join(json.dumps(record(n, userAgent=f"agent {n * 7919 % 10**9}")) for n in range(1000))
pack = __import__("zlib").compressobj(6, wbits=31)
data = pack.compress(b'{"Records":[')
size = 0
while size < 50_000_000:
    data += pack.compress(many.encode() + b",")
    size += len(many)
data += pack.compress(json.dumps(record(1, "DisableKey")).encode() + b"]}") + pack.flush()
list(read_records(chunks(gzip.compress(b'{"Records":[]}'), 65536), SEARCH))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert len(list(read_records(chunks(data, 262144), SEARCH))) == 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_fifty_megabytes_take_less_than_ten() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < 10 * 1024  # ru_maxrss is in KiB on Linux
