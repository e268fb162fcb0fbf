"""Somebody needed a key that cannot be used: proof that it is missed.

Such calls fail thousands of times a minute. One entry for each user of the key is remembered, and
nothing is written for all the others.
"""

import re
from collections.abc import Iterable
from typing import ClassVar

from pydantic import BaseModel, Field

from monitor.correlation import level_of, listed
from monitor.detector import KMS, About, Base
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import short
from monitor.sight.kms_calls import USES

NEEDS = (*USES, "CreateGrant", "GetPublicKey")
"""What a key is used by (aws-facts 3.2). CreateGrant is how services begin to use one."""
CODES = ("DisabledException", "KMSInvalidStateException", "KeyUnavailableException")
STATE = re.compile(
    r" is (disabled|pending deletion|pending replica deletion|pending import|unavailable|creating"
    r"|updating)\b"
)
"""What the message says of the key (aws-facts 2.4); the code differs by operation."""
CONTEXT = {
    "PARAMETER_ARN": "Parameter Store",
    "SecretARN": "Secrets Manager",
    "aws:cloudtrail:arn": "CloudTrail",
    "aws:dynamodb:tableName": "DynamoDB table",
    "aws:ebs:id": "EBS",
    "aws:lambda:FunctionArn": "Lambda",
    "aws:logs:arn": "CloudWatch Logs",
    "aws:rds:db-id": "RDS",
    "aws:s3:arn": "S3",
    "aws:sns:topicArn": "SNS",
    "aws:sqs:arn": "SQS",
}
"""Members of the encryption context by which AWS services name what they encrypt."""
STEPS = (10, 100)


class UnusableOptions(BaseModel, extra="forbid"):
    hours: int = Field(
        24,
        ge=1,
        le=168,
        description="After so many hours somebody who still needs the key counts anew.",
    )


class UnusableKeyUsed(Base[UnusableOptions]):
    name: ClassVar = "unusable_key_used"
    title: ClassVar = "Unusable KMS key is needed"
    about: ClassVar = About(
        description="Somebody tried to encrypt or decrypt with a KMS key that is disabled, pending "
        "deletion, without material or cut off: something that works depends on it. That nobody "
        "tries proves nothing, for data keys are cached and volumes stay attached.",
        severity="high; critical if more than one AWS service needs the key; told at the first, the "
        "tenth and the hundredth user",
        techniques=("T1485", "T1489"),
        false_positives=("A key is retired, and a forgotten job still asks for it.",),
        advice=(
            "Put the key back, or find out why kms-monitor did not.",
            "See that what is named works again: databases may need a restore once their key is gone.",
            "Do not let the key be deleted before nobody asks for it any more.",
        ),
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html",
            "https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys-creating-cloudwatch-alarm.html",
            "https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html",
        ),
    )
    events: ClassVar = frozenset[tuple[str, str]]()
    failures: ClassVar = frozenset((KMS, name, code) for name in NEEDS for code in CODES)
    Options: ClassVar[type[BaseModel]] = UnusableOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        key, at = event.key, event.time
        if not event.failed or key is None:
            return []
        actor = event.actor
        user, kind = (
            (actor.invoked_by, "service") if actor.invoked_by else (actor.principal, "principal")
        )
        self.knowledge.failed_uses.note(key, user, at, event.event_id, service=kind == "service")
        within = self.options.hours * 3600.0
        window = self.knowledge.windows.of(self.name, key.arn)
        near = window.between(at - within, at + within)
        known = next((one for one in near if one.about == user), None)
        if known is None:
            if level_of(len({one.about for one in near}), 1, STEPS) == 1 + len(STEPS):
                return []  # a hundred are known: one more says nothing new
            window.note(event.event_id, at, kind, user, keep=within)
        elif known.event_id != event.event_id:
            return []
        users = {one.about: one.what for one in window.around(event.event_id, within)}
        services = [name for name, what in users.items() if what == "service"]
        several = len(services) > 1
        # A second service makes it worse, whatever the number: it is a level of its own.
        level = level_of(len(users), 1, STEPS) + several
        if not window.rises(event.event_id, level, within):
            return []
        return [
            self.finding(
                event,
                f"{self.title}: {event.event_name} by {short(user)}",
                Severity.CRITICAL if several else Severity.HIGH,
                kind=Kind.EVIDENCE,
                details=self.details(event, users, services),
            )
        ]

    def details(self, event: Event, users: dict[str, str], services: list[str]) -> dict[str, str]:
        details = {"users": listed(users)}
        if services:
            details["services"] = listed(services)
        if state := STATE.search((event.error_message or "")[:1024]):
            details["key_is"] = state[1]
        if needed := listed(named_by(event.request())):
            details["needed_for"] = needed
        return details


def named_by(request: dict[str, object]) -> Iterable[str]:
    """What the encryption context says that is encrypted, such as `RDS db-EXAMPLE`."""
    for member in ("encryptionContext", "sourceEncryptionContext"):
        context = request.get(member)
        if isinstance(context, dict):
            for name, service in CONTEXT.items():
                if isinstance(value := context.get(name), str):
                    yield f"{service} {value}"
