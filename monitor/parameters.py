"""Reading what services write into a record's `requestParameters` and `errorMessage`.

Each spells it in its own way: most write lowerCamelCase, Security Hub and S3 as their API does; a
list that came out of XML is one object where it had one element; EC2 puts lists into `items` and
newer calls into a member such as `ModifyEbsDefaultKmsKeyIdRequest`. All of it is untrusted.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

LONGEST = 80
"""Characters of a name that is shown to people."""
RESOURCE = re.compile(
    r"on resource: \\?\"?(?:(?P<noun>role|user|policy|group|instance profile) )?"
    r"(?P<name>[^\s\"\\]{1,2048})"
)
"""How a denied call names what it was about. IAM writes `role NAME`, others the ARN."""
ALIAS = re.compile(r"alias/[A-Za-z0-9/_-]{1,250}")
"""KMS API reference, "CreateAlias": letters, digits, slash, underscore, dash; at most 256 in all."""
ALIAS_ARN = re.compile(
    r"arn:aws[a-z-]{0,20}:kms:[a-z]{2}[a-z0-9-]{2,30}:[0-9]{12}:(alias/[A-Za-z0-9/_-]{1,250})"
)
REGION = re.compile(r"[a-z]{2}(-[a-z]{1,12}){1,3}-\d{1,2}")
KEY_OWNER = re.compile(
    r"arn:aws[a-z-]{0,20}:kms:[a-z0-9-]{0,32}:(?P<account>[0-9]{12}):(?:key|alias)/."
)

DEFAULT_WINDOW_DAYS = 30
"""AWS's default where whoever schedules a deletion names no window (aws-facts 2.3)."""


def member(given: object, *names: str) -> Any:
    """The first of these members that is there; letters may be large or small. None if none is."""
    if not isinstance(given, dict):
        return None
    for name in names:
        if (found := given.get(name)) is not None:
            return found
    wanted = {name.lower() for name in names}
    return next(
        (value for name, value in given.items() if value is not None and name.lower() in wanted),
        None,
    )


def text(given: object, *names: str) -> str:
    """The first of these members that is there, if it is a text; else nothing."""
    found = member(given, *names)
    return found if isinstance(found, str) else ""


def several(value: object) -> list[Any]:
    """A list however it is written: as one, as EC2's `items`, or as its only element."""
    if isinstance(value, dict) and isinstance(value.get("items"), list):
        value = value["items"]
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def texts(value: object) -> list[str]:
    """The texts of a list, however it is written."""
    return [one for one in several(value) if isinstance(one, str)]


def switched_off(value: object) -> bool:
    """Whether a flag is off; what came out of XML, or of a careless writer, is text."""
    return value is False or (isinstance(value, str) and value.lower() == "false")


def number(value: object) -> float | None:
    """A number, or a text of digits; None for anything else, booleans among them."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12:
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None


def listed(found: object) -> list[Any]:
    """A list as it is; anything else is an empty one."""
    return found if isinstance(found, list) else []


def mapped(found: object) -> dict[str, Any]:
    """An object as it is; anything else is an empty one."""
    return found if isinstance(found, dict) else {}


def said(request: Mapping[str, Any], name: str) -> bool | None:
    """A switch in a request; None where it was not touched. CloudTrail may write it as text."""
    return {True: True, False: False, "true": True, "false": False}.get(
        found if isinstance(found := request.get(name), bool | str) else ""
    )


def unwrapped(parameters: dict[str, Any], name: str) -> dict[str, Any]:
    """What stands in the member that newer calls of EC2 wrap everything into; else all of it."""
    inner = parameters.get(name)
    return inner if isinstance(inner, dict) else parameters


def short(value: object, most: int = LONGEST) -> str:
    """A text that may be shown: printable, on one line and not long; nothing for None."""
    given = "" if value is None else str(value)[: most + 1]
    plain = "".join(one if one.isprintable() else " " for one in given).strip()
    return plain if len(plain) <= most else plain[: most - 3] + "..."


def few(values: Iterable[str], most: int = 5) -> str:
    """A few of them for people, each cut, and how many more there are."""
    shown = list(values)
    named = ", ".join(short(one) for one in shown[:most])
    return f"{named} and {len(shown) - most} more" if len(shown) > most else named


def named_resource(message: str | None) -> str:
    """The resource that a denied call was about: an ARN, or a name; "" if the text has none.

    The first ARN of such a text is the caller's own (aws-facts 2.4).
    """
    return noun_and_resource(message)[1]


def noun_and_resource(message: str | None) -> tuple[str, str]:
    """The same, and before it IAM's word for what it is, such as `role`; "" where there is none."""
    found = RESOURCE.search(message or "")
    return (found["noun"] or "", found["name"]) if found else ("", "")


def key_owner(key: str) -> str:
    """The account that a key's or an alias's ARN names; "" for an id or a name without one."""
    found = KEY_OWNER.match(key)
    return found["account"] if found else ""


def whole(members: Mapping[str, Any], name: str) -> int | None:
    """The member if it is a whole number; true and false are none."""
    found = members.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def tags_of(members: Mapping[str, Any], name: str) -> dict[str, str]:
    """Tags as KMS writes them, a list of `{tagKey, tagValue}`; without a text as value it is ""."""
    found = members.get(name)
    pairs = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return {key: text(one, "tagValue") for one in pairs if (key := text(one, "tagKey"))}


def alias_name(text: str) -> str:
    """`alias/NAME` out of an alias's name or ARN; nothing if it is neither."""
    arn = ALIAS_ARN.fullmatch(text)
    if arn is not None:
        return arn[1]
    return text if ALIAS.fullmatch(text) else ""


def alias_arn_in(text: str) -> str:
    """The first ARN of an alias inside a text, such as an error message; else nothing."""
    found = ALIAS_ARN.search(text)
    return found[0] if found is not None else ""


def region_name(text: str) -> str:
    """The text if it has the form of a Region's name, else nothing."""
    return text if REGION.fullmatch(text) else ""


def deletion_window(response: Mapping[str, Any], request: Mapping[str, Any]) -> int:
    """The waiting period in days as AWS confirmed it, else as it was asked for, else its default.

    Booleans and numbers beyond the API model's 1 to 365 are no windows.
    """
    for source in (response, request):
        days = source.get("pendingWindowInDays")
        if isinstance(days, int) and not isinstance(days, bool) and 1 <= days <= 365:
            return days
    return DEFAULT_WINDOW_DAYS
