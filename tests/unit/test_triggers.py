"""What a function is called for is recognised, and nothing of it is lost on the way."""

import base64
import gzip
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.envelope import open_body
from monitor.errors import Unreadable
from monitor.event import Wanted
from monitor.serverless.triggers import (
    PARTIAL,
    Batch,
    Command,
    RuleInvocation,
    Trigger,
    recognise,
)
from monitor.testing.fakes import record
from tests import triggers

NOW = 1_795_166_100.0
WANTED = Wanted(frozenset({("kms.amazonaws.com", "DisableKey")}))
BRIDGE = {
    "version": "0",
    "id": "33333333-cccc-4ccc-8ccc-000000000002",
    "detail-type": "AWS API Call via CloudTrail",
    "source": "aws.kms",
    "account": "111122223333",
    "time": "2026-11-20T09:14:03Z",
    "region": "eu-west-1",
    "resources": [],
    "detail": record(),
}
RULE = {"invokingEvent": "{}", "ruleParameters": "{}", "resultToken": "opaque"}


def batch(event: object) -> Batch:
    work = recognise(event, NOW)
    assert isinstance(work, Batch)
    return work


@pytest.mark.parametrize(
    "event",
    [
        BRIDGE,
        record(),
        {"Records": [record()]},
        {"messageType": "ConfigurationItemChangeNotification"},
        {"s3Bucket": "b", "s3ObjectKey": []},
        {"Service": "Amazon S3", "Event": "s3:TestEvent"},
        {"Type": "Notification", "TopicArn": triggers.TOPIC, "Message": "{}"},
    ],
)
def test_an_event_as_a_whole_is_one_delivery(event: dict[str, Any]) -> None:
    found = batch(event)
    assert found.trigger is Trigger.EVENT
    (item,) = found.items
    (delivery,) = item.deliveries
    assert json.loads(delivery.body) == event
    assert (delivery.source, delivery.received_at) == ("eventbridge", NOW)


def test_an_event_says_when_it_was_sent() -> None:
    ((delivery,),) = (item.deliveries for item in batch(BRIDGE).items)
    assert (delivery.delivery_id, delivery.sent_at) == (BRIDGE["id"], 1795166043.0)


@pytest.mark.parametrize("name", triggers.BATCHES)
def test_bodies_come_out_as_they_went_in(name: str) -> None:
    bodies = [json.dumps(record(eventID=f"{number}")) for number in range(3)]
    found = batch(triggers.BATCHES[name](*bodies))
    assert found.trigger.value == name.split(" ", maxsplit=1)[0]
    deliveries = [one for item in found.items for one in item.deliveries]
    assert [item.damage for item in found.items] == [None] * 3
    opened = [open_body(one.body, WANTED) for one in deliveries]
    assert [event.event_id for one in opened for event in one.events] == ["0", "1", "2"]
    names = [item.name for item in found.items]
    assert all(names) == (found.trigger in PARTIAL)


def test_a_message_of_a_topic_is_as_a_queue_gets_it() -> None:
    ((delivery,),) = (item.deliveries for item in batch(triggers.sns("{}")).items)
    body = json.loads(delivery.body)
    assert body["SigningCertURL"].endswith("a.pem")
    assert "Subject" not in body  # it would be part of what was signed
    assert delivery.sent_at == 1795166045.123


def test_a_message_of_a_queue_says_how_often_it_came() -> None:
    event = triggers.sqs("{}")
    event["Records"][0]["attributes"]["ApproximateReceiveCount"] = "4"
    (item,) = batch(event).items
    assert item.deliveries[0].receive_count == 4
    assert item.deliveries[0].sent_at == 1795166043.0
    assert item.deliveries[0].sender_id == "AIDASENDER"
    assert item.group == ""


def test_only_groups_of_a_fifo_queue_are_kept_in_order() -> None:
    assert [item.group for item in batch(triggers.sqs("{}", group="a")).items] == ["group a"]
    fair = triggers.sqs("{}")
    fair["Records"][0]["attributes"]["MessageGroupId"] = "a"
    assert [item.group for item in batch(fair).items] == [""]


def test_each_object_is_an_item() -> None:
    found = batch(triggers.s3("a", "b"))
    assert found.trigger is Trigger.S3
    opened = [open_body(item.deliveries[0].body, WANTED) for item in found.items]
    assert [one.objects[0].key for one in opened] == ["a", "b"]


def test_one_record_of_a_stream_may_hold_many_log_events() -> None:
    (item,) = batch(triggers.kinesis(triggers.log_data("{}", "[]", "x"))).items
    assert [one.body for one in item.deliveries] == ["{}", "[]", "x"]


