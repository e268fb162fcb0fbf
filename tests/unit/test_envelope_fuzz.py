"""Every shape of body, damaged in every way: nothing is raised but `Unreadable`, for a known reason.

Bounds on memory are coarse: what a body costs must not grow beyond a few times its size, nor stay.
"""

import copy
import gc
import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.envelope import LARGEST, MOST_DAMAGED, Opened, open_body
from monitor.errors import Unreadable
from tests.unit.bodies import SKELETONS, WANTED, bridge, native, record, records, sns

REASONS = {
    "unknown_shape",
    "missing_field",
    "wrong_type",
    "bad_time",
    "bad_text",
    "too_deep",
    "too_large",
    "not_json",
}
DEEP = 10_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        0,
        10**400,
        -(2**64),
        1e308,
        "",
        "\ud800",
        "\x00",
        "x" * 70_000,
        [],
        {},
        [[]],
        "{}",
    ]
)
Path = tuple[str | int, ...]


def known(reason: str) -> str:
    assert reason in REASONS
    return reason


def opened(text: str | bytes) -> Opened | str:
    """What is in a body, or why it cannot be read. All of it is looked at, as detectors would."""
    try:
        found = open_body(text, WANTED)
    except Unreadable as error:
        return known(error.reason)
    for event in found.events:
        _ = event.key, event.actor, event.version, event.time, event.failed
        _ = event.request(), event.response(), event.service_details()
        assert event.event_id
        assert (event.event_source, event.event_name) in WANTED.calls
    for place in found.objects:
        assert place.bucket
        assert place.key
    for one in found.damaged:
        known(one.reason)
    assert len(found.damaged) <= MOST_DAMAGED + 1
    assert len(found.wrapped) <= 2
    return found


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The way to every member inside, SNS's texts included."""
    if path:
        yield path
    if path and path[-1] == "Message" and value.startswith("{"):
        yield from paths(json.loads(value), (*path, ""))
    inside: Any = value.items() if isinstance(value, dict) else ()
    for name, inner in enumerate(value) if isinstance(value, list) else inside:
        yield from paths(inner, (*path, name))


def changed(value: Any, path: Path, change: Any) -> Any:
    """A copy of `value` with what is at `path` replaced; `...` takes it out."""
    if not path:
        return change
    if path[0] == "":  # into the JSON inside a text
        inner = changed(json.loads(value), path[1:], change)
        return inner if inner is ... else json.dumps(inner)
    copied = copy.copy(value)
    new = changed(copied[path[0]], path[1:], change)
    if new is ...:
        del copied[path[0]]
    else:
        copied[path[0]] = new
    return copied


PATHS = [(name, path) for name, whole in SKELETONS.items() for path in paths(whole)]
places = st.sampled_from(PATHS)


@pytest.mark.parametrize("change", [..., None, 5, "text", [], {}, True], ids=repr)
def test_any_member_may_be_missing_or_of_another_type(change: Any) -> None:
    """Every member of every shape, one after the other."""
    for name, path in PATHS:
        opened(json.dumps(changed(SKELETONS[name], path, change)))


@given(places, JSON | ODD)
def test_any_member_may_be_anything(place: tuple[str, Path], value: Any) -> None:
    name, path = place
    opened(json.dumps(changed(SKELETONS[name], path, value)))


@given(places, places)
def test_any_member_may_be_what_another_shape_has_there(
    place: tuple[str, Path], other: tuple[str, Path]
) -> None:
    value: Any = SKELETONS[other[0]]
    for name in other[1]:
        value = json.loads(value) if name == "" else value[name]
    opened(json.dumps(changed(SKELETONS[place[0]], place[1], value)))


@given(st.lists(st.sampled_from(sorted(SKELETONS)), min_size=2, max_size=4))
def test_shapes_may_be_mixed(names: list[str]) -> None:
    whole: dict[str, Any] = {}
    for name in names:
        whole |= SKELETONS[name]
    opened(json.dumps(whole))
    opened(json.dumps(records(*(SKELETONS[name] for name in names))))


@given(places, JSON)
def test_any_member_may_stand_there_twice(place: tuple[str, Path], value: Any) -> None:
    """As texts, the last one counts, as for every other reader."""
    name, path = place
    text = json.dumps(SKELETONS[name])
    member = f"{json.dumps(path[-1])}: "
    twice = text.replace(member, f"{member}{json.dumps(value)}, {member}")
    found = opened(twice)
    same = re.findall(f"{member}(.)", text)
    if set(same) == {'"'} and isinstance(value, str):
        assert summary(found) == summary(opened(text))


def summary(found: Opened | str) -> object:
    """What matters of what is in a body, in a form that can be compared."""
    assert isinstance(found, Opened)
    events = [(event.event_id, event.key, event.time, event.actor) for event in found.events]
    return events, found.objects, found.others, found.skipped, len(found.wrapped)


@given(st.sampled_from(sorted(SKELETONS)), st.data())
def test_any_bytes_may_be_cut_out_or_put_in(name: str, data: st.DataObject) -> None:
    body = json.dumps(SKELETONS[name]).encode()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 20)))
    opened(body[:start] + data.draw(st.binary(max_size=8)) + body[end:])


