"""From the body of a delivery to the events inside it.

Every shape is recognised by itself. Most bodies are about calls that no detector looks at, so a
body is read twice: once for the two names that decide whether anybody cares, which skips all else,
and whole only if somebody does. A record that is wanted is read whatever AWS does to its lesser
fields: one of a type that it never had counts as missing. Shapes: Amazon EventBridge user guide, "AWS service events
delivered via AWS CloudTrail".
"""

import json
from collections.abc import Container
from typing import Any, get_args

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
pieces = msgspec.json.Decoder(dict[str, msgspec.Raw])
parts = msgspec.json.Decoder(list[msgspec.Raw])


def open_body(body: str | bytes, wanted: Container[tuple[str, str]]) -> Opened:
    """The events in `body` whose (eventSource, eventName) is wanted. Raises `Unreadable`.

    The source counts as much as the name: Lambda has a DeleteAlias, payment-cryptography a
    CreateKey.
    """
    try:
        try:
            seen = outline.decode(body)
        except msgspec.DecodeError:
            body = with_whole_characters(body)
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
        event = read_event(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise explain(error) from error
    return Opened(events=(timed(event),))


def read_record(text: str | bytes) -> Event:
    """One bare CloudTrail record, as LookupEvents answers it. Raises `Unreadable`."""
    try:
        return timed(msgspec.json.decode(text, type=Event))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        pass
    try:
        return timed(event_of(msgspec.Raw(with_whole_characters(text))))
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise explain(error) from error


def timed(event: Event) -> Event:
    """The event, if its time is one."""
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
    except ValueError:
        return body


def read_event(body: str | bytes) -> Event:
    """The record, strictly if that can be, for it is fast; else what of it is as it should be."""
    try:
        return envelope.decode(body).detail
    except (msgspec.ValidationError, UnicodeError):
        return event_of(pieces.decode(body)["detail"])


def event_of(record: msgspec.Raw) -> Event:
    """What of a record is as it should be. Raises ValidationError if too little is."""
    return msgspec.convert(fitting(record, Event), Event)


def fitting(raw: msgspec.Raw, kind: Any) -> Any:
    """`raw` decoded as `kind`; what does not fit inside it is left out. Raises ValidationError."""
    inner = next((one for one in get_args(kind) if one is not type(None)), kind)
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        found = pieces.decode(raw)
        return {
            field.encode_name: value
            for field in msgspec.structs.fields(inner)
            if (value := fitting_or_none(found.get(field.encode_name), field.type)) is not None
        }
    if get_args(inner):  # a list
        return [fitting_or_none(one, get_args(inner)[0]) or {} for one in parts.decode(raw)]
    return msgspec.json.decode(raw, type=inner)


def fitting_or_none(raw: msgspec.Raw | None, kind: Any) -> Any:
    try:
        return None if raw is None else fitting(raw, kind)
    except (msgspec.ValidationError, UnicodeError):
        return None


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
