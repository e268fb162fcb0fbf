"""The calls that lead from what we see by, as it is, back to how it should be. Pure.

Nothing is put back that is only different: a part counts as worse where it shows less of what is
done to keys, or shows it to others. A resource that is better than its baseline stays. Calls and
their members are those of the API references of CloudTrail, EventBridge, SQS and SNS.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from monitor.event import KMS
from monitor.sight import blinding, event_pattern
from monitor.sight.kms_calls import READS, WRITES
from monitor.sight.rules import lost
from monitor.sight.trails import sight
from monitor.sight_repair.resource import Kind, Part, Resource, Settings

MOST_TARGETS = 5
"""Of one rule (EventBridge user guide, "Quotas"). One more is refused."""
SWITCHES = (
    "IncludeGlobalServiceEvents",
    "IsMultiRegionTrail",
    "IsOrganizationTrail",
    "EnableLogFileValidation",
)
"""Of a trail; it is worse where one is off that was on."""
DESTINATIONS = (
    "S3BucketName",
    "S3KeyPrefix",
    "SnsTopicName",
    "CloudWatchLogsLogGroupArn",
    "CloudWatchLogsRoleArn",
    "KmsKeyId",
)
"""Of a trail; it is worse where one is another. An empty text takes one away."""
STATES = ("DISABLED", "ENABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")
"""Of a rule, the one that shows least first."""
NEEDED = (*((KMS, name) for name in (*WRITES, *READS)), *sorted(blinding.CALLS))
"""The events that a rule of ours must not lose: those about keys, and those about our eyes."""
DOCUMENTS = frozenset({"RedrivePolicy", "RedriveAllowPolicy"})
"""Attributes of a queue that are JSON in a text; kept parsed."""
LESS_IS_WORSE = ("MaximumMessageSize", "MessageRetentionPeriod", "VisibilityTimeout")
MORE_IS_WORSE = ("DelaySeconds",)
ENCRYPTION = ("KmsMasterKeyId", "SqsManagedSseEnabled")


class SightCall(msgspec.Struct, frozen=True):
    """One writing call: its name, and its parameters as the API takes them."""

    name: str
    parameters: dict[str, Any]


class SightPlan(msgspec.Struct, frozen=True):
    """`calls` in order; or why it cannot be put back."""

    calls: tuple[SightCall, ...] = ()
    impossible: str = ""

    @property
    def nothing_to_do(self) -> bool:
        return not (self.calls or self.impossible)


def plan(
    resource: Resource, live: Settings, right: Settings, parts: Collection[Part] = tuple(Part)
) -> SightPlan:
    """What leads from `live` to `right`, in as far as `parts` may be put back."""
    if not right:
        return SightPlan()
    wanted = {part: value for part, value in right.items() if part in parts}
    if not wanted:
        return SightPlan()
    match resource.kind:
        case Kind.TRAIL:
            return trail(resource, live, wanted)
        case Kind.RULE:
            return rule(resource, live, wanted)
        case Kind.QUEUE if live:
            return SightPlan(tuple(queue(live, wanted)))
        case Kind.TOPIC if live:
            return SightPlan(tuple(topic(live, wanted)))
        case _:
            return SightPlan(impossible=f"the {resource.kind} does not exist any more")


def trail(resource: Resource, live: Settings, right: Settings) -> SightPlan:
    """A trail that is gone is made anew, if its settings may be put back."""
    settings, selectors = right.get(Part.TRAIL_SETTINGS), right.get(Part.TRAIL_SELECTORS)
    calls: list[SightCall] = []
    if not live:
        if settings is None:
            return SightPlan(impossible="the trail does not exist any more")
        given = {name: value for name, value in settings.items() if value != ""}
        calls.append(SightCall("CreateTrail", {"Name": resource.name, **given}))
        live = {Part.TRAIL_SETTINGS: settings, Part.TRAIL_LOGGING: False}
    # First what ends the dark soonest.
    if right.get(Part.TRAIL_LOGGING) and not live[Part.TRAIL_LOGGING]:
        calls.append(SightCall("StartLogging", {"Name": resource.arn}))
    if selectors and sees_less(live.get(Part.TRAIL_SELECTORS), selectors):
        calls.append(SightCall("PutEventSelectors", {"TrailName": resource.arn, **selectors}))
    if settings is not None:
        now = live[Part.TRAIL_SETTINGS]
        changed = {
            name: settings.get(name, "")
            for name in DESTINATIONS
            if now.get(name, "") != settings.get(name, "")
        }
        changed |= {name: True for name in SWITCHES if settings.get(name) and not now.get(name)}
        if changed:
            calls.append(SightCall("UpdateTrail", {"Name": resource.arn, **changed}))
    return SightPlan(tuple(calls))


def sees_less(live: Mapping[str, Any] | None, right: Mapping[str, Any]) -> bool:
    """Whether selectors take less of what is done to keys; None: a new trail's own."""
    if live == right:
        return False
    if live is None:
        return True
    now, then = sight(live), sight(right)
    return not (set(now.lost) <= set(then.lost) and set(now.lost_uses) <= set(then.lost_uses))


