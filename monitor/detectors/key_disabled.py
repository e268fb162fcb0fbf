"""Somebody disabled a key, or tried to."""

from collections.abc import Iterable
from typing import ClassVar

from monitor.detector import KMS, About, Base, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Severity
from monitor.key import KeyState


class KeyDisabled(Base[NoOptions]):
    name: ClassVar = "key_disabled"
    title: ClassVar = "KMS key disabled"
    about: ClassVar = About(
        description="Somebody disabled a KMS key. From the next moment on it can neither encrypt "
        "nor decrypt, and what rests on it stops.",
        severity="high; an attempt is medium if AWS denied it, else low",
        techniques=("T1485", "T1489"),
        false_positives=(
            "A key is disabled for some days before its deletion, as AWS advises.",
            "Infrastructure as code switches a key off on purpose.",
        ),
        advice=(
            "Find out whether whoever did it was meant to.",
            "If nobody knows of it, revoke the sessions of the role or the keys of the user.",
            "See that what uses the key works again: volumes, databases, queues.",
        ),
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/enabling-keys.html",
            "https://docs.aws.amazon.com/kms/latest/APIReference/API_DisableKey.html",
        ),
    )
    events: ClassVar = frozenset({(KMS, "DisableKey")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return [self.attempt(event, "Disabling a KMS key")]
        return [self.finding(event, self.title, Severity.HIGH, caused=KeyState.DISABLED)]
