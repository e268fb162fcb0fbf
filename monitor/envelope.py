"""From the body of a delivery to the events inside it.

Every shape is recognised by itself. Most bodies are about calls that no detector looks at, so a
body is read twice: once for the two names that decide whether anybody cares, which skips all else,
and whole only if somebody does. Shapes: Amazon EventBridge user guide, "AWS service events
delivered via AWS CloudTrail".
"""

from collections.abc import Container

import msgspec

from monitor.errors import Unreadable
from monitor.event import Event

CLOUDTRAIL = " via CloudTrail"
"""How the `detail-type` of every CloudTrail record on EventBridge ends."""


class Names(msgspec.Struct, frozen=True, rename="camel"):
    event_source: str | None = None
    event_name: str | None = None


class Outline(msgspec.Struct, frozen=True, rename="kebab"):
    """As little of an EventBridge envelope as tells whether anybody cares."""

    detail_type: str
    detail: Names


class Envelope(msgspec.Struct, frozen=True, rename="kebab"):
    detail: Event


class Opened(msgspec.Struct, frozen=True):
    """What was in a body: the events that were asked for, and how many others."""

    events: tuple[Event, ...] = ()
    others: int = 0


BORING = Opened(others=1)
outline = msgspec.json.Decoder(Outline)
envelope = msgspec.json.Decoder(Envelope)


def open_body(body: str | bytes, wanted: Container[tuple[str, str]]) -> Opened:
    """The events in `body` whose (eventSource, eventName) is wanted. Raises `Unreadable`.

    The source counts as much as the name: Lambda has a DeleteAlias, payment-cryptography a
    CreateKey.
    """
    try:
        seen = outline.decode(body)
        names = seen.detail
        if not seen.detail_type.endswith(CLOUDTRAIL):
            return BORING
        if names.event_name is None or names.event_source is None:
            raise Unreadable(
                "missing_field", "a CloudTrail record without eventName or eventSource"
            )
        if (names.event_source, names.event_name) not in wanted:
            return BORING
        event = envelope.decode(body).detail
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise explain(error) from error
    try:
        _ = event.time
    except (ValueError, OverflowError) as error:
        raise Unreadable("bad_time", "eventTime is not a time of ISO 8601") from error
    return Opened(events=(event,))


def explain(error: Exception) -> Unreadable:
    """Why a body cannot be read, in a bounded word and a detail that quotes none of its values."""
    match error:
        case msgspec.ValidationError():
            text = str(error)
            if "missing required field" in text:
                # Without `detail-type` it is no EventBridge event at all.
                envelope_itself = "`detail" in text and "$.detail" not in text
                return Unreadable("unknown_shape" if envelope_itself else "missing_field", text)
            return Unreadable("unknown_shape" if "$" not in text else "wrong_type", text)
        case RecursionError():
            return Unreadable("too_deep", "nested deeper than any AWS event")
        case UnicodeError():
            return Unreadable("bad_text", "not valid Unicode")
        case _:
            return Unreadable("not_json", str(error))
