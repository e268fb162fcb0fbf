"""From the body of a delivery to the events inside it.

Every shape is recognised by itself. A body is decoded once, and of a record no more than tells
whether any detector looks at such calls; most are about others. Shapes: Amazon EventBridge user
guide, "AWS service events delivered via AWS CloudTrail".
"""

from collections.abc import Container

import msgspec

from monitor.errors import Unreadable
from monitor.event import Event

CLOUDTRAIL = " via CloudTrail"
"""How the `detail-type` of every CloudTrail record on EventBridge ends."""


class Envelope(msgspec.Struct, frozen=True, rename="kebab"):
    """An EventBridge event that carries a CloudTrail record."""

    detail_type: str
    detail: Event


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
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise explain(error) from error
    event = envelope.detail
    if (event.event_source, event.event_name) in wanted:
        check(event)
        return Opened(events=(event,))
    if not envelope.detail_type.endswith(CLOUDTRAIL):
        return BORING
    if not (event.event_name and event.event_source):
        raise Unreadable("missing_field", "a CloudTrail record without eventName or eventSource")
    return BORING


def check(event: Event) -> None:
    """What every event that is looked at must have: an id to know it by, and a time."""
    if not event.event_id:
        raise Unreadable("missing_field", "a CloudTrail record without eventID")
    try:
        _ = event.time
    except (ValueError, OverflowError) as error:
        raise Unreadable("bad_time", "eventTime is not a time of ISO 8601") from error


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