def rule(resource: Resource, live: Settings, right: Settings) -> SightPlan:
    """A rule that is gone is made anew, with its targets, if its pattern may be put back."""
    pattern, state = right.get(Part.RULE_PATTERN), right.get(Part.RULE_STATE)
    name = {"Name": resource.name, "EventBusName": resource.bus}
    calls: list[SightCall] = []
    if not live and pattern is None:
        return SightPlan(impossible="the rule does not exist any more")
    known = live or {Part.RULE_STATE: "DISABLED", Part.RULE_TARGETS: {}}
    shut = state is not None and rank(known[Part.RULE_STATE]) < rank(state)
    if pattern is not None and (not live or narrower(resource, live[Part.RULE_PATTERN], pattern)):
        final = state if shut else known[Part.RULE_STATE]
        if not live:
            final = state or STATES[1]
        calls.append(SightCall("PutRule", name | members(pattern) | {"State": final}))
    elif shut and state == STATES[1]:
        calls.append(SightCall("EnableRule", name))
    elif shut:
        # EnableRule knows no other state than ENABLED.
        given = members(known[Part.RULE_PATTERN])
        calls.append(SightCall("PutRule", name | given | {"State": state}))
    targets = right.get(Part.RULE_TARGETS)
    if targets is not None:
        calls += put_targets(resource, known[Part.RULE_TARGETS], targets)
    return SightPlan(tuple(calls))


def rank(state: str) -> int:
    return STATES.index(state) if state in STATES else 0


def members(pattern: Mapping[str, Any]) -> dict[str, Any]:
    """A rule's pattern and so on, as PutRule takes them."""
    found = {name: value for name, value in pattern.items() if value}
    if "EventPattern" in found:
        found["EventPattern"] = json.dumps(found["EventPattern"], separators=(",", ":"))
    return found


def narrower(resource: Resource, live: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Whether a rule lets less through of what we need than it should."""
    now, then = live.get("EventPattern"), right.get("EventPattern")
    if now == then:
        return False
    if not isinstance(now, dict) or not isinstance(then, dict):
        return True
    try:
        patterns = [event_pattern.parse(json.dumps(one)) for one in (now, then)]
    except event_pattern.InvalidPatternError:
        return True
    return any(
        lost(
            patterns[0],
            NEEDED,
            patterns[1],
            failed=failed,
            account=resource.account,
            region=resource.region,
        )
        for failed in (False, True)
    )


def put_targets(
    resource: Resource, live: Mapping[str, Any], right: Mapping[str, Any]
) -> Iterator[SightCall]:
    """Those that are missing or others. Strangers stay, unless they leave no room for ours."""
    where = {"Rule": resource.name, "EventBusName": resource.bus}
    wrong = [target for name, target in sorted(right.items()) if live.get(name) != target]
    if not wrong:
        return
    strangers = sorted(live.keys() - right.keys())
    surplus = len(live.keys() | right.keys()) - MOST_TARGETS
    if surplus > 0 and strangers:
        yield SightCall("RemoveTargets", {**where, "Ids": strangers[:surplus]})
    yield SightCall("PutTargets", {**where, "Targets": wrong})


def queue(live: Settings, right: Settings) -> Iterator[SightCall]:
    """SetQueueAttributes leaves alone what it does not name; an empty text takes away."""
    if Part.QUEUE_POLICY in right and live[Part.QUEUE_POLICY] != right[Part.QUEUE_POLICY]:
        yield set_attributes({"Policy": text(right[Part.QUEUE_POLICY])})
    if Part.QUEUE_ATTRIBUTES not in right:
        return
    now, then = live[Part.QUEUE_ATTRIBUTES], right[Part.QUEUE_ATTRIBUTES]
    changed = {
        name: text(then.get(name)) for name in sorted(DOCUMENTS) if now.get(name) != then.get(name)
    }
    changed |= {
        name: then[name]
        for names, sign in ((LESS_IS_WORSE, 1), (MORE_IS_WORSE, -1))
        for name in names
        if sign * number(now.get(name)) < sign * number(then.get(name)) and name in then
    }
    if changed:
        yield set_attributes(changed)
    # A key of KMS and SQS's own encryption exclude each other, so that they go one by one.
    if now.get("KmsMasterKeyId", "") != then.get("KmsMasterKeyId", ""):
        yield set_attributes({"KmsMasterKeyId": then.get("KmsMasterKeyId", "")})
        now = {**now, "SqsManagedSseEnabled": "false"}
    if then.get("SqsManagedSseEnabled") == "true" and now.get("SqsManagedSseEnabled") != "true":
        yield set_attributes({"SqsManagedSseEnabled": "true"})


def set_attributes(attributes: dict[str, str]) -> SightCall:
    """Without the queue's URL, which only whoever sends the call knows."""
    return SightCall("SetQueueAttributes", {"Attributes": attributes})


def number(value: object) -> int:
    return int(value) if isinstance(value, str) and value.isdecimal() else 0


def text(document: object) -> str:
    """A document as AWS takes it; an empty text where there is none."""
    return "" if document is None else json.dumps(document, separators=(",", ":"))


def topic(live: Settings, right: Settings) -> Iterator[SightCall]:
    """SetTopicAttributes takes one attribute at a time."""
    if Part.TOPIC_POLICY in right and live[Part.TOPIC_POLICY] != right[Part.TOPIC_POLICY]:
        value = text(right[Part.TOPIC_POLICY])
        yield SightCall("SetTopicAttributes", {"AttributeName": "Policy", "AttributeValue": value})
    if Part.TOPIC_KEY in right and live[Part.TOPIC_KEY] != right[Part.TOPIC_KEY]:
        value = right[Part.TOPIC_KEY]
        yield SightCall(
            "SetTopicAttributes", {"AttributeName": "KmsMasterKeyId", "AttributeValue": value}
        )
