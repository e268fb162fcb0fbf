"""From the body of a delivery to the events inside it.

Every shape is recognised by itself. A body is decoded once, and of a record no more than tells
whether any detector looks at such calls; most are about others. Shapes: Amazon EventBridge user
guide, "AWS service events delivered via AWS CloudTrail".
"""

import json
from collections.abc import Container

import msgspec
from msgspec.structs import asdict

from monitor.errors import Unreadable
from monitor.event import Event, part, pieces

CLOUDTRAIL = " via CloudTrail"
"""How the `detail-type` of every CloudTrail record on EventBridge ends."""


class Envelope(msgspec.Struct, frozen=True, rename="kebab"):
    """An EventBridge event that carries a CloudTrail record."""

    detail_type: str
    detail: Event


class Names(msgspec.Struct, frozen=True, rename="camel"):
    """What must be text for a record to be one."""

    event_source: str = ""
    event_name: str = ""


class Opened(msgspec.Struct, frozen=True):
    """What was in a body: the events that were asked for, and how many others."""

    events: tuple[Event, ...] = ()
    others: int = 0


BORING = Opened(others=1)
decoder = msgspec.json.Decoder(Envelope)


def open_body(body: str | bytes, wanted: Container[tuple[str, str]]) -> Opened:
    """The events in `body` whose (eventSource, eventName) is wanted. Raises `Unreadable`.

    The source counts as much as the name: Lambda has a DeleteAlias, payment-cryptography a
    CreateKey.
    """
    try:
        envelope = decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        envelope = salvage(body)
    event = envelope.detail
    if (event.event_source, event.event_name) in wanted:
        return Opened(events=(checked(event),))
    if not envelope.detail_type.endswith(CLOUDTRAIL):
        return BORING
    if not (event.event_name and event.event_source):
        raise Unreadable("missing_field", "a CloudTrail record without eventName or eventSource")
    return BORING


def read_record(text: str | bytes) -> Event:
    """One bare CloudTrail record, as LookupEvents answers it. Raises `Unreadable`."""
    try:
        raw = msgspec.json.decode(with_whole_characters(text), type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise explain(error) from error
    return checked(part(raw, Event, Event()))


def salvage(body: str | bytes) -> Envelope:
    """What of an envelope is as it should be, whatever AWS did to the lesser members.

    A member of a type that it never had counts as missing. Raises `Unreadable` if too little is
    left.
    """
    try:
        members = pieces.decode(with_whole_characters(body))
        if "detail" not in members or "detail-type" not in members:
            raise Unreadable("unknown_shape", "neither `detail-type` nor `detail`")
        detail_type = msgspec.json.decode(members["detail-type"], type=str)
        names = msgspec.json.decode(members["detail"], type=Names)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise explain(error) from error
    return Envelope(detail_type, part(members["detail"], Event, Event(**asdict(names))))


def checked(event: Event) -> Event:
    """The event, if it has what every event must that is looked at: an id and a time."""
    if not event.event_id:
        raise Unreadable("missing_field", "a CloudTrail record without eventID")
    try:
        _ = event.time
    except (ValueError, OverflowError) as error:
        raise Unreadable("bad_time", "eventTime is not a time of ISO 8601") from error
    return event


def with_whole_characters(body: str | bytes) -> str | bytes:
    """`body` with a question mark for every lone surrogate, which msgspec refuses.

    A user agent that was cut in the middle of a character must not hide who did what.
    """
    if (rb"\u" if isinstance(body, bytes) else r"\u") not in body:  # type: ignore[operator]
        return body
    try:
        return json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return body


def explain(error: Exception) -> Unreadable:
    """Why a body cannot be read, in a bounded word and a detail that quotes none of its values."""
    match error:
        case msgspec.ValidationError():
            text = str(error)
            # Without `detail-type` and `detail` it is no EventBridge event at all.
            foreign = "$" not in text or "missing required field" in text
            return Unreadable("unknown_shape" if foreign else "wrong_type", text)
        case RecursionError():
            return Unreadable("too_deep", "nested deeper than any AWS event")
        case UnicodeError():
            return Unreadable("bad_text", "not valid Unicode")
        case _:
            return Unreadable("not_json", str(error))
