"""Decoding JSON that others write, and that may hold surprises.

What fits its type is taken, what does not counts as missing: a record that says clearly which key
was disabled must not be lost because of a lesser member.
"""

import json
from types import GenericAlias
from typing import Any, TypeVar, get_args

import msgspec

from monitor.errors import Unreadable

T = TypeVar("T")


pieces = msgspec.json.Decoder(dict[str, msgspec.Raw])
elements = msgspec.json.Decoder(list[msgspec.Raw])


def part(raw: msgspec.Raw, kind: type[T], otherwise: T) -> T:
    """One undecoded member as `kind`: whole if it can be, else what of it is as it should be."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (ValueError, RecursionError):  # of ValueError: msgspec's own, and bad UTF-8
        pass
    try:
        return msgspec.convert(fitting(raw, kind), kind)
    except (ValueError, RecursionError):
        return otherwise


def fitting(raw: msgspec.Raw, kind: Any) -> Any:
    """`raw` decoded as `kind`; what does not fit inside it is left out. Raises ValueError."""
    inner = next((one for one in get_args(kind) if one is not type(None)), kind)
    if isinstance(kind, GenericAlias) and kind.__origin__ is list:
        found_or_none = (fitting_or_none(one, inner) for one in elements.decode(raw))
        return [one for one in found_or_none if one is not None]
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        found = pieces.decode(raw)
        return {
            field.encode_name: value
            for field in msgspec.structs.fields(inner)
            if (value := fitting_or_none(found.get(field.encode_name), field.type)) is not None
        }
    return msgspec.json.decode(raw, type=inner)


def fitting_or_none(raw: msgspec.Raw | None, kind: Any) -> Any:
    try:
        return None if raw is None else fitting(raw, kind)
    except ValueError:
        return None


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
