"""From the body of a delivery to the events inside it.

Every shape is recognised by itself. An EventBridge event around a CloudTrail record, the usual case,
is decoded once, and of the record no more than tells whether any detector looks at such calls; most
are about others. Only a body that does not fit is looked at for another shape, in the order of
aws-facts 4. The table of shapes for users: docs/envelopes.md.
"""

from collections.abc import Iterator

import msgspec
from msgspec.structs import asdict, replace

from monitor.decoding import elements, explain, part, pieces, with_whole_characters
from monitor.errors import Unreadable
from monitor.event import Event, Wanted, checked
from monitor.notices import (
    BORING,
    TOLD_BY_BRIDGE,
    Members,
    config,
    created,
    from_bridge,
    inside,
    new_logs,
    s3_record,
    text,
)
from monitor.shapes import Damage, Envelope, LogObject, Names, NewLogs, Opened, SnsWrapping

__all__ = ["LogObject", "Opened", "SnsWrapping", "open_body"]

CLOUDTRAIL = " via CloudTrail"
"""How the `detail-type` of every CloudTrail record on EventBridge ends."""
INSIGHT = "AWS Insight via CloudTrail"
"""The only one of them without eventName: a statistic, not a call."""
LARGEST = 2 * 1024 * 1024
"""Bytes. A queue carries 1 MiB (aws-facts 4.7); to look into much more would delay others."""
MOST_LEVELS = 2
"""Of SNS around SNS."""
MOST_DAMAGED = 100
"""Records of one list. With more, it is no list of records, and the rest is not looked at."""
VALIDATION = "CloudTrail validation message."
"""What CloudTrail publishes, as plain text, when a topic is given to a trail."""

MALFORMED = (msgspec.DecodeError, RecursionError, UnicodeError)
decoder = msgspec.json.Decoder(Envelope)
wrappings = msgspec.json.Decoder(SnsWrapping)
notices = msgspec.json.Decoder(NewLogs)


def open_body(body: str | bytes, wanted: Wanted) -> Opened:
    """The events in `body` that are wanted. Raises `Unreadable`.

    The source counts as much as the name: Lambda has a DeleteAlias, payment-cryptography a
    CreateKey.
    """
    return open_level(body, wanted, 0)


def open_level(body: str | bytes, wanted: Wanted, level: int) -> Opened:
    """`open_body` inside so many levels of SNS."""
    if len(body) > LARGEST:
        raise Unreadable("too_large", f"longer than {LARGEST} bytes")
    try:
        envelope = decoder.decode(body)
    except MALFORMED:
        return probe(body, wanted, level)
    if envelope.detail_type in TOLD_BY_BRIDGE:
        return probe(body, wanted, level)
    return judge(envelope, wanted)


def judge(envelope: Envelope, wanted: Wanted) -> Opened:
    """The record, if anybody looks at such calls. Raises `Unreadable`."""
    event = envelope.detail
    if wanted.takes(event):
        return Opened(events=(checked(event),))
    kind = envelope.detail_type
    if kind.endswith(CLOUDTRAIL) and not (event.event_name and event.event_source):
        if kind == INSIGHT:
            return BORING
        raise Unreadable("missing_field", "a CloudTrail record without eventName or eventSource")
    return BORING


def probe(body: str | bytes, wanted: Wanted, level: int) -> Opened:
    """A body that is not what most are: which shape it has. Raises `Unreadable`.

    What of a shape is as it should be is taken, whatever AWS did to the lesser members.
    """
    try:
        body = with_whole_characters(body)
        members = pieces.decode(body)
    except MALFORMED as error:
        if body in {VALIDATION, VALIDATION.encode()}:
            return Opened(skipped="cloudtrail_validation")
        raise explain(error) from error
    if "Type" in members and ("Message" in members or "TopicArn" in members):
        return unwrap(body, wanted, level)
    if "detail" in members:
        return salvage(members, wanted)
    if text(members, "Event") == "s3:TestEvent":
        return Opened(skipped="s3_test_event")
    if "Records" in members:
        return open_records(members["Records"], wanted)
    if "s3Bucket" in members and "s3ObjectKey" in members:
        return open_notice(body)
    raw = msgspec.Raw(body)
    if "messageType" in members:
        return config(members, raw, wanted)
    if "invokingEvent" in members and "resultToken" in members:
        notification = msgspec.Raw(text(members, "invokingEvent").encode())
        return config(inside(notification), notification, wanted)
    return open_detail(members, raw, wanted)


