"""Whether a key is one of those that patterns name. Pure.

The settings name keys in one way wherever they do: by patterns over a key's id, its ARN or an alias
that it should have, and by its tags as they should be. Each answer is one of three: yes, no, or None
where that cannot be told, because the key's aliases or tags are not known. Whoever asks decides what
is safe then.
"""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field

from monitor.key import KeyRef
from monitor.setting_types import Pattern

TagPatterns = dict[str, Pattern | Annotated[list[Pattern], Field(min_length=1)]]
"""By the tag's name: a pattern of its value, or several, of which any one is enough."""


def by_name(patterns: Iterable[str], key: KeyRef, aliases: Iterable[str] | None) -> bool | None:
    """Whether any pattern is one of the key's id, its ARN, or an alias (`alias/NAME`)."""
    patterns = tuple(patterns)
    names = (key.key_id, key.arn, *(aliases or ()))
    if any(fnmatchcase(name, pattern) for name in names for pattern in patterns):
        return True
    unsure = aliases is None and any(may_be_alias(pattern) for pattern in patterns)
    return None if unsure else False


def by_any_tag(patterns: TagPatterns, tags: Mapping[str, str] | None) -> bool | None:
    """Whether any tag is as one of the patterns says; False where there are none."""
    if tags is None:
        return None if patterns else False
    return any(has_tag(tags, name, wanted) for name, wanted in patterns.items())


def by_all_tags(patterns: TagPatterns, tags: Mapping[str, str] | None) -> bool | None:
    """Whether every tag that is named is as its patterns say; True where none is named."""
    if tags is None:
        return None if patterns else True
    return all(has_tag(tags, name, wanted) for name, wanted in patterns.items())


def has_tag(tags: Mapping[str, str], name: str, wanted: str | list[str]) -> bool:
    patterns = [wanted] if isinstance(wanted, str) else wanted
    return name in tags and any(fnmatchcase(tags[name], pattern) for pattern in patterns)


def may_be_alias(pattern: str) -> bool:
    """Whether a pattern may match an alias, `alias/NAME`."""
    plain = re.split(r"[*?[]", pattern, maxsplit=1)[0]
    return "alias/".startswith(plain) or plain.startswith("alias/")


def either(answers: Iterable[bool | None]) -> bool | None:
    """Yes if any is; None if none is and one cannot be told."""
    found = set(answers)
    return True if True in found else None if None in found else False


def every(answers: Iterable[bool | None]) -> bool | None:
    """No if any is; None if none is and one cannot be told."""
    found = set(answers)
    return False if False in found else None if None in found else True