def test_a_control_message_holds_nothing() -> None:
    content = triggers.log_data("CWL CONTROL MESSAGE", kind="CONTROL_MESSAGE")
    assert batch({"awslogs": {"data": triggers.packed(content)}}).items == ()
    (item,) = batch(triggers.kinesis(content)).items
    assert item.deliveries == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (triggers.log_data("{}")[:-8] + b"checksum", "corrupt"),
        (triggers.log_data("{}")[:-9], "truncated"),
        (gzip.compress(b"0" * 80 * 1024**2, mtime=0), "bomb"),
        (gzip.compress(b"no json", mtime=0), "not_json"),
        (gzip.compress(b'{"messageType": "DATA_MESSAGE"}', mtime=0), "unknown_shape"),
        (gzip.compress(b"[]", mtime=0), "unknown_shape"),
        (triggers.log_data(), "empty_batch"),
    ],
    ids=["corrupt", "truncated", "bomb", "text", "no list", "no object", "empty"],
)
def test_log_data_that_cannot_be_read_is_kept_as_it_came(content: bytes, reason: str) -> None:
    event = {"awslogs": {"data": triggers.packed(content)}}
    (item,) = batch(event).items
    assert item.damage is not None
    assert item.damage.reason == reason
    assert json.loads(item.deliveries[0].body) == event
    (item,) = batch(triggers.kinesis(content)).items
    assert item.damage is not None
    assert (item.damage.reason, bool(item.name)) == (reason, True)


def test_one_damaged_record_costs_only_itself() -> None:
    event = triggers.kinesis_events("{}", "{}")
    event["Records"][0]["kinesis"]["data"] = "!"
    first, second = batch(event).items
    assert first.damage is not None
    assert first.damage.reason == "not_base64"
    assert second.damage is None
    event = triggers.sqs("{}", "{}")
    del event["Records"][0]["body"]
    first, second = batch(event).items
    assert first.damage is not None
    assert second.damage is None
    event = triggers.sns("{}", "{}")
    event["Records"][1]["Sns"] = "?"
    assert [item.damage is None for item in batch(event).items] == [True, False]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (None, "unknown_trigger"),
        ([], "unknown_trigger"),
        ({}, "unknown_trigger"),
        ({"key1": "value1"}, "unknown_trigger"),
        ({"Records": "x"}, "unknown_trigger"),
        ({"Records": [{"eventSource": "aws:dynamodb"}]}, "unknown_trigger"),
        ({"Records": [None]}, "unknown_trigger"),
        ({"Records": []}, "empty_batch"),
        ({"Records": [*triggers.sqs("")["Records"], *triggers.sns("")["Records"]]}, "mixed_batch"),
        ({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}, "nameless_record"),
        ({"Records": [{"eventSource": "aws:kinesis", "kinesis": {}}]}, "nameless_record"),
    ],
)
def test_what_nobody_knows_is_refused_as_a_whole(event: object, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        recognise(event, NOW)
    assert refused.value.reason == reason


def test_what_is_no_batch() -> None:
    assert recognise(RULE, NOW) == RuleInvocation(RULE)
    sweep = {"kms-monitor": "sweep"}
    assert recognise(sweep, NOW) == Command("sweep", sweep)
    tick = BRIDGE | {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}
    for source in ("aws.events", "aws.scheduler"):
        asked = tick | {"source": source}
        assert recognise(asked, NOW) == Command("sweep", asked)
    assert isinstance(recognise(tick | {"source": ["aws.events"]}, NOW), Batch)
    # Anybody may send an event of that type with a source of their own.
    assert isinstance(recognise(tick | {"source": "my.app"}, NOW), Batch)


# -- whatever comes, nothing but named errors, and nothing is lost

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from([
    "Records", "awslogs", "data", "detail", "detail-type", "source", "kms-monitor", "invokingEvent",
    "resultToken", "eventSource", "EventSource", "messageId", "body", "attributes", "kinesis",
    "sequenceNumber", "Sns", "s3", "eventName", "eventSourceARN", "SentTimestamp", "Timestamp",
])  # fmt: skip
VALUES = st.sampled_from(["aws:sqs", "aws:sns", "aws:s3", "aws:kinesis", "H4sIAAAA", "1e999", "x"])
EVENTS = st.recursive(
    JSON | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)


@given(EVENTS)
def test_any_event_is_work_or_unreadable(event: Any) -> None:
    with suppress(Unreadable):
        assert isinstance(recognise(event, NOW), Batch | RuleInvocation | Command)


RECORDS = {
    "aws:sqs": lambda body: triggers.sqs(body)["Records"][0],
    "aws:kinesis": lambda body: triggers.kinesis_events(body)["Records"][0],
}


@given(
    st.sampled_from(sorted(RECORDS)),
    st.lists(st.tuples(NAMES | st.just("?"), EVENTS, st.text(max_size=20)), min_size=1, max_size=6),
)
def test_every_record_of_a_batch_is_one_item(
    source: str, damages: list[tuple[str, Any, str]]
) -> None:
    """Whatever is damaged in one of them, short of the name it is given back by."""
    listed = []
    for number, (member, value, body) in enumerate(damages):
        made = RECORDS[source](base64.b64encode(body.encode("utf-8", "replace")).decode())
        if member not in {"eventSource", "EventSource", "messageId", "kinesis"}:
            made[member] = value
        if source == "aws:sqs":
            made["messageId"] = f"{number}"
        else:
            made["kinesis"] |= {"sequenceNumber": f"{number}", "data": value}
        listed.append(made)
    found = batch({"Records": listed})
    assert [item.name for item in found.items] == [f"{number}" for number in range(len(listed))]
    assert all(item.deliveries or item.damage is None for item in found.items)
