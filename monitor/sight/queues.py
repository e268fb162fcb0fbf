"""What new attributes do to a queue that we live by. Pure.

Rests on the SQS API reference, "SetQueueAttributes", and on aws-facts 5 and 8.2.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from monitor.finding import Severity
from monitor.iam_policy.plain import allows, denied, is_public, read

READ = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
"""What the daemon does with the queue."""
SEND = "sqs:SendMessage"
LONG = 300


class Limits(msgspec.Struct, frozen=True):
    """What is still good: seconds and bytes."""

    retention: int = 24 * 3600
    delay: int = 10
    size: int = 256 * 1024
    visibility: int = 10


class Judged(msgspec.Struct, frozen=True):
    """What is wrong, by attribute, and how bad the worst of it is."""

    details: dict[str, str] = {}
    severity: Severity = Severity.LOW


Problem = tuple[Severity, str]


def judge(attributes: Any, ours: frozenset[str], limits: Limits) -> Judged:
    """The attributes that somebody set. All values are texts; names may begin in small letters."""
    given = attributes if isinstance(attributes, dict) else {}
    details: dict[str, str] = {}
    worst = Severity.LOW
    for name, value in given.items():
        kind = name[:1].upper() + name[1:]
        text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
        problems = list(problems_of(kind, text, ours, limits))
        if problems:
            worst = max(worst, *(severity for severity, _ in problems))
            details[kind] = "; ".join(what for _, what in problems)[:300]
    return Judged(details, worst)


def problems_of(name: str, text: str, ours: frozenset[str], limits: Limits) -> Iterable[Problem]:
    match name:
        case "Policy":
            return policy(text)
        case "RedrivePolicy":
            return redrive(text, ours)
        case "RedriveAllowPolicy" if "denyAll" in text:
            return [(Severity.MEDIUM, "no queue may use it as its dead-letter queue")]
        case "KmsMasterKeyId" if text:
            what = "a key encrypts it: whoever rules the key rules the queue"
            if text.endswith("alias/aws/sqs"):
                what = "AWS's own key encrypts it, with which EventBridge and SNS cannot send"
            return [(Severity.HIGH, what)]
        case "KmsMasterKeyId":
            return [(Severity.LOW, "no key encrypts it any more")]
        case "SqsManagedSseEnabled" if text.lower() == "false":
            return [(Severity.LOW, "it is no longer encrypted by SQS")]
        case _:
            return number(name, text, limits)


def number(name: str, text: str, limits: Limits) -> Iterable[Problem]:
    # No attribute has more than eight digits.
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        return []
    value = int(text)
    rules: dict[str, tuple[Callable[[int], bool], Severity, str]] = {
        "MessageRetentionPeriod": (
            lambda seconds: seconds < limits.retention,
            Severity.HIGH,
            f"messages are lost after {value} s",
        ),
        "VisibilityTimeout": (
            lambda seconds: seconds < limits.visibility,
            Severity.MEDIUM,
            f"a message comes again after {value} s",
        ),
        "MaximumMessageSize": (
            lambda size: size < limits.size,
            Severity.HIGH,
            f"events of more than {value} bytes are refused",
        ),
        "DelaySeconds": (
            lambda seconds: seconds > limits.delay,
            Severity.HIGH if value >= LONG else Severity.MEDIUM,
            f"events come {value} s late",
        ),
    }
    if name not in rules:
        return []
    is_bad, severity, what = rules[name]
    return [(severity, what)] if is_bad(value) else []


def policy(text: str) -> list[Problem]:
    """SetQueueAttributes replaces the whole policy; an empty one is none."""
    given = read(text)
    if not allows(given, SEND):
        return [(Severity.CRITICAL, "nobody may send to it any more")]
    problems: list[Problem] = []
    if is_public(given):
        problems.append((Severity.HIGH, "everybody may use it"))
    asked = (SEND, *READ)
    forbidden = denied(given, asked).any
    if forbidden:
        named = ", ".join(one for one in asked if one in forbidden)
        problems.append((Severity.HIGH, f"it forbids {named}"))
    return problems or [(Severity.MEDIUM, "its policy was replaced")]


def redrive(text: str, ours: frozenset[str]) -> list[Problem]:
    """Where messages go that were received too often."""
    try:
        found = json.loads(text[:2000]) if text else None
    except (ValueError, RecursionError):
        found = None
    target = found.get("deadLetterTargetArn") if isinstance(found, dict) else None
    if not (isinstance(found, dict) and isinstance(target, str) and target):
        return [(Severity.MEDIUM, "it has no dead-letter queue any more")]
    problems: list[Problem] = []
    if target not in ours:
        problems.append((Severity.MEDIUM, f"its dead-letter queue is {target[:120]}, not ours"))
    if str(found.get("maxReceiveCount")) == "1":
        problems.append((Severity.MEDIUM, "a message is given up after one receipt"))
    return problems
