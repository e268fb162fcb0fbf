"""Bodies: whatever comes, it is read, counted as another's, or unreadable for a bounded reason."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.envelope import Opened, open_body
from monitor.errors import Unreadable
from monitor.event import Event, Wanted, read_record
from tests.samples import ACCOUNT, ARN, KEY, KEY_ID, KMS, body, envelope, record

WANTED = Wanted(frozenset({(KMS, "DisableKey")}))
REASONS = {
    "unknown_shape",
    "missing_field",
    "wrong_type",
    "bad_time",
    "bad_text",
    "too_deep",
    "not_json",
    "too_large",
}
NEEDED = {"eventName", "eventSource", "eventTime", "eventID"}
FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ODD_VALUES = JSON | st.sampled_from([10**400, -(2**64), 1e308, "\ud800", "\x00", [], {}, [[]]])


def opened(text: str | bytes) -> Opened | str:
    """What is in a body, or the reason why it cannot be read; anything else raised is a defect."""
    try:
        return open_body(text, WANTED)
    except Unreadable as error:
        reason = error.reason
    assert reason in REASONS
    return reason


def only(text: str | bytes) -> Event:
    found = open_body(text, WANTED)
    assert len(found.events) == 1
    assert found.others == 0
    return found.events[0]


def test_a_wanted_record_is_read() -> None:
    assert only(body()).key == KEY
    assert only(body().encode()).actor.session == "alice"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (KMS, "DescribeKey"),
        ("lambda.amazonaws.com", "DisableKey"),
        ("payment-cryptography.amazonaws.com", "DisableKey"),
        ("payment-cryptography.amazonaws.com", "CreateKey"),
        ("lambda.amazonaws.com", "DeleteAlias"),
    ],
)
def test_calls_of_other_services_are_others_whatever_their_name(source: str, name: str) -> None:
    assert opened(body(eventSource=source, eventName=name)) == Opened(others=1)


def test_what_no_detector_wants_is_not_even_looked_at() -> None:
    assert opened(body(eventName="Decrypt", eventTime=5, eventID=None)) == Opened(others=1)


def test_events_that_are_not_of_cloudtrail_are_others() -> None:
    native = envelope({"key-id": KEY_ID}, **{"detail-type": "KMS CMK Deletion"})
    assert opened(json.dumps(native)) == Opened(others=1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not_json"),
        ("{", "not_json"),
        ("DisableKey", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"\xef\xbb\xbf" + body().encode(), "not_json"),
        (body() + "\x00", "not_json"),
        (body() + body(), "not_json"),
        ('"text"', "unknown_shape"),
        ("[]", "unknown_shape"),
        ("5", "unknown_shape"),
        ("{}", "unknown_shape"),
        (json.dumps(envelope(detail=...)), "unknown_shape"),
        (json.dumps({"Records": record()}), "wrong_type"),
        (" " * (8 * 1024 * 1024 + 1), "too_large"),
        (json.dumps(envelope(detail=[])), "wrong_type"),
        (json.dumps(envelope(detail="{}")), "wrong_type"),
        (json.dumps(envelope(**{"detail-type": 5})), "wrong_type"),
        (json.dumps(envelope({"insightDetails": {}})), "missing_field"),
        (body(eventName=...), "missing_field"),
        (body(eventSource=""), "missing_field"),
        (body(eventSource=None), "wrong_type"),
        (body(eventName=5), "wrong_type"),
        (body(eventID=...), "missing_field"),
        (body(eventTime=...), "bad_time"),
        (body(eventID=["x"]), "missing_field"),
        (body(eventTime="yesterday"), "bad_time"),
        (body(eventTime="0001-01-01T00:00:00Z"), "bad_time"),
        (body(eventTime="99999-01-01T00:00:00Z"), "bad_time"),
        ('{"detail": ' + "[" * 100_000, "too_deep"),
        (body(requestParameters="@").replace('"@"', "[" * 5000 + "]" * 5000), "too_deep"),
        (body(userAgent="@").replace('"@"', "NaN"), "not_json"),
        (body(userAgent="@").replace('"@"', "-Infinity"), "not_json"),
    ],
)
def test_unreadable_bodies_have_a_bounded_reason(text: str | bytes, reason: str) -> None:
    assert opened(text) == reason


def test_reasons_quote_none_of_the_bodys_values() -> None:
    with pytest.raises(Unreadable) as caught:
        open_body(json.dumps(envelope(detail="hunter2")), WANTED)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"userAgent": 5},
        {"userAgent": {"deep": [1]}},
        {"resources": "x"},
        {"resources": {"ARN": ARN}},
        {"resources": [5, None, {"ARN": 4}, {"ARN": ARN}]},
        {"userIdentity": "root"},
        {"userIdentity": {"type": 4, "sessionContext": {"sessionIssuer": 3, "attributes": []}}},
        {"recipientAccountId": int(ACCOUNT)},
        {"eventVersion": 1.11},
        {"errorMessage": ["x"]},
        {"responseElements": 7, "requestParameters": "x"},
        {"sourceIPAddress": 10**400},
    ],
)
def test_a_lesser_field_of_another_type_hides_nothing(changes: dict[str, Any]) -> None:
    found = only(body(**changes))
    assert found.key == KEY
    assert not found.failed


def test_of_a_damaged_identity_the_rest_is_kept() -> None:
    identity = {"arn": "arn:x", "sessionContext": {"sessionIssuer": 3}, "type": ["IAMUser"]}
    actor = only(body(userIdentity=identity)).actor
    assert (actor.arn, actor.type, actor.issuer_arn) == ("arn:x", "", "")


@pytest.mark.parametrize("cut", [r"\ud83d", r"x\udc00y", r"\ud83d\ud83d"])
def test_a_text_cut_inside_a_character_hides_nothing(cut: str) -> None:
    text = body(userAgent="@").replace("@", cut)
    for one in (text, text.encode()):
        found = only(one)
        assert found.key == KEY
        assert "?" in found.actor.user_agent


def test_bad_utf8_in_a_lesser_field_hides_nothing() -> None:
    assert only(body(userAgent="@").encode().replace(b"@", b"\xff")).key == KEY


def test_a_lone_surrogate_in_the_text_itself_is_unreadable_not_a_crash() -> None:
    assert opened(body(userAgent="@").replace("@", "\ud800")) == "bad_text"


def test_of_duplicate_names_the_last_one_counts() -> None:
    text = body().replace(
        '"eventName": "DisableKey"', '"eventName": "X", "eventName": "DisableKey"'
    )
    assert only(text).event_name == "DisableKey"


INSIGHT = "AWS Insight via CloudTrail"
PLACE = {"bucket": {"name": "logs"}, "object": {"key": "a+b.gz"}}
S3 = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": PLACE}
CONFIG = {"messageType": "ConfigurationHistoryDeliveryCompleted"}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (envelope({"insightDetails": {}}, **{"detail-type": INSIGHT}), Opened(others=1)),
        ({"insightDetails": {}}, Opened(others=1)),
        ({"Records": [{"insightDetails": {}}]}, Opened(others=1)),
        ({"Records": []}, Opened(skipped="no_records")),
        ({"Records": [{"eventID": "x"}]}, ["missing_field"]),
        ({"Records": [{"eventSource": "aws:dynamodb", "eventName": "INSERT"}]}, ["unknown_shape"]),
        ({"Records": [S3]}, "a b.gz"),
        ({"Records": [S3 | {"eventName": "ObjectRemoved:Delete"}]}, Opened(others=1)),
        ({"Records": [S3 | {"s3": {}}]}, ["missing_field"]),
        (envelope(PLACE, **{"detail-type": "Object Created", "source": "aws.s3"}), "a+b.gz"),
        (PLACE, "a+b.gz"),
        ({"s3Bucket": "logs", "s3ObjectKey": ["a+b.gz"]}, "a+b.gz"),
        ({"s3Bucket": 5, "s3ObjectKey": ["a+b.gz"]}, "wrong_type"),
        ({"s3Bucket": "logs", "s3ObjectKey": "a"}, "wrong_type"),
        ({"Event": "s3:TestEvent", "Bucket": "logs"}, Opened(skipped="s3_test_event")),
        (CONFIG, Opened(others=1)),
        (envelope(CONFIG, **{"detail-type": ...}), Opened(others=1)),
        ({"invokingEvent": json.dumps(CONFIG), "resultToken": "t"}, Opened(others=1)),
        ({"invokingEvent": "{", "resultToken": "t"}, "wrong_type"),
        (
            {"Type": "SubscriptionConfirmation", "TopicArn": "t", "Message": "m"},
            Opened(skipped="sns_confirmation"),
        ),
        ({"Type": "Surprise", "TopicArn": "t", "Message": "m"}, "unknown_shape"),
        ({"Type": "Notification", "TopicArn": "t"}, "missing_field"),
        ({"Type": "Notification", "TopicArn": "t", "Message": 5}, "wrong_type"),
    ],
)
def test_every_shape_is_told_by_itself(value: Any, found: Any) -> None:
    """An `Opened`, the key of the log file in it, why it is unreadable, or why its records are."""
    read = opened(json.dumps(value))
    if isinstance(read, Opened) and isinstance(found, list):
        assert [one.reason for one in read.damaged] == found
    elif isinstance(read, Opened) and read.objects:
        assert [(one.bucket, one.key) for one in read.objects] == [("logs", found)]
    else:
        assert read == found


def test_what_sns_wrapped_in_broken_text_is_unreadable() -> None:
    text = json.dumps({"Type": "Notification", "TopicArn": "t", "Message": "@"}).encode()
    assert opened(text.replace(b"@", b"\xff")) in {"not_json", "bad_text"}


def test_cloudtrail_greets_a_new_topic_in_plain_text() -> None:
    for text in ("CloudTrail validation message.", b"CloudTrail validation message."):
        assert opened(text) == Opened(skipped="cloudtrail_validation")


def test_one_damaged_record_of_many_costs_only_itself() -> None:
    many = [record(), record(eventTime="x"), 5, record(eventName="Decrypt"), record()]
    found = open_body(json.dumps({"Records": many}), WANTED)
    assert [one.key for one in found.events] == [KEY, KEY]
    assert found.others == 1
    assert [one.reason for one in found.damaged] == ["bad_time", "wrong_type"]


def test_a_list_of_nothing_but_damage_is_not_read_to_its_end() -> None:
    found = open_body(json.dumps({"Records": [5] * 500 + [record()]}), WANTED)
    assert len(found.damaged) == 101
    assert not found.events


def test_what_sns_wrapped_says_so_and_is_not_unwrapped_for_ever() -> None:
    text = body()
    for level in range(3):
        found = opened(text)
        assert isinstance(found, Opened)
        assert (len(found.events), len(found.wrapped)) == (1, level)
        text = json.dumps({"Type": "Notification", "TopicArn": "arn:t", "Message": text})
    assert opened(text) == "too_deep"


def test_a_bare_record_is_read_as_tolerantly() -> None:
    assert read_record(json.dumps(record())).key == KEY
    assert read_record(json.dumps(record(userAgent=5))).key == KEY
    assert read_record(json.dumps(record(userAgent="@")).replace("@", r"\ud800")).key == KEY
    for text in ("", "[]", "{}", json.dumps(record(eventTime="x")), "[" * 100_000):
        with pytest.raises(Unreadable):
            read_record(text)


@given(st.binary() | st.text())
def test_no_body_at_all_raises_anything_else(text: str | bytes) -> None:
    opened(text)


@given(JSON)
def test_no_json_raises_anything_else(value: Any) -> None:
    opened(json.dumps(value))


@given(JSON)
def test_no_detail_raises_anything_else(value: Any) -> None:
    opened(json.dumps(envelope({"eventName": "DisableKey", "eventSource": KMS, "detail": value})))


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where every member and element of `value` stands."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(inner, (*path, name))


PATHS = list(paths(envelope()))


@settings(max_examples=400)
@given(st.sampled_from(PATHS), ODD_VALUES)
def test_no_change_of_one_field_raises_anything_else(
    path: tuple[str | int, ...], value: Any
) -> None:
    whole = envelope()
    holder: Any = whole
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = value
    found = opened(json.dumps(whole))
    if path[0] == "detail" and len(path) > 1 and path[1] not in NEEDED:
        assert isinstance(found, Opened), "a field that nobody needs made the event unreadable"
        assert len(found.events) == 1
        event = found.events[0]
        _ = event.key, event.actor, event.version, event.request(), event.response()


@pytest.mark.parametrize("path", [path for path in PATHS if isinstance(path[-1], str)])
def test_any_field_may_be_missing_or_null(path: tuple[str | int, ...]) -> None:
    for null in (False, True):
        whole = envelope()
        holder: Any = whole
        for name in path[:-1]:
            holder = holder[name]
        if null:
            holder[path[-1]] = None
        else:
            del holder[path[-1]]
        found = opened(json.dumps(whole))
        # Without `detail-type` the record has to speak for itself, and does.
        needed = (
            path == ("detail",)
            or (null and path == ("detail-type",))
            or path[1:] in {(one,) for one in NEEDED}
        )
        assert isinstance(found, str) is needed, (path, found)
