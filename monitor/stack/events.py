"""The rules of a stack, from the patterns of the detectors. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from monitor.event import Wanted
from monitor.sight.pattern_writer import GLOBAL, rule_patterns
from monitor.stack.words import Value, resource, text

EVERY_EVENT = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
"""Lets events of reading calls through, too, such as Decrypt (aws-facts 4.1)."""


class Rule(msgspec.Struct, frozen=True):
    """One rule, before it has a target."""

    word: str
    """What stands behind the stack's name in its own: a number, or a word."""
    pattern: Mapping[str, Any]
    state: str
    description: str = "Events that the detectors of kms-monitor look at"

    @property
    def logical(self) -> str:
        """Its name in the template."""
        return "Rule" + "".join(part.capitalize() for part in self.word.split("-"))


def rules(wanted: Wanted) -> list[Rule]:
    """For a Region whose keys are guarded: all that is wanted."""
    return list(numbered(wanted, ""))


def global_rules(wanted: Wanted) -> list[Rule]:
    """For us-east-1 where no keys are guarded there: what is there only (aws-facts 7.3)."""
    return list(numbered(only_global(wanted), "global-"))


def only_global(wanted: Wanted) -> Wanted:
    """Without what is in every Region."""
    return Wanted(
        calls=frozenset(one for one in wanted.calls if one[0] in GLOBAL),
        failures=frozenset(one for one in wanted.failures if one[0] in GLOBAL),
    )


def numbered(wanted: Wanted, start: str) -> Iterator[Rule]:
    for number, one in enumerate(rule_patterns(wanted), 1):
        state = EVERY_EVENT if one.reads else "ENABLED"
        yield Rule(f"{start}{number}", json.loads(one.text), state)


BUS_RULE = Rule(
    "forwarded",
    # What is forwarded was chosen by the rules that forward it. Nobody can put an event with such
    # a source on a bus by hand.
    {"source": [{"prefix": "aws."}]},
    EVERY_EVENT,
    "Events that rules of other accounts and Regions send here for kms-monitor",
)


def written(rule: Rule, targets: Iterable[Value], **more: Value) -> Value:
    """The rule as a resource. `more`: further members, EventBusName among its properties."""
    properties: dict[str, Value] = {
        "Name": text(f"${{Name}}-{rule.word}"),
        "Description": rule.description,
        "State": rule.state,
        "EventPattern": dict(rule.pattern),
        "Targets": list(targets),
    }
    if "EventBusName" in more:
        properties["EventBusName"] = more.pop("EventBusName")
    return resource("Events::Rule", properties, **more)
