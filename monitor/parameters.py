"""What a caller typed, read with care: any member may be missing, null or of another type.

The texts are untrusted. They are cut before they go into a finding; into a title goes only what is
of a form that AWS documents.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

MOST: Final = 80
"""Characters of an untrusted text that people are shown."""
ALIAS: Final = re.compile(r"alias/[A-Za-z0-9/_-]{1,250}")
"""KMS API reference, "CreateAlias": letters, digits, slash, underscore, dash; at most 256 in all."""
ALIAS_ARN: Final = re.compile(
    r"arn:aws[a-z-]{0,20}:kms:[a-z]{2}[a-z0-9-]{2,30}:[0-9]{12}:(alias/[A-Za-z0-9/_-]{1,250})"
)
REGION: Final = re.compile(r"[a-z]{2}(-[a-z]{1,12}){1,3}-\d{1,2}")


def cut(text: str, most: int = MOST) -> str:
    """The text, or its beginning with three dots if it is longer than `most`."""
    return text if len(text) <= most else text[: most - 3] + "..."


def text_of(members: Mapping[str, Any], name: str) -> str:
    """The member if it is a text, else nothing. Not cut."""
    found = members.get(name)
    return found if isinstance(found, str) else ""


def number_of(members: Mapping[str, Any], name: str) -> int | None:
    """The member if it is a whole number; true and false are none."""
    found = members.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def texts_of(members: Mapping[str, Any], name: str) -> list[str]:
    """The texts in a list; empty where the member is no list."""
    found = members.get(name)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def tags_of(members: Mapping[str, Any], name: str) -> dict[str, str]:
    """Tags as KMS writes them, a list of `{tagKey, tagValue}`; without a text as value it is ""."""
    found = members.get(name)
    pairs = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return {key: text_of(one, "tagValue") for one in pairs if (key := text_of(one, "tagKey"))}


def listed(texts: Iterable[str], most: int = 5) -> str:
    """A few of them for people, each cut, and how many more there are."""
    several = list(texts)
    shown = ", ".join(cut(one) for one in several[:most])
    return f"{shown} and {len(several) - most} more" if len(several) > most else shown


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
