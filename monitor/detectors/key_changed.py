"""Everything about a key that somebody changed and that no other detector minds.

It is how baselines learn what people want of their keys: such a change is accepted, once the live
key or CloudTrail confirms it. Where another detector finds damage in the same event, that decides.
"""

from collections.abc import Iterable
from typing import ClassVar

from monitor.changes import CHANGING, changes_of
from monitor.detector import KMS, About, Base, NoOptions
from monitor.event import Event
from monitor.finding import Aspect, Finding, Kind, Severity
from monitor.key import KeyState
from monitor.parameters import mapped, text
from monitor.register import EXPIRY, aspect_of

GRANTS = frozenset({"CreateGrant", "RetireGrant", "RevokeGrant"})


class KeyChanged(Base[NoOptions]):
    name: ClassVar = "key_changed"
    title: ClassVar = "KMS key changed"
    about: ClassVar = About(
        description="Somebody changed a key's policy, tags, aliases, grants, rotation, description, "
        "primary Region or key material, or made the key. If no other detector minds it, the "
        "daemon learns that this is wanted. Nobody is told. Without this detector baselines stay "
        "as they were when the key was first seen.",
        severity="info",
        techniques=(),
        false_positives=(),
        advice=("Nothing, if you know who did it.",),
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/logging-using-cloudtrail.html",
        ),
    )
    events: ClassVar = frozenset((KMS, name) for name in [*CHANGING, "CreateKey"])

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed or event.key is None:
            return []
        actor = event.actor
        if event.event_name in GRANTS and (actor.on_an_errand or actor.is_aws):
            # What services grant themselves, such as EC2 for a volume, comes and goes all day.
            return []
        if event.event_name == "CreateKey":
            made = text(mapped(event.response().get("keyMetadata")), "keyState")
            state = KeyState.ENABLED if made == KeyState.ENABLED.value else None
            return [self.changed(event, Aspect.STATE, state)]
        changes = changes_of(event)
        # Whoever imports material makes the key usable.
        state = KeyState.ENABLED if EXPIRY in changes else None
        return [self.changed(event, one, state) for one in sorted({*map(aspect_of, changes)})]

    def changed(self, event: Event, aspect: Aspect, state: KeyState | None) -> Finding:
        title = f"{self.title}: {aspect}"
        return self.finding(
            event, title, Severity.INFO, kind=Kind.CHANGE, aspect=aspect, caused=state
        )
