"""EventBridge patterns for exactly the events that the enabled detectors look at. Pure.

A pattern may have 2,048 characters (EventBridge quotas), so there are as many as it takes, each for
a rule of its own. The calls of a service stand together with its eventSource, for Lambda has a
DeleteAlias too, and calls that only read stand in patterns of their own: only their rules need the
state ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS, which lets much more through (aws-facts 4.1).

What is done to rules stands in two patterns: EventBridge goes by a rule's state when the event arrives,
so a rule that was just disabled cannot tell of it, and another must.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from monitor.event import KMS, Wanted
from monitor.finding import CONFIG_EVENTS
from monitor.notices import CONFIG, CONFIG_DETAILS
from monitor.sight.event_pattern import MAX_PATTERN_CHARACTERS
from monitor.sight.rules import bridge_source, native, only_reads

NETWORK = "AWS Network Activity Event via CloudTrail"
"""A VPC endpoint's own record of a call, which no detector looks at."""
RULES = "events.amazonaws.com"
GLOBAL = frozenset({"account.amazonaws.com", "iam.amazonaws.com", "organizations.amazonaws.com"})
"""Services whose events are in us-east-1 only (in the partition `aws`)."""


class Entry(msgspec.Struct, frozen=True, order=True):
    """One event's name that a pattern is to match. Ordered so that KMS comes first."""

    later: tuple[bool, bool, bool]
    """Only reads; comes without CloudTrail; is not of KMS."""
    source: str
    codes: tuple[str, ...]
    """Where only calls that failed so are wanted."""
    name: str


class RulePattern(msgspec.Struct, frozen=True):
    """The pattern of one rule."""

    text: str
    """As PutRule takes it."""
    reads: tuple[str, ...] = ()
    """Events in it that only read: the rule needs ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS."""


def write_patterns(wanted: Wanted) -> list[str]:
    """The texts of `rule_patterns`."""
    return [one.text for one in rule_patterns(wanted)]


def rule_patterns(wanted: Wanted) -> list[RulePattern]:
    """Patterns that together match what is wanted and nothing else; those that read come last."""
    packed = [held for alike in runs(sorted(entries(wanted))) for held in pack(alike)]
    return [finished(held) for held in with_witness(packed)]


def pack(alike: list[Entry]) -> Iterator[list[Entry]]:
    """As many into each pattern as its length allows."""
    held: list[Entry] = []
    for entry in alike:
        if held and len(render([*held, entry])) > MAX_PATTERN_CHARACTERS:
            yield held
            held = []
        held.append(entry)
    yield held


def with_witness(packed: list[list[Entry]]) -> list[list[Entry]]:
    """Calls on rules once more, where there is room beside none of them, or in a pattern of their own."""
    calls = [one for held in packed for one in held if one.source == RULES]
    plain = [held for held in packed if not any(held[0].later[:2])]
    for held in reversed(plain):
        together = sorted([*held, *calls])
        if not set(held) & set(calls) and len(render(together)) <= MAX_PATTERN_CHARACTERS:
            return [together if one is held else one for one in packed]
    return [*plain, calls, *packed[len(plain) :]] if calls else packed


def entries(wanted: Wanted) -> Iterator[Entry]:
    for call in wanted.calls:
        yield entry(*call)
    codes: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for source, name, code in wanted.failures:
        if (source, name) not in wanted.calls:
            codes[source, name].add(code)
    for (source, name), some in codes.items():
        yield entry(source, name, tuple(sorted(some)))


def entry(source: str, name: str, codes: tuple[str, ...] = ()) -> Entry:
    bridged = native(source) or (source, name) in CONFIG_NOTICES
    return Entry((only_reads((source, name)), bridged, source != KMS), source, codes, name)


CONFIG_NOTICES = frozenset((CONFIG, name) for name in CONFIG_EVENTS)
"""They come from AWS Config itself, under names of their own."""


def runs(ordered: Iterable[Entry]) -> Iterator[list[Entry]]:
    """What may stand in one pattern, as far as its length allows.

    Each source of native events has its own: they have no member by which to tell them apart inside.
    """
    together: dict[tuple[bool, str], list[Entry]] = {}
    for one in ordered:
        reads, bridged, _ = one.later
        together.setdefault((reads, one.source if bridged else ""), []).append(one)
    yield from sorted(together.values(), key=lambda some: some[0])


def finished(held: list[Entry]) -> RulePattern:
    return RulePattern(
        render(held), tuple(f"{one.source} {one.name}" for one in held if one.later[0])
    )


def render(held: list[Entry]) -> str:
    """The pattern, without a blank."""
    first = held[0]
    names = [one.name for one in held]
    pattern: dict[str, Any]
    if not first.later[1]:
        pattern = from_trail(held)
    elif native(first.source):
        pattern = {"source": [first.source], "detail-type": names}
    else:
        pattern = {
            "source": [bridge_source(first.source)],
            "detail-type": sorted(CONFIG_DETAILS),
            "detail": {"messageType": names},
        }
    return json.dumps(pattern, separators=(",", ":"))


def from_trail(held: list[Entry]) -> dict[str, Any]:
    """Events of CloudTrail, by service and, where only failures are wanted, by errorCode."""
    alternatives: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for one in held:
        alternatives.setdefault((one.source, one.codes), []).append(one.name)
    details: list[dict[str, Any]] = [
        {"eventSource": [source], "eventName": names}
        | ({"errorCode": list(codes)} if codes else {})
        for (source, codes), names in alternatives.items()
    ]
    return {
        # By exact names: a partner's source may begin with "aws.", too.
        "source": sorted({bridge_source(one.source) for one in held}),
        "detail-type": [{"anything-but": NETWORK}],
        "detail": details[0] if len(details) == 1 else {"$or": details},
    }
