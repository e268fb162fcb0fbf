"""How an approved change to what we see by moves its baseline. Pure.

The new settings come from CloudTrail's own record of the change, and not from the live resource,
which somebody else may have changed since. Where the record says a thing in another form than AWS
answers it later, such as an alias instead of a key's ARN, the live value is taken if it can be
what the record means. Parameters: aws-facts 7.
"""

import json
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from monitor.baseline import Origin
from monitor.event import Event
from monitor.ledger import SightBaseline
from monitor.parameters import listed, mapped, said
from monitor.sight_repair.plan import DESTINATIONS, DOCUMENTS, SWITCHES
from monitor.sight_repair.resource import Part, Settings, parsed, written

DELETIONS = frozenset({"DeleteQueue", "DeleteRule", "DeleteTopic", "DeleteTrail"})
LITERAL = frozenset(
    {"headerParameters", "inputPathsMap", "pathParameterValues", "queryStringParameters"}
)
"""Members of a target whose own members were named by people."""


def moved(baseline: SightBaseline, live: Settings, event: Event) -> SightBaseline | None:
    """The baseline after an approved change; None where a later one stands, or nothing moves.

    `event` is CloudTrail's record of it; `live` is how the resource is by now.
    """
    right = dict(parsed(baseline.settings))
    if not right:
        return None
    if event.event_name in DELETIONS:
        after: dict[Part, Any] = {}
        changed = dict.fromkeys(right, None)
    else:
        changed = changes(right, live, event)
        after = right | changed
    if any(baseline.as_of.get(part, 0.0) > event.time for part in changed):
        return None
    text = written(after)
    if text == baseline.settings:
        return None
    times = baseline.as_of | {part.value: event.time for part in changed}
    return replace(baseline, settings=text, origin=Origin.ACCEPTED, as_of=times)


def changes(right: Settings, live: Settings, event: Event) -> dict[Part, Any]:
    """The parts that a call sets, as they are after it."""
    request = event.request()
    match event.event_name:
        case "StartLogging" | "StopLogging":
            return {Part.TRAIL_LOGGING: event.event_name == "StartLogging"}
        case "PutEventSelectors":
            given = {
                name: request[name]
                for name in ("eventSelectors", "advancedEventSelectors")
                if listed(request.get(name))
            }
            return {Part.TRAIL_SELECTORS: alike(capitals(given), live.get(Part.TRAIL_SELECTORS))}
        case "UpdateTrail":
            return trail_settings(right, live, request)
        case "EnableRule" | "DisableRule":
            return {Part.RULE_STATE: f"{event.event_name.removesuffix('Rule').upper()}D"}
        case "PutRule":
            return rule(request, live)
        case "PutTargets" | "RemoveTargets":
            return targets(right, live, event)
        case "SetQueueAttributes":
            return queue(right, mapped(request.get("attributes")))
        case "SetTopicAttributes":
            return topic(request)
        case "AddPermission" | "RemovePermission":
            # What becomes of the policy only AWS can say.
            policies = (Part.QUEUE_POLICY, Part.TOPIC_POLICY)
            return {part: live[part] for part in policies if part in live and part in right}
        case _:
            return {}


def trail_settings(right: Settings, live: Settings, request: dict[str, Any]) -> dict[Part, Any]:
    now = live.get(Part.TRAIL_SETTINGS, {})
    settings = dict(right[Part.TRAIL_SETTINGS])
    for name in DESTINATIONS:
        value = request.get(name[0].lower() + name[1:])
        if not isinstance(value, str):
            continue
        # Both may be given by a name, and are answered by their ARNs.
        named = value and not value.startswith("arn:") and name in {"KmsKeyId", "SnsTopicName"}
        settings[name] = now.get(name, value) if named else value
    for name in SWITCHES:
        switched = said(request, name[0].lower() + name[1:])
        if switched is not None:
            settings[name] = switched
    return {Part.TRAIL_SETTINGS: settings}


def rule(request: dict[str, Any], live: Settings) -> dict[Part, Any]:
    """PutRule replaces the whole rule but its targets."""
    given = capitals(request)
    return {
        Part.RULE_PATTERN: alike(pattern_of(given), live.get(Part.RULE_PATTERN)),
        Part.RULE_STATE: given.get("State") or "ENABLED",
    }


def pattern_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """`Part.RULE_PATTERN` of what PutRule takes, or DescribeRule answers."""
    names = ("ScheduleExpression", "Description", "RoleArn")
    pattern = {name: given[name] for name in names if given.get(name)}
    if given.get("EventPattern"):
        pattern["EventPattern"] = document(given["EventPattern"])
    return pattern


def targets(right: Settings, live: Settings, event: Event) -> dict[Part, Any]:
    request = event.request()
    failed = [mapped(one).get("targetId") for one in listed(event.response().get("failedEntries"))]
    after, now = dict(right[Part.RULE_TARGETS]), live.get(Part.RULE_TARGETS, {})
    for one in listed(request.get("ids")):
        if isinstance(one, str) and one not in failed:
            after.pop(one, None)
    for one in listed(request.get("targets")):
        target = capitals(mapped(one))
        name = target.get("Id")
        if isinstance(name, str) and name not in failed:
            after[name] = alike(target, now.get(name))
    return {Part.RULE_TARGETS: after}


def queue(right: Settings, attributes: dict[str, Any]) -> dict[Part, Any]:
    found: dict[Part, Any] = {}
    rest = dict(right[Part.QUEUE_ATTRIBUTES])
    for given, value in attributes.items():
        name = given[:1].upper() + given[1:]
        if name == "Policy":
            found[Part.QUEUE_POLICY] = document(value)
        elif name in DOCUMENTS:
            rest[name] = document(value)
        else:
            rest[name] = "" if value is None else str(value)
        if name == "KmsMasterKeyId" and value:
            rest["SqsManagedSseEnabled"] = "false"
        if name == "SqsManagedSseEnabled" and value == "true":
            rest.pop("KmsMasterKeyId", None)
    rest = {name: value for name, value in rest.items() if value}
    if rest != right[Part.QUEUE_ATTRIBUTES]:
        found[Part.QUEUE_ATTRIBUTES] = rest
    return found


def topic(request: dict[str, Any]) -> dict[Part, Any]:
    match request.get("attributeName"):
        case "Policy":
            return {Part.TOPIC_POLICY: document(request.get("attributeValue"))}
        case "KmsMasterKeyId":
            return {Part.TOPIC_KEY: str(request.get("attributeValue") or "")}
        case _:
            return {}


def document(value: object) -> Any:
    """The document in a text; None where there is none."""
    if not isinstance(value, str) or not value:
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def capitals(value: Any) -> Any:
    """A record's members by the names that the API gives them."""
    if isinstance(value, list):
        return [capitals(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name[:1].upper() + name[1:]: one if name in LITERAL else capitals(one)
        for name, one in value.items()
    }


def alike(given: Any, live: Any) -> Any:
    """The live value where it is the given one in AWS's own words; else the given one."""
    return live if live is not None and folded(given) == folded(live) else given


def folded(value: Any) -> Any:
    """Without what AWS adds or leaves out: the case of names, and members that are empty."""
    if isinstance(value, Mapping):
        return {
            name.lower(): folded(one)
            for name, one in value.items()
            if one not in (None, "", [], {})
        }
    return [folded(one) for one in value] if isinstance(value, list) else value
