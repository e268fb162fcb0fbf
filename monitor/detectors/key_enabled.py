"""Somebody enabled a key: a change that nobody minds, and that moves the baseline.

Without it the daemon would not learn that a key which had been disabled on purpose is wanted again.
"""

from collections.abc import Iterable
from typing import ClassVar

from pydantic import BaseModel

from monitor.detection import finding
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.key import KeyState
from monitor.plugins import NoOptions


class KeyEnabled:
    name: ClassVar = "key_enabled"
    title: ClassVar = "KMS key enabled"
    events: ClassVar = frozenset({("kms.amazonaws.com", "EnableKey")})
    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return []
        return [
            finding(
                self.name,
                event,
                self.title,
                Severity.INFO,
                kind=Kind.CHANGE,
                caused=KeyState.ENABLED,
            )
        ]
