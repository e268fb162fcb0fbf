"""Somebody put out our eyes, and about that time a key was damaged.

Either may have an innocent cause; both together hardly. What the daemon sees may then be the last
that it sees.
"""

from collections.abc import Iterable
from typing import ClassVar

import msgspec
from pydantic import BaseModel, Field

from monitor.correlation import TAKES_AWAY, is_person, listed, story
from monitor.detector import KMS, About, Base
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.key import KeyRef
from monitor.parameters import short
from monitor.sight.blinding import CALLS, RECORDERS, ROLES, blinds
from monitor.windows import Entry, Window

SURE, PERHAPS = "", " (perhaps ours)"
"""What stands behind the name of a call that blinds."""


class BlindingOptions(BaseModel, extra="forbid"):
    hours: int = Field(
        6, ge=1, le=72, description="The damage comes at most so many hours after the blinding."
    )
    minutes_before: int = Field(
        60,
        ge=0,
        le=720,
        description="Or at most so many minutes before it, as somebody does who covers tracks.",
    )


class BlindingThenDamage(Base[BlindingOptions]):
    name: ClassVar = "blinding_then_damage"
    title: ClassVar = "KMS key damaged while our eyes were put out"
    about: ClassVar = About(
        description="Somebody stopped a trail, disabled a rule, emptied a queue or crippled a role "
        "that the daemon sees or acts by, and about that time a KMS key was disabled, scheduled for "
        "deletion or emptied in the same account, by the same caller, or anywhere if it was surely "
        "ours. More may happen that nobody sees.",
        severity="critical; high where it is not known that what was touched is ours (a trail counts "
        "as ours unless it is known not to be), and told again when it becomes sure",
        techniques=("T1562.008", "T1485"),
        false_positives=(
            "An environment is torn down: its keys together with its trail and queues.",
        ),
        advice=(
            "Treat it as an attack: revoke the sessions of whoever did either.",
            "Put trail, rule, queue and roles back: until then the daemon may see nothing.",
            "Look into the event history for what was missed meanwhile: kms-monitor replay.",
        ),
        references=(
            "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-security-best-practices.html",
            "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/view-cloudtrail-events.html",
        ),
    )
    events: ClassVar = (
        frozenset(CALLS) | ROLES | RECORDERS | frozenset((KMS, name) for name in TAKES_AWAY)
    )
    Options: ClassVar[type[BaseModel]] = BlindingOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return []
        key, resource = event.key, ""
        who = event.actor.principal
        account = event.recipient_account_id or ""
        if event.event_source == KMS:
            if key is None:
                return []
            what, about, account, everywhere = event.event_name, key.arn, key.account, True
        else:
            blinding = blinds(event, self.knowledge.watched)
            if blinding is None:
                return []
            everywhere, resource = blinding
            what, about = event.event_name + (SURE if everywhere else PERHAPS), who
            key = None
        subjects = [f"account {account}"]
        if is_person(event):
            subjects.append(who)
        if everywhere:  # one trail, one queue may be the eye for all accounts
            subjects.append("everywhere")
        best: list[Entry] = []
        risen = 0
        for subject in subjects:
            window = self.knowledge.windows.of(self.name, subject)
            window.note(event.event_id, event.time, what, about, keep=2 * self.reach)
            found = self.together(window, event.event_id)
            level = 0 if not found else 1 if all(unsure(one) for one in found) else 2
            level = window.rises(event.event_id, level, self.reach)
            if level > risen:
                risen, best = level, found
        return [self.told(event, key, resource, best, risen)] if risen else []

    @property
    def reach(self) -> float:
        return max(self.options.hours * 3600.0, self.options.minutes_before * 60.0)

    def together(self, window: Window, event_id: str) -> list[Entry]:
        """Blinding and damage that belong together, of which the event is one; oldest first."""
        found: set[Entry] = set()
        for blinding in window.around(event_id, self.reach):
            if blinding.what in TAKES_AWAY:
                continue
            start = blinding.at - self.options.minutes_before * 60.0
            near = window.between(start, blinding.at + self.options.hours * 3600.0)
            damage = [one for one in near if one.what in TAKES_AWAY]
            if event_id != blinding.event_id:
                damage = [one for one in damage if one.event_id == event_id]
            if damage:
                found.update([blinding, *damage])
        return sorted(found)

    def told(
        self, event: Event, key: KeyRef | None, resource: str, steps: list[Entry], level: int
    ) -> Finding:
        blinding = [one.what for one in steps if one.what not in TAKES_AWAY]
        damage = [one for one in steps if one.what in TAKES_AWAY]
        finding = self.finding(
            event,
            f"{self.title}: {listed([*blinding, *(one.what for one in damage)])}",
            Severity.CRITICAL if level > 1 else Severity.HIGH,
            kind=Kind.NOTICE,
            resource=resource,
            details={
                "steps": story(steps, joint="by or of"),
                "keys": listed(one.about for one in damage),
                "caller": short(event.actor.principal, 120),
            },
        )
        first = KeyRef.parse(damage[0].about) if damage else None
        if key is not None or first is None:
            return finding
        # IAM and other accounts are elsewhere: the place that it is about is the key's.
        return msgspec.structs.replace(finding, account=first.account, region=first.region)


def unsure(entry: Entry) -> bool:
    """Whether it adds nothing sure: damage says nothing about whose eye it was."""
    return entry.what in TAKES_AWAY or entry.what.endswith(PERHAPS)
