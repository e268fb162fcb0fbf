"""What a function was called for, made into deliveries. Pure.

The trigger is recognised by the event alone. Sources: AWS Lambda developer guide, the pages "Using
Lambda with" Amazon SQS, Amazon SNS, Amazon S3, Kinesis and CloudWatch Logs ("Subscription filters" in
the Amazon CloudWatch Logs user guide); the bodies inside are those of aws-facts 4, and are opened by
`monitor.envelope` as if they had come through a queue.
"""

import base64
import binascii
import json
import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, ClassVar, Final

import msgspec

from monitor.delivery import Delivery
from monitor.errors import Unreadable
from monitor.serverless.packed import unpacked
from monitor.shapes import Damage
from monitor.written_times import read_written

COMMAND: Final = "kms-monitor"
"""The member that only our own events have: `{"kms-monitor": "sweep"}`."""
SWEEP: Final = "sweep"
SCHEDULERS: Final = ("aws.events", "aws.scheduler")
"""A rule with a schedule, and EventBridge Scheduler where it was given no input: so it is time."""


class Trigger(StrEnum):
    """A closed list, fit for a metric label: what a delivery's source is called."""

    EVENT = "eventbridge"
    """Also a bare CloudTrail record, or whatever else of aws-facts 4 is the event as a whole."""
    SQS = "sqs"
    SNS = "sns"
    S3 = "s3"
    LOGS = "logs"
    KINESIS = "kinesis"
    CONFIG_RULE = "config_rule"
    COMMAND = "command"
    """Somebody asks us to do something: see `Command`."""


PARTIAL: Final = frozenset({Trigger.SQS, Trigger.KINESIS})
"""Whose items are settled one by one, by a partial batch response. Of the others Lambda knows only
whether the call as a whole went well."""
OF_SOURCE: Final = {
    "aws:sqs": Trigger.SQS,
    "aws:sns": Trigger.SNS,
    "aws:s3": Trigger.S3,
    "aws:kinesis": Trigger.KINESIS,
}


class Item(msgspec.Struct, frozen=True):
    """What a trigger settles as one: a message of a queue, a record of a stream, an event."""

    deliveries: tuple[Delivery, ...]
    name: str = ""
    """By which a partial batch response names it; "" where there is no such thing."""
    group: str = ""
    """Items of one group are done in their order; "" is no group."""
    damage: Damage | None = None
    """Why it cannot be read; then `deliveries` has it as it came."""


class Batch(msgspec.Struct, frozen=True):
    """Deliveries, and how they are settled."""

    trigger: Trigger
    items: tuple[Item, ...]


class RuleInvocation(msgspec.Struct, frozen=True):
    """AWS Config asks how one resource, or all, are (aws-facts 4.6)."""

    trigger: ClassVar = Trigger.CONFIG_RULE
    event: Mapping[str, Any]


class Command(msgspec.Struct, frozen=True):
    """What somebody asks us to do, such as `sweep`."""

    trigger: ClassVar = Trigger.COMMAND
    name: str
    event: Mapping[str, Any]


Work = Batch | RuleInvocation | Command


def recognise(event: object, now: float) -> Work:
    """What is to be done. `now`: epoch seconds.

    Raises `Unreadable` where nothing can be: `unknown_trigger`, `empty_batch`, `mixed_batch`, and
    `nameless_record` where what fails could not be given back. Nothing was done then.
    """
    if not isinstance(event, Mapping):
        raise Unreadable("unknown_trigger", "the event is no JSON object")
    if isinstance(event.get(COMMAND), str):
        return Command(event[COMMAND], event)
    if event.get("detail-type") == "Scheduled Event" and event.get("source") in SCHEDULERS:
        return Command(SWEEP, event)
    if "invokingEvent" in event and "resultToken" in event:
        return RuleInvocation(event)
    if "awslogs" in event:
        return Batch(Trigger.LOGS, logs(event["awslogs"], now))
    if "Records" in event:
        return records(event, now)
    if is_event(event):
        return Batch(Trigger.EVENT, (whole(event, Trigger.EVENT, now),))
    known = ", ".join(sorted(str(name)[:40] for name in event)[:10])
    raise Unreadable("unknown_trigger", f"an event of this shape is not known: {known}")


