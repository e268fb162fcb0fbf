"""A rule of AWS Config about keys came to another verdict.

Shapes: aws-facts 4.6. A verdict is somebody's opinion about a key, and no change of it: people are told,
and nothing is written. While the key has an incident, or had one just now, they know.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import ClassVar

from pydantic import BaseModel, Field

from monitor.detector import About, Base
from monitor.event import Event
from monitor.finding import CONFIG as SOURCE
from monitor.finding import CONFIG_COMPLIANCE, Finding, Kind, Severity
from monitor.notices import CONFIG
from monitor.parameters import mapped, short, text


class ComplianceOptions(BaseModel, extra="forbid"):
    rules: list[str] = Field(
        ["*kms*", "cmk-*"],
        description="Shell patterns, without regard to case, of the names of those AWS Config rules "
        "whose verdicts about keys are told.",
    )


class ConfigCompliance(Base[ComplianceOptions]):
    name: ClassVar = "config_compliance"
    title: ClassVar = "AWS Config's verdict about a KMS key changed"
    about: ClassVar = About(
        description="A rule of AWS Config that looks after keys says that a key does not comply any "
        "more, or does again. While the key has an open incident, and for an hour after it, this is no "
        "news and is not told.",
        severity="medium if the key does not comply; info if it does again, or does not apply any more",
        techniques=("T1485",),
        false_positives=(
            "A rule was added, or its parameters were changed: it judges all keys for the first time.",
        ),
        advice=(
            "Read what the rule says is wrong, and look at the key: kms-monitor baseline diff.",
            "If the rule is wrong, change its parameters: docs/config-rule.md.",
        ),
        references=(
            "https://docs.aws.amazon.com/config/latest/developerguide/example-config-rule-compliance-notification.html",
        ),
    )
    events: ClassVar = frozenset({(CONFIG, CONFIG_COMPLIANCE)})
    Options: ClassVar[type[BaseModel]] = ComplianceOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        told = event.request()
        rule = text(told, "configRuleName")
        if event.key is None or not self.is_about_keys(rule):
            return []
        now, before = (
            mapped(told.get(name)) for name in ("newEvaluationResult", "oldEvaluationResult")
        )
        verdict, was = text(now, "complianceType"), text(before, "complianceType")
        bad = verdict == "NON_COMPLIANT"
        if not bad and was != "NON_COMPLIANT":
            return []  # it complies, as it did, or nobody had said anything yet
        words = "does not comply" if bad else "complies again"
        if verdict not in {"COMPLIANT", "NON_COMPLIANT"}:
            words = "is not judged any more"
        details = {"source": SOURCE, "rule": short(rule), "verdict": short(verdict)}
        if note := text(now, "annotation"):
            details["annotation"] = short(note, 256)
        return [
            self.finding(
                event,
                f"A KMS key {words}, says the rule {short(rule, 60)} of AWS Config",
                Severity.MEDIUM if bad else Severity.INFO,
                kind=Kind.NOTICE,
                details=details,
            )
        ]

    def is_about_keys(self, rule: str) -> bool:
        return any(fnmatchcase(rule.lower(), one.lower()) for one in self.options.rules)
