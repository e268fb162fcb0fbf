"""From the body of a delivery to the events inside it.

Every shape is recognised by itself. A body is decoded once, and of a record no more than tells
whether any detector looks at such calls; most are about others. Shapes: Amazon EventBridge user
guide, "AWS service events delivered via AWS CloudTrail".
"""

from collections.abc import Container

import msgspec
from msgspec.structs import asdict

from monitor.decoding import explain, part, pieces, with_whole_characters
from monitor.errors import Unreadable
from monitor.event import Event, checked

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
