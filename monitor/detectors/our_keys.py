"""Somebody laid hands on a key that encrypts what we ourselves see by.

If the key of our queue is disabled, no more messages come out of it (SQS answers KmsDisabled): the
one attack that the daemon cannot see by its queue, and that it may see the last event of.
"""

from collections.abc import Iterable
from typing import ClassVar, Final

import msgspec

from monitor.detector import KMS, NATIVE, About, Base, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import short

UNUSABLE: Final = {
    (KMS, "DisableKey"): "disabled",
    (KMS, "ScheduleKeyDeletion"): "scheduled for deletion",
    (KMS, "DeleteImportedKeyMaterial"): "emptied of its material",
    (KMS, "DeleteExpiredKeyMaterial"): "emptied of its material, which has expired",
    (NATIVE, "KMS Imported Key Material Expiration"): "emptied of its material, which has expired",
    (KMS, "DeleteKey"): "deleted for good",
    (NATIVE, "KMS CMK Deletion"): "deleted for good",
}
"""After these the key is of no use."""
DOUBTFUL: Final = {
    (KMS, "PutKeyPolicy"): "given another key policy",
    (KMS, "RevokeGrant"): "robbed of a grant",
}
"""After these it may be, or may not be, of use to the service that encrypts with it."""
DEEDS: Final = UNUSABLE | DOUBTFUL


class OurKeyDamaged(Base[NoOptions]):
    name: ClassVar = "our_key_damaged"
    title: ClassVar = "The key that encrypts what we see by is under attack"
    about: ClassVar = About(
        description="Somebody changed a KMS key that encrypts the daemon's own queue, topic, trail "
        "or table. Once services notice, after some minutes at most, no more events arrive: "
        "this may be the last that is seen of an attack.",
        severity="critical if the key is of no use now; high if its policy or a grant was changed, "
        "so that it may be; an attempt is medium",
        techniques=("T1562.008", "T1485"),
        false_positives=(
            "The key policy of the queue's key is edited by infrastructure as code.",
            "The daemon's resources move to another key, and the old one is retired.",
        ),
        advice=(
            "Put the key back at once, by hand if the daemon has not: CancelKeyDeletion, EnableKey.",
            (
                "See that messages arrive again, and look into CloudTrail's event history for what "
                "happened meanwhile: kms-monitor replay."
            ),
            "Encrypt the daemon's own resources with a key in another account, or with SSE-SQS.",
        ),
        references=(
            "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html",
            "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/encrypting-cloudtrail-log-files-with-aws-kms.html",
        ),
    )
    events: ClassVar = frozenset(DEEDS)

    def inspect(self, event: Event) -> Iterable[Finding]:
        key = event.key
        encrypts = self.knowledge.watched.keys.get(key) if key else None
        if encrypts is None:
            return []
        call = (event.event_source, event.event_name)
        details = {"encrypts": encrypts}
        if event.failed:
            tried = self.attempt(event, f"{event.event_name} on the key of {short(encrypts)}")
            raised = max(tried.severity, Severity.MEDIUM)
            details |= tried.details
            return [msgspec.structs.replace(tried, severity=raised, details=details)]
        return [
            self.finding(
                event,
                f"The key of {short(encrypts)} was {DEEDS[call]}",
                Severity.CRITICAL if call in UNUSABLE else Severity.HIGH,
                kind=Kind.NOTICE,
                details=details,
            )
        ]
