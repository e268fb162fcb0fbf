"""Somebody disabled a key, or tried to.

A disabled key cannot encrypt or decrypt from the next moment on (aws-facts 3.1).
"""

from collections.abc import Iterable
from typing import ClassVar

from pydantic import BaseModel

from monitor.detection import attempt, finding
from monitor.event import Event
from monitor.finding import Finding, Severity
from monitor.key import KeyState
from monitor.plugins import NoOptions


class KeyDisabled:
    name: ClassVar = "key_disabled"
    title: ClassVar = "KMS key disabled"
    events: ClassVar = frozenset({("kms.amazonaws.com", "DisableKey")})
    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return [attempt(self.name, event, "Disabling a KMS key")]
        return [
            finding(self.name, event, self.title, Severity.HIGH, caused=KeyState.DISABLED),
        ]
