"""Somebody switched an EventBridge rule off, or had it match less.

A rule on the default bus is the fast way from CloudTrail to our queue. What its pattern still lets
through is judged by `monitor.sight.rules` (aws-facts 4.1, 7.2).
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from monitor.arns import rule_arn
from monitor.detector import About, NoOptions
from monitor.event import KMS, Event
from monitor.finding import Finding, Kind, Severity
from monitor.sight import event_pattern
from monitor.sight.kms_calls import DAMAGE, READS, WRITES
from monitor.sight.rules import Call, lost, samples
from monitor.whose import OnOurs, graded, lowered

EVENTS = "events.amazonaws.com"
REFERENCE = "https://docs.aws.amazon.com/eventbridge/latest/APIReference"
USER_GUIDE = "https://docs.aws.amazon.com/eventbridge/latest/userguide"
READS_TOO = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"


class RuleDisabled(OnOurs[NoOptions]):
    name: ClassVar = "rule_disabled"
    title: ClassVar = "EventBridge rule disabled"
    about: ClassVar = About(
        description="Somebody disabled or deleted the EventBridge rule that brings us the events. "
        "What happens from now on comes to us by the sweep at best.",
        severity="critical if the rule is one of `watched.rules`; medium if none is known there; "
        "other rules are not told of. A rule that is enabled again is info. An attempt is medium if "
        "AWS denied it, else low",
        techniques=("T1562.001", "T1562.008"),
        false_positives=("A deployment of the rule's own stack replaces it.",),
        advice=(
            "Enable the rule again: aws events enable-rule --name NAME.",
            "See that it still has its pattern and its targets.",
            "Find out whether whoever did it was meant to.",
        ),
        references=(
            f"{REFERENCE}/API_DisableRule.html",
            f"{REFERENCE}/API_DeleteRule.html",
            f"{USER_GUIDE}/eb-delete-rule.html",
        ),
    )
    events: ClassVar = frozenset(
        (EVENTS, name) for name in ("DeleteRule", "DisableRule", "EnableRule", "PutRule")
    )

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        arn = rule_arn(event, request.get("name"), request.get("eventBusName"))
        ours = self.whose("rules", arn)
        if event.event_name == "EnableRule":
            if event.failed or ours is False:
                return []
            title = "EventBridge rule enabled"
            return [self.notice(event, title, Severity.INFO, arn, kind=Kind.RECOVERY)]
        if event.event_name == "PutRule" and request.get("state") != "DISABLED":
            return []  # what else PutRule changes is rule_narrowed's
        deleted = event.event_name == "DeleteRule"
        if event.failed:
            what = f"{'Deleting' if deleted else 'Disabling'} an EventBridge rule"
            return self.refused(event, what, "rules", arn, "events")
        severity = graded(ours, Severity.CRITICAL, Severity.MEDIUM)
        title = "EventBridge rule deleted" if deleted else self.title
        return [self.damage(event, title, severity, arn)] if severity else []


class NarrowedOptions(BaseModel, extra="forbid"):
    calls: list[str] = Field(
        list(WRITES),
        description="The KMS events, by name, that a rule of ours must let through.",
    )
    rules: dict[str, list[str]] = Field(
        {},
        description="By a rule's name, the events that it must let through instead, where several "
        "rules share the work: `kms.amazonaws.com:DisableKey`, or a name alone for one of KMS. An "
        "empty list: the rule is not judged.",
    )


class RuleNarrowed(OnOurs[NarrowedOptions]):
    name: ClassVar = "rule_narrowed"
    title: ClassVar = "EventBridge rule no longer matches all that we need"
    about: ClassVar = About(
        description="Somebody wrote an EventBridge rule anew, and its pattern no longer matches "
        "the KMS events that we need. The rule still looks enabled, and is silent.",
        severity="critical if no damage to a key is matched any more (high if another of "
        "`watched.rules` is there to match it), high if some is not, medium if only attempts or "
        "failed uses are not; low if no rule is known in `watched.rules`",
        techniques=("T1562.001", "T1562.008"),
        false_positives=(
            "One of several rules carries other events: name what it carries in `rules`.",
            "A pattern leaves out events of detectors that are turned off.",
        ),
        advice=(
            "Compare the rule's pattern with kms-monitor generate event-pattern.",
            "Put the pattern back with aws events put-rule.",
            "Find out whether whoever did it was meant to.",
        ),
        references=(
            f"{REFERENCE}/API_PutRule.html",
            f"{USER_GUIDE}/eb-event-patterns.html",
            f"{USER_GUIDE}/eb-service-event-cloudtrail.html",
        ),
    )
    events: ClassVar = frozenset({(EVENTS, "PutRule")})
    Options: ClassVar[type[BaseModel]] = NarrowedOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        state = request.get("state")
        arn = rule_arn(event, request.get("name"), request.get("eventBusName"))
        if state == "DISABLED":
            return []  # rule_disabled's
        if event.failed:
            return self.refused(event, "Writing an EventBridge rule anew", "rules", arn, "events")
        ours = self.whose("rules", arn)
        needed = self.needed(request.get("name"))
        if ours is False or not needed:
            return []
        text = request.get("eventPattern")
        if not isinstance(text, str) or not text:
            # PutRule replaces the whole rule: without a pattern it is a schedule, or nothing.
            title = "EventBridge rule has no pattern any more"
            return [self.damage(event, title, self.worst(arn), arn)] if ours else []
        try:
            pattern = event_pattern.parse(text)
        except event_pattern.InvalidPatternError as error:
            title = "EventBridge rule has a pattern that we cannot read"
            details = {"why": str(error)[:200]}
            return [self.damage(event, title, Severity.MEDIUM, arn, details)] if ours else []
        if ours is None and not concerns_kms(text):
            return []
        severity, title, details = self.judge(event, arn, pattern, needed)
        if severity is None and state != READS_TOO and asks_for_uses(pattern):
            severity, title = Severity.MEDIUM, "EventBridge rule never gets the uses it asks for"
            details = {"state": f"{READS_TOO} is needed for calls that only read"}
        if severity is None:
            return []
        return [self.damage(event, title, lowered(severity, ours), arn, details)]

    def needed(self, rule: object) -> list[Call]:
        """What the rule of this name must let through."""
        found = self.options.rules.get(rule) if isinstance(rule, str) else None
        names = self.options.calls if found is None else found
        return [called(name) for name in names]

    def judge(
        self, event: Event, arn: str, pattern: dict[str, Any], needed: list[Call]
    ) -> tuple[Severity | None, str, dict[str, str]]:
        account, region = event.recipient_account_id or "", event.aws_region or ""
        gone = lost(pattern, needed, account=account, region=region)
        if gone:
            names = ", ".join(name for _, name in gone)
            damage = [call for call in needed if call in DAMAGE_CALLS] or needed
            all_gone = all(call in gone for call in damage)
            severity = self.worst(arn) if all_gone else Severity.HIGH
            return severity, self.title, {"lost": names[:300], "count": str(len(gone))}
        attempts = lost(pattern, needed, account=account, region=region, failed=True)
        if attempts:
            title = "EventBridge rule no longer matches attempts"
            return Severity.MEDIUM, title, {"lost": f"failed calls, {len(attempts)} by name"}
        return None, "", {}

    def worst(self, arn: str) -> Severity:
        """Another rule of ours in the same place may match what this one does not."""
        place = arn.split(":")[:5]
        others = [one for one in self.knowledge.watched.rules if one.split(":")[:5] == place]
        named = arn.rpartition("/")[2] in self.options.rules
        return Severity.HIGH if len(others) > 1 and not named else Severity.CRITICAL


DAMAGE_CALLS = frozenset((KMS, name) for name in DAMAGE)


def called(name: str) -> Call:
    source, _, event_name = name.rpartition(":")
    return source or KMS, event_name


def concerns_kms(text: str) -> bool:
    """Whether somebody's rule is about KMS at all."""
    return "aws.kms" in text or KMS in text


def asks_for_uses(pattern: dict[str, Any]) -> bool:
    """Whether a pattern names uses of keys, which a rule that is just ENABLED never gets.

    One that matches all of KMS does not ask for them.
    """

    def takes(name: str) -> bool:
        refused = samples((KMS, name), failed=True, code="DisabledException")
        return any(event_pattern.matches(pattern, one) for one in (*refused, *samples((KMS, name))))

    return any(takes(name) for name in READS) and not takes("NoSuchCallOfKms")
