"""Somebody cut an EventBridge rule off from our queue, or a bus from those who send to it.

A rule that matches and has no target is silent. PutTargets replaces a target of the same id, and
says nothing of what was there before (aws-facts 7.2).
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from monitor.arns import bus_arn, rule_arn
from monitor.detector import About, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Severity
from monitor.iam_policy.plain import is_public, read
from monitor.parameters import listed, mapped, said, short
from monitor.whose import OnOurs, graded, lowered

EVENTS = "events.amazonaws.com"
REFERENCE = "https://docs.aws.amazon.com/eventbridge/latest/APIReference"
USER_GUIDE = "https://docs.aws.amazon.com/eventbridge/latest/userguide"
WHOLE = frozenset({"", "$", "$.detail"})
"""Paths of a target's input that leave the CloudTrail record whole: see `monitor.envelope`."""


class RuleTargetsChanged(OnOurs[NoOptions]):
    name: ClassVar = "rule_targets_changed"
    title: ClassVar = "Targets of an EventBridge rule changed"
    about: ClassVar = About(
        description="Somebody removed targets from the EventBridge rule that brings us the events, "
        "or put others in their place: a target that is not ours, or one that gets something else "
        "than the whole event.",
        severity="critical if targets of one of `watched.rules` are removed, high if one is put "
        "that is not ours or gets less than the event, low if it only lost its dead-letter queue or "
        "its retries; medium to low if no rule or no queue is known in `watched`",
        techniques=("T1562.001", "T1562.008"),
        false_positives=(
            "A deployment replaces the targets of the rule.",
            "The rule serves others, too: a second target is put beside ours.",
        ),
        advice=(
            "Look at the targets: aws events list-targets-by-rule --rule NAME.",
            "Put our queue back with aws events put-targets.",
            "If events went to a stranger, find out who put it there, and remove it.",
        ),
        references=(
            f"{REFERENCE}/API_RemoveTargets.html",
            f"{REFERENCE}/API_PutTargets.html",
            f"{USER_GUIDE}/eb-transform-target-input.html",
        ),
    )
    events: ClassVar = frozenset((EVENTS, name) for name in ("PutTargets", "RemoveTargets"))

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        arn = rule_arn(event, request.get("rule"), request.get("eventBusName"))
        ours = self.whose("rules", arn)
        removed = event.event_name == "RemoveTargets"
        if event.failed:
            what = f"{'Removing' if removed else 'Putting'} targets of an EventBridge rule"
            return self.refused(event, what, "rules", arn, "events")
        failed = failed_ids(event.response())
        if removed:
            ids = [short(one) for one in listed(request.get("ids"))]
            severity = graded(ours, Severity.CRITICAL, Severity.MEDIUM)
            if severity is None or (ids and set(ids) <= failed):
                return []
            details = {"targets": ", ".join(ids)[:300]}
            title = "Targets of an EventBridge rule removed"
            return [self.damage(event, title, severity, arn, details)]
        if ours is None or ours:
            return self.put(event, request, arn, ours, failed)
        return []

    def put(
        self,
        event: Event,
        request: dict[str, Any],
        arn: str,
        ours: bool | None,
        failed: set[str],
    ) -> Iterable[Finding]:
        """Targets that were put: one finding about what is wrong with any of them."""
        worst: Severity | None = None
        details: dict[str, str] = {}
        for one in listed(request.get("targets"))[:10]:
            target = mapped(one)
            if short(target.get("id")) in failed:
                continue
            severity, problems = self.wrong(target, ours)
            if problems and severity is not None:
                worst = max(worst or severity, severity)
                details[f"target {short(target.get('id'))}"] = "; ".join(problems)
        return [self.damage(event, self.title, worst, arn, details)] if worst else []

    def wrong(self, target: dict[str, Any], ours: bool | None) -> tuple[Severity | None, list[str]]:
        """What is wrong with a target, and how bad it is."""
        arn = target.get("arn")
        text = arn if isinstance(arn, str) else ""
        kind = {"sqs": "queues", "sns": "topics", "events": "buses"}.get(
            text.split(":")[2] if text.count(":") > 4 else ""
        )
        known = self.whose(kind, text) if kind else False
        if not known and not ours:
            return None, []  # any rule's target may be anybody's
        if known is None:
            return Severity.MEDIUM, [f"goes to {short(text)}, which may be ours"]
        if not known:
            return Severity.HIGH, [f"goes to {short(text)}, which is not ours"]
        cut = []
        if target.get("input") is not None:
            cut.append("gets a constant text, not the event")
        if target.get("inputTransformer"):
            cut.append("gets a text made from the event, not the event")
        path = target.get("inputPath")
        if isinstance(path, str) and path not in WHOLE:
            cut.append(f"gets only {short(path)}")
        if cut:
            return Severity.HIGH, cut
        fragile = []
        if not mapped(target.get("deadLetterConfig")).get("arn"):
            fragile.append("has no dead-letter queue")
        if mapped(target.get("retryPolicy")).get("maximumRetryAttempts") == 0:
            fragile.append("is not tried again")
        return Severity.LOW, fragile