def is_event(event: Mapping[str, Any]) -> bool:
    """Whether the event as a whole is one of the shapes of aws-facts 4."""
    return (
        "detail" in event
        or ("eventSource" in event and "eventName" in event)
        or "messageType" in event
        or ("Type" in event and "TopicArn" in event)
        or ("s3Bucket" in event and "s3ObjectKey" in event)
        or event.get("Event") == "s3:TestEvent"
    )


def whole(event: Mapping[str, Any], trigger: Trigger, now: float) -> Item:
    name = event.get("id") or event.get("eventID")
    sent = event.get("time")
    delivery = Delivery(
        name if isinstance(name, str) else "",
        written(event),
        trigger.value,
        received_at=now,
        sent_at=read_written(sent) if isinstance(sent, str) else None,
    )
    return Item((delivery,))


def records(event: Mapping[str, Any], now: float) -> Batch:
    """A batch of one of the services in `OF_SOURCE`, or the content of a CloudTrail log file."""
    listed = event["Records"]
    if not isinstance(listed, list):
        raise Unreadable("unknown_trigger", "Records is no list")
    if not listed:
        raise Unreadable("empty_batch", "Records is empty")
    sources = {source_of(one) for one in listed}
    if not sources & OF_SOURCE.keys():
        if all(isinstance(one, Mapping) and "eventName" in one for one in listed):
            return Batch(Trigger.EVENT, (whole(event, Trigger.EVENT, now),))
        raise Unreadable("unknown_trigger", "records of a service that is not known")
    if len(sources) > 1:
        raise Unreadable("mixed_batch", "records of several services in one batch")
    trigger = OF_SOURCE[sources.pop()]
    make = {
        Trigger.SQS: message,
        Trigger.SNS: notification,
        Trigger.S3: created,
        Trigger.KINESIS: record,
    }[trigger]
    return Batch(trigger, tuple(make(one, now) for one in listed))


def source_of(one: object) -> str:
    """SNS writes its name with a capital."""
    if not isinstance(one, Mapping):
        return ""
    return str(one.get("eventSource") or one.get("EventSource") or "")


def message(one: Mapping[str, Any], now: float) -> Item:
    """Of a queue. Those of a FIFO queue have to be done in the order of their group."""
    name = named(one.get("messageId"), "messageId")
    about = inner(one, "attributes")
    fifo = str(one.get("eventSourceARN", "")).endswith(".fifo")
    body = one.get("body")
    delivery = Delivery(
        name,
        body if isinstance(body, str) else written(one),
        Trigger.SQS.value,
        received_at=now,
        sent_at=number(about.get("SentTimestamp"), 1000),
        receive_count=int(number(about.get("ApproximateReceiveCount")) or 1),
        sender_id=str(about.get("SenderId", "")),
    )
    damage = None if isinstance(body, str) else Damage("missing_field", "a message without a body")
    group = str(about.get("MessageGroupId", "")) if fifo else ""
    return Item((delivery,), name, f"group {group}" if fifo else "", damage)


def notification(one: Mapping[str, Any], now: float) -> Item:
    """Of a topic: made into the body that a queue would get, so that it is believed as that is.

    Lambda writes `SigningCertUrl` where SNS itself writes `SigningCertURL`.
    """
    given = one.get("Sns")
    if not isinstance(given, Mapping):
        return damaged(one, Trigger.SNS, now, Damage("missing_field", "a record without Sns"))
    body = {name: value for name, value in given.items() if value is not None}
    if "SigningCertUrl" in body:
        body["SigningCertURL"] = body.pop("SigningCertUrl")
    delivery = Delivery(
        str(given.get("MessageId", "")),
        written(body),
        Trigger.SNS.value,
        received_at=now,
        sent_at=read_written(str(given.get("Timestamp", ""))),
    )
    return Item((delivery,))


