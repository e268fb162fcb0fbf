"""A key with an open incident is as it should be, and no message told who made it so.

From events of our own (see `monitor.incidents`).
"""

from collections.abc import Iterable
from typing import ClassVar

from monitor.detector import OWN, About, Base, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity


class KeyRightAgain(Base[NoOptions]):
    name: ClassVar = "key_right_again"
    title: ClassVar = "KMS key is as it should be again"
    about: ClassVar = About(
        description="KMS shows a key with an open incident as it should be, and has for minutes. "
        "Its incident ends with this; who put the key back no message has told so far.",
        severity="info",
        techniques=(),
        false_positives=(),
        advice=("Find out who put the key back, and why no message told of it.",),
        references=("https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html",),
    )
    events: ClassVar = frozenset({(OWN, "KeySeenRight")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.key is None:
            return []
        return [self.finding(event, self.title, Severity.INFO, kind=Kind.RECOVERY)]