@given(st.binary() | st.text() | JSON.map(json.dumps))
def test_anything_at_all(body: str | bytes) -> None:
    opened(body)


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_bad_utf8_anywhere(name: str) -> None:
    """Between any two characters; never an error of another kind."""
    body = json.dumps(SKELETONS[name]).encode()
    for bad in (b"\xff", b"\xed\xa0\x80", b"\\ud800"):
        for at in range(0, len(body), 7):
            opened(body[:at] + bad + body[at:])


DAMAGED = record(userAgent="\ud83d", requestParameters={"keyId": 5}, resources={}, userIdentity=[])


@pytest.mark.parametrize(
    "body",
    [bridge(DAMAGED), {"detail": DAMAGED}, DAMAGED, records(DAMAGED), sns(bridge(DAMAGED))],
    ids=["eventbridge", "transformer", "bare", "records", "sns"],
)
def test_what_matters_is_read_although_the_rest_is_damaged(body: Any) -> None:
    found = opened(json.dumps(body))
    assert isinstance(found, Opened)
    assert [event.event_name for event in found.events] == ["DisableKey"]
    assert str(found.events[0].key).endswith("000000000001")


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"detail":', '{"Records":[', '{"Message":'])
@pytest.mark.parametrize("closed", [False, True])
def test_ten_thousand_levels(opening: str, closed: bool) -> None:
    closing = "".join({"[": "]", "{": "}"}[one] for one in reversed(opening) if one in "[{")
    text = opening * DEEP + ("0" + closing * DEEP if closed else "")
    assert opened(text) in {"too_deep", "not_json", "unknown_shape"}


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_ten_thousand_levels_in_any_member(name: str) -> None:
    deep = "[" * DEEP + "]" * DEEP
    for path in paths(SKELETONS[name]):
        whole = changed(SKELETONS[name], path, "@DEEP@")
        opened(json.dumps(whole).replace('\\"@DEEP@\\"', deep).replace('"@DEEP@"', deep))


@pytest.fixture
def memory() -> Iterator[Any]:
    """Measures bytes: the most at once since it was asked last, and what is left now."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]

    def measure() -> tuple[int, int]:
        gc.collect()
        now, peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        return peak - before, now - before

    yield measure
    tracemalloc.stop()


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"[" * 100_000_000,
        lambda: b'{"detail-type": "' + b"x" * 100_000_000,
        lambda: b'{"Records": [' + b"{}," * 33_000_000 + b"{}]}",
        lambda: "x" * 100_000_000,
    ],
    ids=["brackets", "envelope", "records", "text"],
)
def test_a_hundred_megabytes_of_one_line_cost_nothing(
    make: Callable[[], str | bytes], memory: Any
) -> None:
    body = make()
    _, before = memory()
    assert opened(body) == "too_large"
    peak, left = memory()
    assert peak - before < 1_000_000
    assert left - before < 100_000


def filled(piece: bytes, start: bytes, end: bytes) -> bytes:
    """As large as a body may be, out of many `piece`s."""
    return start + piece * ((LARGEST - len(start) - len(end)) // len(piece)) + end


@pytest.mark.parametrize(
    "body",
    [
        filled(b"x", b'{"detail-type": "', b'", "detail": {}}'),
        filled(b"x", b'{"Type": "Notification", "TopicArn": "t", "Message": "', b'"}'),
        filled(b"{},", b'{"Records": [', b"{}]}"),
        filled(b'{"eventSource": "s", "eventName": "n"},', b'{"Records": [', b"{}]}"),
        filled(b'"k",', b'{"s3Bucket": "b", "s3ObjectKey": [', b'"k"]}'),
        filled(b'"a": {},', b"{", b'"b": 1}'),
        filled(b"\\ud800", b'{"detail-type": "', b'", "detail": {}}'),
        filled(b'\\\\\\"', b'{"Type": "Notification", "TopicArn": "t", "Message": "\\"', b'\\""}'),
    ],
    ids=[
        "text",
        "sns",
        "damaged records",
        "boring records",
        "keys",
        "members",
        "escapes",
        "quotes",
    ],
)
def test_the_largest_bodies_leave_nothing_behind(body: bytes, memory: Any) -> None:
    opened(body)
    _, before = memory()
    opened(body)
    peak, left = memory()
    assert peak - before < 60 * len(body)
    assert left - before < 100_000


def test_thousands_of_bodies_leave_nothing_behind(memory: Any) -> None:
    bodies = [json.dumps(one) for one in (*SKELETONS.values(), native(id=...), DAMAGED, [], "x")]
    for _ in range(20):
        for body in bodies:
            opened(body)
    _, before = memory()
    for _ in range(100):
        for body in bodies:
            opened(body)
    _, left = memory()
    assert left - before < 100_000


def test_more_damage_than_a_list_of_records_has_is_not_counted_to_its_end() -> None:
    found = opened(json.dumps(records(record(), *[5] * 5000)))
    assert isinstance(found, Opened)
    assert len(found.events) == 1
    assert len(found.damaged) == MOST_DAMAGED + 1