class EventBusChanged(OnOurs[NoOptions]):
    name: ClassVar = "event_bus_changed"
    title: ClassVar = "EventBridge bus changed"
    about: ClassVar = About(
        description="Somebody deleted an event bus, let others send to it, or forbade those who "
        "should. Whoever may send to the bus can forge events of sources that are not AWS's own.",
        severity="critical if one of `watched.buses` is deleted; high if everybody may send to it, "
        "or a permission is removed; medium if one account more may, or its encryption changes; low "
        "to medium if no bus is known there; other buses are not told of",
        techniques=("T1562.001", "T1098"),
        false_positives=("An account joins the organization, and is let in.",),
        advice=(
            "Look at the bus and its policy: aws events describe-event-bus --name NAME.",
            "Remove statements that let everybody in: aws events remove-permission.",
            "Put back what let your own accounts in.",
        ),
        references=(
            f"{REFERENCE}/API_PutPermission.html",
            f"{REFERENCE}/API_RemovePermission.html",
            f"{USER_GUIDE}/eb-event-bus-perms.html",
        ),
    )
    events: ClassVar = frozenset(
        (EVENTS, name)
        for name in ("DeleteEventBus", "PutPermission", "RemovePermission", "UpdateEventBus")
    )

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        arn = bus_arn(event, request.get("name") or request.get("eventBusName"))
        if event.failed:
            # Without parameters it is not known which bus it was: not that it was the default one.
            tried = arn if request else ""
            return self.refused(event, WHAT[event.event_name], "buses", tried, "events")
        ours = self.whose("buses", arn)
        if ours is False:
            return []
        match event.event_name:
            case "DeleteEventBus":
                severity, title = (Severity.CRITICAL, "EventBridge bus deleted")
                return [self.notice(event, title, severity if ours else Severity.MEDIUM, arn)]
            case "RemovePermission":
                everything = said(request, "removeAllPermissions")
                what = "all" if everything else short(request.get("statementId"))
                title, details = "Permission of an EventBridge bus removed", {"statement": what}
                return [self.notice(event, title, lowered(Severity.HIGH, ours), arn, details)]
            case "PutPermission":
                return self.permitted(event, request, arn, ours)
            case _:
                return self.updated(event, request, arn, ours)

    def permitted(
        self, event: Event, request: dict[str, Any], arn: str, ours: bool | None
    ) -> Iterable[Finding]:
        """Who may send now. `condition` is how a whole organization is let in."""
        principal = request.get("principal")
        everybody = principal == "*" and not request.get("condition")
        if everybody or is_public(read(request.get("policy"))):
            severity = Severity.HIGH if ours else Severity.MEDIUM
            return [self.notice(event, "Everybody may send to an EventBridge bus", severity, arn)]
        if isinstance(principal, str) and principal != "*" and not self.strange(event, principal):
            return []
        if ours is None:
            return []
        who = short(principal) if principal else "a whole new policy"
        title = "Others may send to an EventBridge bus"
        return [self.notice(event, title, Severity.MEDIUM, arn, {"principal": who})]

    def updated(
        self, event: Event, request: dict[str, Any], arn: str, ours: bool | None
    ) -> Iterable[Finding]:
        details = {
            name: short(request[name]) for name in ("kmsKeyIdentifier",) if request.get(name)
        }
        if "deadLetterConfig" in request and not mapped(request["deadLetterConfig"]).get("arn"):
            details["deadLetterConfig"] = "removed"
        severity = Severity.MEDIUM if "kmsKeyIdentifier" in details else Severity.LOW
        if not details:
            return []
        return [self.notice(event, self.title, lowered(severity, ours), arn, details)]


WHAT = {
    "DeleteEventBus": "Deleting an EventBridge bus",
    "PutPermission": "Letting others send to an EventBridge bus",
    "RemovePermission": "Removing a permission of an EventBridge bus",
    "UpdateEventBus": "Changing an EventBridge bus",
}


def failed_ids(response: dict[str, Any]) -> set[str]:
    """The targets that EventBridge left as they were, though the call succeeded."""
    entries = listed(response.get("failedEntries"))
    return {short(mapped(one).get("targetId")) for one in entries}
