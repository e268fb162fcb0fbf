"""Somebody gave a trail or a log group another key, or none.

Log files under a key that we may not use are as good as deleted: the daemon, and everybody who looks
later, reads nothing (CloudTrail user guide, "Encrypting CloudTrail log files with AWS KMS keys").
A `kmsKeyId` that is empty takes the key away.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from monitor.arns import log_group_arn, trail_arn
from monitor.detector import About, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import member, named_resource, short, text
from monitor.whose import OnOurs

CLOUDTRAIL = "cloudtrail.amazonaws.com"
LOGS = "logs.amazonaws.com"


class LogEncryptionChanged(OnOurs[NoOptions]):
    name: ClassVar = "log_encryption_changed"
    title: ClassVar = "Encryption of logs changed"
    about: ClassVar = About(
        description="Somebody gave a trail or a log group another KMS key, or took its key away. "
        "Under a key of a foreign account the logs are unreadable to us, from that moment on.",
        severity="critical for a trail of ours with a key of a foreign account, high for anything "
        "else with one; medium for a trail or log group of ours with another key; low without a "
        "key, and for a trail that may be ours; silent for the others",
        techniques=("T1486", "T1562.008"),
        false_positives=(
            "The trail gets a key of its own, or the key of a central account.",
            "A new trail or log group is made with a key from the start.",
        ),
        advice=(
            "Find out whether whoever did it was meant to.",
            "Set the key back: aws cloudtrail update-trail --kms-key-id.",
            "See that the daemon's role may decrypt under the key that is set now.",
        ),
        references=(
            "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/encrypting-cloudtrail-log-files-with-aws-kms.html",
            "https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_UpdateTrail.html",
            "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_AssociateKmsKey.html",
        ),
    )
    events: ClassVar = frozenset(
        {
            (CLOUDTRAIL, "CreateTrail"),
            (CLOUDTRAIL, "UpdateTrail"),
            (LOGS, "AssociateKmsKey"),
            (LOGS, "DisassociateKmsKey"),
        }
    )

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        if event.event_source == CLOUDTRAIL:
            return self.trail(event, request)
        return self.group(event, request)

    def trail(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        named = text(request, "name")
        if event.failed:
            # UpdateTrail as a whole is another detector's; a key is ours to tell only if it is said.
            asked = member(request, "kmsKeyId") is not None
            trail = trail_arn(event, named)
            return self.attempt_on(event, "trails", [trail]) if asked and trail else []
        if member(request, "kmsKeyId") is None:
            return []
        trail = text(event.response(), "trailARN")
        trail = trail or trail_arn(event, named)
        key = text(event.response(), "kmsKeyId") or text(request, "kmsKeyId")
        made = event.event_name == "CreateTrail"
        ours = self.knowledge.watched.ours("trails", trail)
        return self.judged(event, "A trail", trail, key, ours=False if made else ours)

    def group(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        named = text(request, "logGroupName", "resourceIdentifier")
        if event.failed and not named:
            named = named_resource(event.error_message)
        group = log_group_arn(event, named)
        if event.failed:
            return self.attempt_on(event, "log_groups", [group])
        ours = bool(self.mine("log_groups", [group]))
        return self.judged(event, "A log group", group, text(request, "kmsKeyId"), ours=ours)

    def judged(
        self, event: Event, what: str, resource: str, key: str, *, ours: bool | None
    ) -> Iterable[Finding]:
        severity, how = Severity.LOW, "is no longer encrypted under a key of its own"
        details = {"log_key": short(key)} if key else {}
        if owner := self.foreign(event, key):
            blind = ours and event.event_source == CLOUDTRAIL
            severity = Severity.CRITICAL if blind else Severity.HIGH
            how = f"is encrypted under a key of account {owner}"
            details["foreign_account"] = owner
        elif ours is False:
            return []
        elif key:
            severity = Severity.MEDIUM if ours else Severity.LOW
            how = "is encrypted under another key"
        return [
            self.finding(
                event,
                f"{what} {how}",
                severity,
                kind=Kind.NOTICE,
                resource=resource,
                details=details,
            )
        ]
