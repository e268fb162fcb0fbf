"""What a policy on a queue, a topic or a bus lets others do. Pure.

Not a judge of what IAM would decide: it finds what is plain to see, which is enough to tell people
that somebody opened or closed a door. Rests on the IAM user guide, "AWS JSON policy elements".
"""

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

TRANSPORT = "aws:securetransport"
"""A Deny for calls without TLS is what AWS itself advises."""


class ResourcePolicy:
    """A policy that somebody wrote; `readable` is False where it is no JSON object."""

    def __init__(self, text: object) -> None:
        found = text
        if isinstance(text, str):
            try:
                found = json.loads(text[:200_000])
            except (ValueError, RecursionError):
                found = None
        self.readable = isinstance(found, dict)
        statements = found.get("Statement") if isinstance(found, dict) else []
        some = statements if isinstance(statements, list) else [statements]
        self.statements: list[dict[str, Any]] = [one for one in some if isinstance(one, dict)]

    def open_to_all(self) -> bool:
        """Somebody without a name may do something, without any condition."""
        return any(
            one.get("Effect") == "Allow" and "*" in principals(one) and not one.get("Condition")
            for one in self.statements
        )

    def admits(self, action: str) -> bool:
        """Anybody at all may do it; an Allow with a NotAction or a condition counts."""
        return any(one.get("Effect") == "Allow" and about(one, action) for one in self.statements)

    def denies(self, action: str) -> bool:
        """It is forbidden to somebody, for another reason than a connection without TLS."""
        return any(
            one.get("Effect") == "Deny" and about(one, action) and not only_transport(one)
            for one in self.statements
        )


def principals(statement: Mapping[str, Any]) -> set[str]:
    """Whom a statement names, of every kind."""
    found = statement.get("Principal")
    groups = list(found.values()) if isinstance(found, dict) else [found]
    return {
        one
        for group in groups
        for one in (group if isinstance(group, list) else [group])
        if isinstance(one, str)
    }


def about(statement: Mapping[str, Any], action: str) -> bool:
    """Whether a statement is about an action such as `sqs:SendMessage`."""
    if "NotAction" in statement:
        return not covers(statement["NotAction"], action)
    return covers(statement.get("Action"), action)


def covers(patterns: object, action: str) -> bool:
    some = patterns if isinstance(patterns, list) else [patterns]
    texts = [one[:200].lower() for one in some if isinstance(one, str)]
    # Several stars in a row mean one, and make matching slow.
    return any(fnmatchcase(action.lower(), squeezed(one)) for one in texts)


def squeezed(pattern: str) -> str:
    """An IAM pattern for `fnmatch`, to which brackets mean something else."""
    while "**" in pattern:
        pattern = pattern.replace("**", "*")
    return pattern.replace("[", "[[]")


def only_transport(statement: Mapping[str, Any]) -> bool:
    condition = statement.get("Condition")
    if not isinstance(condition, dict):
        return False
    keys = {
        str(key).lower()
        for part in condition.values()
        for key in (part if isinstance(part, dict) else {})
    }
    return keys == {TRANSPORT}
