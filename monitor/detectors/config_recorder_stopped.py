"""Somebody stopped AWS Config, made it leave KMS keys out, or put verdicts into it by hand.

Config is the second, slower witness of a key's state (aws-facts 4.6). Its calls and their members:
aws-facts 7.3, and AWS Config API reference, "ConfigurationRecorder".
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from monitor.arns import arn_of, bucket_arn
from monitor.detector import About
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import member, several, short, text, texts
from monitor.whose import OnOurs

CONFIG = "config.amazonaws.com"
KEY = "AWS::KMS::Key"
STOPS = {
    "StopConfigurationRecorder": "AWS Config's recorder was stopped",
    "DeleteConfigurationRecorder": "AWS Config's recorder was deleted",
    "DeleteDeliveryChannel": "AWS Config's delivery channel was deleted",
}
TOLD_WHEN_TRIED = frozenset({*STOPS, "PutConfigurationRecorder", "PutDeliveryChannel"})
"""A denied call names no rule (aws-facts 2.4), and most rules are not about keys."""


class ConfigOptions(BaseModel, extra="forbid"):
    rules: list[str] = Field(
        ["*kms*", "cmk-*"],
        description="Shell patterns, without regard to case, of the names of those AWS Config "
        "rules that look after keys. The deletion of any other rule is not told.",
    )


class ConfigRecorderStopped(OnOurs[ConfigOptions]):
    name: ClassVar = "config_recorder_stopped"
    title: ClassVar = "AWS Config stopped or blinded"
    about: ClassVar = About(
        description="Somebody stopped or deleted AWS Config's recorder or delivery channel, made "
        "the recorder leave KMS keys out, deleted a rule about keys, or told Config a verdict "
        "about a key by hand. Config is the second witness of how keys are.",
        severity="high where Config records nothing, or no keys, any more; medium for a new "
        "delivery channel and for a deleted rule about keys; low for a channel into one of "
        "`watched.buckets` without a topic, for daily recording and for verdicts that no Lambda "
        "function gave; info where it is started again",
        techniques=("T1562.001", "T1562.008"),
        false_positives=(
            "A recorder is stopped while it is changed: CloudFormation stops and starts it.",
            "Config is moved to an organization's recorder, or switched off in an unused Region.",
            "A test of a custom rule puts evaluations by hand.",
        ),
        advice=(
            "Find out whether whoever did it was meant to.",
            "Start the recorder again: aws configservice start-configuration-recorder.",
            "See that its recording group has AWS::KMS::Key in it.",
        ),
        references=(
            "https://docs.aws.amazon.com/config/latest/APIReference/API_StopConfigurationRecorder.html",
            "https://docs.aws.amazon.com/config/latest/APIReference/API_ConfigurationRecorder.html",
            "https://docs.aws.amazon.com/config/latest/APIReference/API_PutEvaluations.html",
        ),
    )
    events: ClassVar = frozenset(
        (CONFIG, name)
        for name in (
            *TOLD_WHEN_TRIED,
            "StartConfigurationRecorder",
            "DeleteConfigRule",
            "PutEvaluations",
        )
    )
    Options: ClassVar[type[BaseModel]] = ConfigOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            told = event.event_name in TOLD_WHEN_TRIED
            return [self.attempt(event, event.event_name)] if told else []
        request = event.request()
        match event.event_name:
            case "PutConfigurationRecorder":
                return self.recorder(event, request)
            case "PutDeliveryChannel":
                return self.channel(event, request)
            case "DeleteConfigRule":
                return self.rule(event, request)
            case "PutEvaluations":
                return self.verdicts(event, request)
            case "StartConfigurationRecorder":
                title = "AWS Config's recorder was started"
                return [self.tell(event, title, Severity.INFO, kind=Kind.RECOVERY)]
            case _:
                named = text(request, "configurationRecorderName", "deliveryChannelName")
                title = STOPS.get(event.event_name, self.title)
                return [self.tell(event, title, Severity.HIGH, details={"name": short(named)})]

    def tell(
        self,
        event: Event,
        title: str,
        severity: Severity,
        *,
        kind: Kind = Kind.NOTICE,
        resource: str = "",
        details: dict[str, str] | None = None,
    ) -> Finding:
        return self.finding(event, title, severity, kind=kind, resource=resource, details=details)

    def recorder(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        given = member(request, "configurationRecorder")
        details = {"name": short(text(given, "name"))}
        if leaves_keys_out(member(given, "recordingGroup")):
            title = "AWS Config no longer records KMS keys"
            yield self.tell(event, title, Severity.HIGH, details=details)
        elif is_daily(member(given, "recordingMode")):
            title = "AWS Config records KMS keys only once a day"
            yield self.tell(event, title, Severity.LOW, details=details)

    def channel(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        given = member(request, "deliveryChannel")
        bucket, topic = text(given, "s3BucketName"), text(given, "snsTopicARN")
        ours = self.mine("buckets", [bucket_arn(event.aws_region, bucket)])
        if ours and self.mine("topics", [topic]):
            return []
        details = {"bucket": short(bucket), "topic": short(topic)}
        title = "AWS Config's delivery channel was set"
        # Many a channel has no topic: what is recorded is in our bucket all the same.
        severity = Severity.LOW if ours and not topic else Severity.MEDIUM
        return [self.tell(event, title, severity, details=details)]

    def rule(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        rule = text(request, "configRuleName")
        if not self.is_about_keys(rule):
            return []
        title = "A rule of AWS Config about keys was deleted"
        resource = arn_of(event, "config", rule, kind="config-rule/")
        details = {"rule": short(rule)}
        return [self.tell(event, title, Severity.MEDIUM, resource=resource, details=details)]

    def is_about_keys(self, rule: str) -> bool:
        return any(fnmatchcase(rule.lower(), one.lower()) for one in self.options.rules)

    def verdicts(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        """Verdicts about keys that did not come from a rule's Lambda function.

        A function's user agent ends in `exec-env/AWS_Lambda_...`. It is the caller's own word, and
        may be a lie; who lies about it is seen by what his keys are in truth.
        """
        if member(request, "testMode") is True:
            return []
        actor = event.actor
        if actor.invoked_by or actor.type == "AWSService" or "AWS_Lambda" in actor.user_agent:
            return []
        rule = text(event.additional(), "configRuleName")
        kinds = {
            text(one, "complianceResourceType") for one in several(member(request, "evaluations"))
        }
        if KEY not in kinds and not self.is_about_keys(rule):
            return []
        title = "Somebody told AWS Config by hand how keys comply"
        return [self.tell(event, title, Severity.LOW, details={"rule": short(rule)})]


def leaves_keys_out(group: object) -> bool:
    """Whether a recording group has no place for keys. Without one Config records all there is."""
    if not isinstance(group, dict) or not group:
        return False
    excluded = member(member(group, "exclusionByResourceTypes"), "resourceTypes")
    if KEY in texts(excluded):
        return True
    strategy = text(member(group, "recordingStrategy"), "useOnly")
    if strategy in {"ALL_SUPPORTED_RESOURCE_TYPES", "EXCLUSION_BY_RESOURCE_TYPES"}:
        return False
    everything = member(group, "allSupported")
    if everything is None and not strategy:
        everything = not texts(member(group, "resourceTypes"))
    listed = KEY in texts(member(group, "resourceTypes"))
    return not listed and (strategy == "INCLUSION_BY_RESOURCE_TYPES" or everything is not True)


def is_daily(mode: object) -> bool:
    """Whether keys are recorded once a day: as everything is, or as an exception."""
    for one in several(member(mode, "recordingModeOverrides")):
        if KEY in texts(member(one, "resourceTypes")):
            return text(one, "recordingFrequency") == "DAILY"
    return text(mode, "recordingFrequency") == "DAILY"