def created(one: Mapping[str, Any], now: float) -> Item:
    """Of a bucket: each record by itself."""
    body = written({"Records": [one]})
    sent = read_written(str(one.get("eventTime", "")))
    return Item((Delivery("", body, Trigger.S3.value, received_at=now, sent_at=sent),))


def record(one: Mapping[str, Any], now: float) -> Item:
    """Of a stream: an event, or what CloudWatch Logs sends there."""
    given = inner(one, "kinesis")
    name = named(given.get("sequenceNumber"), "sequenceNumber")
    sent = number(given.get("approximateArrivalTimestamp"))
    try:
        content = decoded(given.get("data"))
        bodies = list(log_events(content)) if content.startswith(b"\x1f\x8b") else [(name, content)]
    except Unreadable as error:
        return damaged(one, Trigger.KINESIS, now, Damage(error.reason, str(error)), name)
    return Item(
        tuple(
            Delivery(known, body, Trigger.KINESIS.value, received_at=now, sent_at=sent)
            for known, body in bodies
        ),
        name,
    )


def logs(given: object, now: float) -> tuple[Item, ...]:
    """Of a log group: each log event by itself."""
    data = given.get("data") if isinstance(given, Mapping) else None
    try:
        bodies = list(log_events(decoded(data)))
    except Unreadable as error:
        damage = Damage(error.reason, str(error))
        return (damaged({"awslogs": given}, Trigger.LOGS, now, damage),)
    return tuple(
        Item((Delivery(name, body, Trigger.LOGS.value, received_at=now),)) for name, body in bodies
    )


def log_events(content: bytes) -> Iterator[tuple[str, str]]:
    """Id and text of each log event in what CloudWatch Logs sends. Raises `Unreadable`.

    A CONTROL_MESSAGE only tries whether somebody is there; it holds nothing.
    """
    try:
        given = json.loads(unpacked(content))
    except (ValueError, RecursionError) as error:
        raise Unreadable("not_json", "what CloudWatch Logs sent is no JSON") from error
    kind = given.get("messageType") if isinstance(given, dict) else None
    if kind == "CONTROL_MESSAGE":
        return
    if kind != "DATA_MESSAGE" or not isinstance(given.get("logEvents"), list):
        raise Unreadable("unknown_shape", "this is nothing that CloudWatch Logs sends")
    if not given["logEvents"]:
        raise Unreadable("empty_batch", "logEvents is empty")
    for one in given["logEvents"]:
        text = one.get("message") if isinstance(one, dict) else None
        known = one.get("id") if isinstance(one, dict) else None
        # What is no log event is handed on as it is, and found unreadable by itself.
        yield str(known or ""), text if isinstance(text, str) else written(one)


# -- parts of an event, which may be of any type


def damaged(one: object, trigger: Trigger, now: float, damage: Damage, name: str = "") -> Item:
    """Something that cannot be read, as it came."""
    delivery = Delivery(name, written(one), trigger.value, received_at=now)
    return Item((delivery,), name, damage=damage)


def named(given: object, what: str) -> str:
    if not isinstance(given, str) or not given:
        raise Unreadable("nameless_record", f"a record without {what} could not be given back")
    return given


def inner(one: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    given = one.get(name)
    return given if isinstance(given, Mapping) else {}


def number(given: object, scale: float = 1) -> float | None:
    """AWS writes numbers as text in some of these."""
    try:
        found = float(given) / scale if isinstance(given, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def decoded(given: object) -> bytes:
    """Base64. Raises `Unreadable`."""
    if not isinstance(given, str):
        raise Unreadable("missing_field", "there is no data")
    try:
        return base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unreadable("not_base64", "data is not base64") from error


def written(given: object) -> str:
    """As JSON, with whatever Python made of the JSON that Lambda was given."""
    try:
        return json.dumps(given, separators=(",", ":"), default=str)
    except (ValueError, RecursionError) as error:
        raise Unreadable("too_deep", "the event is nested too deeply") from error
