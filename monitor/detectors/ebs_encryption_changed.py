"""Somebody changed whether, and under which key, new EBS volumes are encrypted.

Account-wide in a Region (Amazon EBS user guide, "Enable Amazon EBS encryption by default"). These
calls of EC2 wrap their members into `ModifyEbsDefaultKmsKeyIdRequest` and `...Response`.
"""

from collections.abc import Iterable
from typing import ClassVar

from monitor.detector import About, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import short, text, unwrapped
from monitor.whose import OnOurs

EC2 = "ec2.amazonaws.com"
TITLES = {
    "DisableEbsEncryptionByDefault": "New EBS volumes are no longer encrypted by default",
    "EnableEbsEncryptionByDefault": "New EBS volumes are encrypted by default",
    "ModifyEbsDefaultKmsKeyId": "New EBS volumes are encrypted under another key",
    "ResetEbsDefaultKmsKeyId": "New EBS volumes are encrypted under AWS's own key again",
}
SEVERITIES = {
    "DisableEbsEncryptionByDefault": Severity.HIGH,
    "EnableEbsEncryptionByDefault": Severity.INFO,
    "ModifyEbsDefaultKmsKeyId": Severity.MEDIUM,
    "ResetEbsDefaultKmsKeyId": Severity.LOW,
}


class EbsEncryptionChanged(OnOurs[NoOptions]):
    name: ClassVar = "ebs_encryption_changed"
    title: ClassVar = "Default encryption of EBS changed"
    about: ClassVar = About(
        description="Somebody switched the default encryption of EBS volumes off or on, or gave it "
        "another key. Under a key of a foreign account, whoever owns that account can make all new "
        "volumes useless.",
        severity="high where volumes are no longer encrypted, or under a key of a foreign account; "
        "medium for another key of one's own; low where it is AWS's own key again; info where it "
        "is switched on",
        techniques=("T1486", "T1562.001"),
        false_positives=("A new default key is brought in, or one of a central account.",),
        advice=(
            "Find out whether whoever did it was meant to.",
            (
                "Set the default back: aws ec2 enable-ebs-encryption-by-default, and "
                "aws ec2 modify-ebs-default-kms-key-id."
            ),
            "Look for volumes that were made since then.",
        ),
        references=(
            "https://docs.aws.amazon.com/ebs/latest/userguide/encryption-by-default.html",
            "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyEbsDefaultKmsKeyId.html",
            "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DisableEbsEncryptionByDefault.html",
        ),
    )
    events: ClassVar = frozenset((EC2, name) for name in TITLES)

    def inspect(self, event: Event) -> Iterable[Finding]:
        name = event.event_name
        better = name == "EnableEbsEncryptionByDefault"
        if event.failed:
            return [] if better else [self.attempt(event, name)]
        title, severity = TITLES[name], SEVERITIES[name]
        asked = text(unwrapped(event.request(), f"{name}Request"), "kmsKeyId")
        key = text(unwrapped(event.response(), f"{name}Response"), "kmsKeyId") or asked
        details = {"default_key": short(key)} if key else {}
        if owner := self.foreign(event, key):
            title, severity = f"{title}, of account {owner}", Severity.HIGH
            details["foreign_account"] = owner
        kind = Kind.RECOVERY if better else Kind.NOTICE
        return [self.finding(event, title, severity, kind=kind, details=details)]
