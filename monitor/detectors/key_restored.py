"""Somebody enabled a key, or took it back from deletion.

To enable a key is a change that nobody minds, and that moves the baseline: without it the daemon
would not learn that a key which had been disabled on purpose is wanted again. A cancelled deletion
moves nothing, for it leaves the key Disabled whatever it was before (aws-facts 3.1).
"""

from collections.abc import Iterable
from typing import ClassVar

from monitor.detector import KMS, About, Base, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.key import KeyState


class KeyEnabled(Base[NoOptions]):
    name: ClassVar = "key_enabled"
    title: ClassVar = "KMS key enabled"
    about: ClassVar = About(
        description="Somebody enabled a KMS key. It ends what was wrong with a disabled key, and "
        "teaches the daemon that the key is wanted.",
        severity="info",
        techniques=(),
        false_positives=(),
        advice=("Nothing, if you know who did it.",),
        references=("https://docs.aws.amazon.com/kms/latest/APIReference/API_EnableKey.html",),
    )
    events: ClassVar = frozenset({(KMS, "EnableKey")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return []
        return [
            self.finding(
                event, self.title, Severity.INFO, kind=Kind.CHANGE, caused=KeyState.ENABLED
            )
        ]


class KeyDeletionCancelled(Base[NoOptions]):
    name: ClassVar = "key_deletion_cancelled"
    title: ClassVar = "Deletion of a KMS key cancelled"
    about: ClassVar = About(
        description="Somebody took a KMS key back from deletion. AWS leaves it disabled: it cannot "
        "be used until it is enabled too.",
        severity="info",
        techniques=(),
        false_positives=(),
        advice=("See that the key was enabled as well, if it is to be used.",),
        references=(
            "https://docs.aws.amazon.com/kms/latest/APIReference/API_CancelKeyDeletion.html",
        ),
    )
    events: ClassVar = frozenset({(KMS, "CancelKeyDeletion")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return []
        return [
            self.finding(
                event, self.title, Severity.INFO, kind=Kind.RECOVERY, caused=KeyState.DISABLED
            )
        ]
