"""AWS Config recorded that a key is worse than it should be.

Shapes: aws-facts 4.6. Config is a slow second witness, and says neither who did it nor what became of the
key since: its item is a hint. Whoever repairs looks at the live key first, so that an old item writes
nothing. An item counts only where it shows that the key became worse: the first item of a key shows
nothing but how it has been all along, and how it should be only people know then.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from monitor.clock import iso
from monitor.detector import About, Base, NoOptions
from monitor.event import Event
from monitor.finding import CONFIG as SOURCE
from monitor.finding import CONFIG_ITEM, CONFIG_OVERSIZED, Aspect, Finding, Kind, Severity
from monitor.key import KeySnapshot, KeyState
from monitor.notices import CONFIG
from monitor.parameters import mapped, switched_off, text
from monitor.register import STATE
from monitor.repair.plan import differs
from monitor.written_times import read_written

KEY: Final = "AWS::KMS::Key"
DIFFERENCE: Final = "Configuration.KeyState"
SHORT_DAYS: Final = 10
"""As the detector `key_deletion_scheduled` has it: with so little left, somebody was in a hurry."""
DAY: Final = 86_400.0
BAD: Final = frozenset(
    {
        KeyState.DISABLED,
        KeyState.PENDING_DELETION,
        KeyState.PENDING_REPLICA_DELETION,
        KeyState.PENDING_IMPORT,
        KeyState.UNAVAILABLE,
    }
)
GRAVE: Final = frozenset({KeyState.PENDING_IMPORT})


class ConfigItem(Base[NoOptions]):
    name: ClassVar = "config_item"
    title: ClassVar = "AWS Config recorded that a KMS key is worse than it should be"
    about: ClassVar = About(
        description="AWS Config's item of a key shows it disabled, pending deletion, without its key "
        "material or not reachable, or with its rotation off, though it should not be. Config is "
        "slower than CloudTrail and does not say who did it. Where CloudTrail told of the same change, "
        "it belongs to the same incident and is not told again.",
        severity="high; critical if the key's material is gone, or it is deleted in 10 days or less; "
        "medium if its rotation is off; low for a change that is too large to be told",
        techniques=("T1485", "T1489"),
        false_positives=("Config told of an approved actor's change before CloudTrail did.",),
        advice=(
            "Look into CloudTrail's event history for the call that did it: kms-monitor replay.",
            "If only AWS Config told of it, find out why no message of CloudTrail came.",
        ),
        references=(
            "https://docs.aws.amazon.com/config/latest/developerguide/example-sns-notification.html",
            "https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html",
        ),
    )
    events: ClassVar = frozenset({(CONFIG, CONFIG_ITEM), (CONFIG, CONFIG_OVERSIZED)})

    def inspect(self, event: Event) -> Iterable[Finding]:
        notification = event.request()
        if event.key is None:
            return
        if event.event_name == CONFIG_OVERSIZED:
            yield from self.too_large(event, notification)
            return
        item = mapped(notification.get("configurationItem"))
        recorded = mapped(item.get("configuration"))
        if text(item, "resourceType") != KEY or text(recorded, "keyManager") == "AWS":
            return
        changed = mapped(mapped(notification.get("configurationItemDiff")).get("changedProperties"))
        yield from self.state(event, recorded, changed)
        yield from self.rotation(event, mapped(item.get("supplementaryConfiguration")))

    def state(
        self, event: Event, recorded: Mapping[str, Any], changed: Mapping[str, Any]
    ) -> Iterable[Finding]:
        state = state_of(text(recorded, "keyState"))
        if state not in BAD or not self.is_worse(event, state, mapped(changed.get(DIFFERENCE))):
            return
        details = {"source": SOURCE, "state": state.value}
        end = read_written(text(recorded, "deletionDate"))
        hurried = end is not None and end - event.time <= SHORT_DAYS * DAY
        if end is not None:
            details["deletion_date"] = iso(end)
        yield self.finding(
            event,
            f"{self.title}: {state.value}",
            Severity.CRITICAL if hurried or state in GRAVE else Severity.HIGH,
            caused=state,
            details=details,
        )

    def is_worse(self, event: Event, state: KeyState, difference: Mapping[str, Any]) -> bool:
        """Than it was, and than it should be as far as that is known."""
        assert event.key is not None
        was, known = state_of(text(difference, "previousValue")), self.knowledge.key(event.key)
        better = {was, known.state if known else was}
        live = KeySnapshot(event.key, state, event.time)
        return all(one is not None and differs(live, STATE, one.value) for one in better)

    def rotation(self, event: Event, more: Mapping[str, Any]) -> Iterable[Finding]:
        known = self.knowledge.key(event.key)
        days = known.rotation_days if known else None
        if days and switched_off(more.get("KeyRotationStatus")):
            yield self.finding(
                event,
                "AWS Config recorded that the rotation of a KMS key is off",
                Severity.MEDIUM,
                aspect=Aspect.ROTATION,
                details={"source": SOURCE, "previous_period_days": str(days)},
            )

    def too_large(self, event: Event, notification: Mapping[str, Any]) -> Iterable[Finding]:
        """Its message does not say what changed: the next sweep finds it out."""
        summary = mapped(notification.get("configurationItemSummary"))
        if text(summary, "resourceType") == KEY:
            yield self.finding(
                event,
                "AWS Config recorded a change of a KMS key that is too large for its message",
                Severity.LOW,
                kind=Kind.NOTICE,
                details={"source": SOURCE},
            )


def state_of(value: str) -> KeyState | None:
    return KeyState(value) if value in set(KeyState) else None