def unwrap(body: str | bytes, wanted: Wanted, level: int) -> Opened:
    """A message as SNS wraps it. No URL in it is ever fetched here. Raises `Unreadable`."""
    try:
        wrapping = wrappings.decode(body)
    except MALFORMED as error:
        raise odd(error) from error
    match wrapping.type:
        case "Notification":
            pass
        case "SubscriptionConfirmation" | "UnsubscribeConfirmation":
            return Opened(skipped="sns_confirmation")
        case _:
            raise Unreadable("unknown_shape", "SNS knows no such Type")
    if level == MOST_LEVELS:
        raise Unreadable("too_deep", f"wrapped by SNS more than {MOST_LEVELS} times")
    opened = open_level(wrapping.message, wanted, level + 1)
    return replace(opened, wrapped=(wrapping, *opened.wrapped))


def salvage(members: Members, wanted: Wanted) -> Opened:
    """An EventBridge event with something odd about it. Raises `Unreadable`.

    A member of a type that it never had counts as missing. An input transformer may have left no
    `detail-type`; then `detail` has to speak for itself.
    """
    detail = members["detail"]
    if "detail-type" not in members:
        return open_detail(inside(detail), detail, wanted)
    try:
        detail_type = msgspec.json.decode(members["detail-type"], type=str)
        if detail_type in TOLD_BY_BRIDGE:
            return from_bridge(detail_type, members, wanted)
        names = msgspec.json.decode(detail, type=Names)
    except MALFORMED as error:
        raise odd(error) from error
    return judge(Envelope(detail_type, part(detail, Event, Event(**asdict(names)))), wanted)


def open_notice(body: str | bytes) -> Opened:
    """CloudTrail's own notification of new log files. Raises `Unreadable`."""
    try:
        return new_logs(notices.decode(body))
    except MALFORMED as error:
        raise odd(error) from error


def open_detail(members: Members, raw: msgspec.Raw, wanted: Wanted) -> Opened:
    """What an EventBridge event had inside, without a word of what it is. Raises `Unreadable`."""
    if "eventSource" in members or "eventName" in members:
        return open_record(raw, wanted)
    if "insightDetails" in members:
        return BORING
    if "messageType" in members:
        return config(members, raw, wanted)
    if "bucket" in members and "object" in members:
        return created(raw, "")
    raise Unreadable("unknown_shape", "no shape that is known has such members")


def open_records(raw: msgspec.Raw, wanted: Wanted) -> Opened:
    """A list of records, of CloudTrail or of S3. Raises `Unreadable` if it is none."""
    try:
        records = elements.decode(raw)
    except MALFORMED as error:
        raise Unreadable("wrong_type", "Records is no list") from error
    events: list[Event] = []
    objects: list[LogObject] = []
    damaged: list[Damage] = []
    others = 0
    for one in open_each(records, wanted, damaged):
        events += one.events
        objects += one.objects
        others += one.others
    return Opened(
        tuple(events),
        others,
        tuple(objects),
        skipped="" if records else "no_records",
        damaged=tuple(damaged),
    )


def open_each(
    records: list[msgspec.Raw], wanted: Wanted, damaged: list[Damage]
) -> Iterator[Opened]:
    """What is in each record; why it cannot be read goes to `damaged`."""
    for raw in records:
        try:
            yield open_record(raw, wanted)
        except Unreadable as error:
            damaged.append(Damage(error.reason, str(error)))
            if len(damaged) > MOST_DAMAGED:
                return


def open_record(raw: msgspec.Raw, wanted: Wanted) -> Opened:
    """One record by itself. Raises `Unreadable`.

    S3's records have members of the same names as CloudTrail's, so the source is looked at first.
    """
    try:
        event = msgspec.json.decode(raw, type=Event)
    except MALFORMED:
        event = part(raw, Event, Event(**asdict(read_names(raw))))
    source, name = event.event_source, event.event_name
    if source == "aws:s3":
        # Only what was created is there to be read.
        return Opened(objects=(s3_record(raw),)) if name.startswith("ObjectCreated:") else BORING
    if source.startswith("aws:"):
        raise Unreadable("unknown_shape", "records of another service than CloudTrail and S3")
    if not (source and name):
        if "insightDetails" in inside(raw):
            return BORING
        raise Unreadable("missing_field", "a CloudTrail record without eventName or eventSource")
    return Opened(events=(checked(event),)) if wanted.takes(event) else BORING


def read_names(raw: msgspec.Raw) -> Names:
    try:
        return msgspec.json.decode(raw, type=Names)
    except MALFORMED as error:
        raise odd(error) from error


def odd(error: Exception) -> Unreadable:
    """Why a member of a shape that was recognised cannot be read."""
    if isinstance(error, msgspec.ValidationError):
        missing = "missing required field" in str(error)
        return Unreadable("missing_field" if missing else "wrong_type", str(error))
    return explain(error)
