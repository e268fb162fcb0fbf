"""What the sweep finds: keys that are worse than they should be, or soon will be.

From events of our own (see `monitor.loops.sweep`), which say how KMS shows a key now and how it
should be.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field

from monitor.changes import SEEN_OTHERWISE, changes_of
from monitor.clock import iso
from monitor.detector import OWN, About, Base, NoOptions, OptionsT
from monitor.event import Event
from monitor.finding import Aspect, Finding, Kind, Severity
from monitor.key import KeyState
from monitor.parameters import few
from monitor.register import aspect_of

LOST = frozenset(
    {
        KeyState.PENDING_DELETION,
        KeyState.PENDING_REPLICA_DELETION,
        KeyState.PENDING_IMPORT,
        KeyState.GONE,
    }
)
"""Beyond being switched off: from here the way leads to a key that is lost."""
WEIGHTY = frozenset({Aspect.POLICY, Aspect.ALIASES, Aspect.GRANTS})
BAD = (LOST | {KeyState.UNAVAILABLE}) - {KeyState.GONE}
REMEMBERED = 40 * 86400.0
"""Seconds. Longer than the longest waiting period, 30 days."""


class Ending(Base[OptionsT]):
    """What the detectors of ends have in common."""

    events: ClassVar = frozenset({(OWN, "KeySeenEnding")})

    def once_a_level(self, event: Event, end: float, level: int) -> bool:
        """Whether the end that is near is to be told about: once at every level."""
        if not level:
            return False
        window = self.knowledge.windows.of(self.name, f"{event.key}|{end:.0f}")
        if window.find(event.event_id) is None:
            if any(one.level >= level for one in window.entries):
                return False
            window.note(event.event_id, event.time, event.event_name, keep=REMEMBERED)
        return bool(window.rises(event.event_id, level, REMEMBERED))


def title_of(title: str, seen: Mapping[str, Any]) -> str:
    """Another one where the key waited for its budget of repairs: see `monitor.loops.held`."""
    return "KMS key may be put back again" if seen.get("heldSince") else title


class KeyDrifted(Base[NoOptions]):
    name: ClassVar = "key_drifted"
    title: ClassVar = "KMS key found worse than it should be"
    about: ClassVar = About(
        description="KMS shows a key in a worse state than the one that was last accepted as right, "
        "and no message told of it. Either the way of the messages is broken, or somebody broke it.",
        severity="critical if the key is lost or about to be (deleted, pending deletion, without "
        "its key material); else high",
        techniques=("T1485", "T1562.008"),
        false_positives=(
            "The message about an approved change takes longer than `sweep.grace_minutes`.",
            "Somebody not in `approved_actors` changed it on purpose while the daemon was down.",
        ),
        advice=(
            "Look into CloudTrail's event history for the call that did it: kms-monitor replay.",
            "Find out why its message did not come: trail, selectors, rule, queue policy.",
            "Find out whether whoever did it was meant to.",
        ),
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html",
            "https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event.html",
        ),
    )
    events: ClassVar = frozenset({(OWN, "KeySeenWorse")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        seen = event.request()
        state, expected = state_of(seen.get("state")), state_of(seen.get("expected"))
        if event.key is None or state is None or expected is None:
            return []
        end, since = number(seen.get("deletionDate")), number(seen.get("worseSince"))
        # By other rules it may be put back, though it was only told before: that is to be done, too.
        anew = number(seen.get("round"))
        details = {"state": state.value, "expected": expected.value} | moments(
            deletion_date=end, seen_since=since
        )
        return [
            self.finding(
                event,
                f"{title_of(self.title, seen)}: {state.value} instead of {expected.value}",
                Severity.CRITICAL if state in LOST else Severity.HIGH,
                caused=state,
                details=details,
                # One that is put back and found so again is another finding.
                occasion=f"{state.value} {end or 0:.0f} {since or 0:.0f}"
                + (f" {anew:.0f}" if anew else ""),
            )
        ]


class KeyOtherwise(Base[NoOptions]):
    name: ClassVar = "key_otherwise"
    title: ClassVar = "KMS key found other than it should be"
    about: ClassVar = About(
        description="A part of a key is other than its baseline says, for longer than a message "
        "takes, and neither a message nor CloudTrail's event history tells who changed it.",
        severity="high for its policy, aliases and grants; else medium",
        techniques=("T1562.008", "T1098"),
        false_positives=("The daemon may not read the event history (LookupEvents).",),
        advice=(
            "See what differs: kms-monitor baseline diff.",
            "If it is right as it is: kms-monitor baseline accept.",
            "Find out why no message came: trail, selectors, rule, queue policy.",
        ),
        references=("https://docs.aws.amazon.com/kms/latest/developerguide/overview.html",),
    )
    events: ClassVar = frozenset({(OWN, SEEN_OTHERWISE)})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.key is None:
            return []
        changes = changes_of(event)
        since = number(event.request().get("seenSince")) or event.time
        return [
            self.finding(
                event,
                f"{title_of(self.title, event.request())}: its {aspect}",
                Severity.HIGH if aspect in WEIGHTY else Severity.MEDIUM,
                aspect=aspect,
                details={"parts": few(one for one in sorted(changes) if aspect_of(one) is aspect)}
                | moments(seen_since=since),
                occasion=f"{aspect} {since:.0f}",
            )
            for aspect in sorted({*map(aspect_of, changes)})
        ]


class KeyFoundBad(Base[NoOptions]):
    name: ClassVar = "key_found_bad"
    title: ClassVar = "KMS key was unusable when first seen"
    about: ClassVar = About(
        description="A key that the daemon had never seen before is about to be deleted, or cannot "
        "be used. Nobody can say from the outside whether that is an attack or a wish, so nothing "
        "is repaired.",
        severity="high; low for a key without key material that was made after the start, as every "
        "such key begins",
        techniques=("T1485",),
        false_positives=(
            "A key was scheduled for deletion on purpose before the daemon was installed.",
            "A key for imported material was made, and its material is yet to be imported.",
        ),
        advice=(
            "Find out whether the key is meant to go.",
            "If it is not: cancel its deletion and enable it, or import its key material again.",
        ),
        references=("https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html",),
    )
    events: ClassVar = frozenset({(OWN, "KeySeenBad")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        seen = event.request()
        state = state_of(seen.get("state"))
        if state not in BAD or event.key is None:
            return []
        end = number(seen.get("deletionDate"))
        begins = state is KeyState.PENDING_IMPORT and seen.get("firstLook") is False
        return [
            self.finding(
                event,
                f"{self.title}: {state.value}",
                Severity.LOW if begins else Severity.HIGH,
                kind=Kind.NOTICE,
                caused=state,
                details={"state": state.value} | moments(deletion_date=end),
                occasion=f"{state.value} {end or 0:.0f}",
            )
        ]


class DeadlineOptions(BaseModel, extra="forbid"):
    hours: list[Annotated[int, Field(ge=1, le=720)]] = Field(
        [72, 24, 6, 1],
        min_length=1,
        max_length=20,
        description="So many hours before the end of a waiting period it is told, once each.",
    )
    critical_hours: int = Field(
        6, ge=0, le=720, description="With so many hours left, or fewer, it is critical."
    )


class DeletionDeadlineNear(Ending[DeadlineOptions]):
    name: ClassVar = "deletion_deadline_near"
    title: ClassVar = "KMS key is about to be deleted for good"
    about: ClassVar = About(
        description="The waiting period of a key that is pending deletion ends soon. Then the key "
        "is gone, and everything encrypted under it is unreadable for ever. It is told about keys "
        "whose deletion was approved, too: it is the last chance.",
        severity="high; critical with `critical_hours` left; medium if the deletion was approved",
        techniques=("T1485",),
        false_positives=("The key is meant to go.",),
        advice=(
            "Cancel the deletion unless you know that nothing needs the key any more.",
            "Look when the key was last used, and for what is encrypted under it.",
        ),
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html",
            "https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys-determining-usage.html",
        ),
    )
    Options: ClassVar[type[BaseModel]] = DeadlineOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        seen = event.request()
        end = number(seen.get("deletionDate"))
        if seen.get("state") != KeyState.PENDING_DELETION or end is None or event.key is None:
            return []
        left = (end - event.time) / 3600
        due = [hours for hours in self.options.hours if left <= hours]
        level = len(due)
        fresh = self.once_a_level(event, end, level)
        reminded = seen.get("reminded")
        if isinstance(reminded, list):
            # The incident remembers what people were told, not only what was seen.
            fresh = bool(due) and min(due) not in reminded
        if not fresh:
            return []
        severity = Severity.CRITICAL if left <= self.options.critical_hours else Severity.HIGH
        expected = state_of(seen.get("expected"))
        if expected is not None and expected.pending_deletion:
            severity = Severity.MEDIUM
        return [
            self.finding(
                event,
                f"{self.title} in {max(0, math.floor(left))} hours",
                severity,
                kind=Kind.NOTICE,
                details={
                    "hours_left": f"{max(0.0, left):.1f}",
                    "reminder_hours": str(min(due)),
                }
                | moments(deletion_date=end),
                occasion=f"{end:.0f} {level}",
            )
        ]


class ExpiryOptions(BaseModel, extra="forbid"):
    days: list[Annotated[int, Field(ge=1, le=31)]] = Field(
        [30, 7, 1],
        min_length=1,
        max_length=20,
        description="So many days (31 at most) before imported key material expires it is told, "
        "once each: medium at the first, high at the next, critical at the last.",
    )


class ImportedMaterialExpiring(Ending[ExpiryOptions]):
    name: ClassVar = "imported_material_expiring"
    title: ClassVar = "Imported key material is about to expire"
    about: ClassVar = About(
        description="The imported material of a key expires soon. KMS deletes it then, and the key "
        "cannot be used until the very same material is imported again.",
        severity="medium at the first of `days`, critical at the last, high in between",
        techniques=("T1485",),
        false_positives=("The material is meant to expire, and the key is used no more.",),
        advice=(
            "Import the same key material again, with a later date or without one.",
            "Find out who keeps a copy of the material, while there is time.",
        ),
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-import-key-material.html",
            "https://docs.aws.amazon.com/kms/latest/APIReference/API_ImportKeyMaterial.html",
        ),
    )
    Options: ClassVar[type[BaseModel]] = ExpiryOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        seen = event.request()
        end, state = number(seen.get("validTo")), state_of(seen.get("state"))
        # Without its material, or on the way to be deleted, it has other troubles.
        if end is None or event.key is None or state in LOST:
            return []
        left = (end - event.time) / 86400
        level = sum(left <= days for days in self.options.days)
        if not self.once_a_level(event, end, level):
            return []
        severity = Severity.MEDIUM if level == 1 else Severity.HIGH
        if level == len(self.options.days):
            severity = Severity.CRITICAL
        return [
            self.finding(
                event,
                f"{self.title}, in {max(0, math.floor(left))} days",
                severity,
                kind=Kind.NOTICE,
                details={"days_left": f"{max(0.0, left):.1f}"} | moments(valid_to=end),
                occasion=f"{end:.0f} {level}",
            )
        ]


def state_of(value: object) -> KeyState | None:
    return KeyState(value) if isinstance(value, str) and value in set(KeyState) else None


def number(value: object) -> float | None:
    """A moment (epoch seconds) that a calendar knows."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain and 0 < value < 32_503_680_000 else None  # type: ignore[arg-type,operator]


def moments(**given: float | None) -> dict[str, str]:
    """Moments as people read them, without those that nobody knows."""
    return {name: iso(at) for name, at in given.items() if at is not None}
