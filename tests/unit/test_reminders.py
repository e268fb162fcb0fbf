"""Reminders before a key is gone for good: each once, whatever happens in between.

In scope: `monitor.reminders`, the detector `deletion_deadline_near`, and `monitor.incidents`, which
has them judged and remembers them, over `MemoryStore`. Replaced: KMS, the tellers, time.
"""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.decision import Action, Decision, Outcome, Reason, Stage, Verdict
from monitor.detectors.sweep_findings import DeadlineOptions, DeletionDeadlineNear
from monitor.errors import WorthRetrying
from monitor.evidence import Evidence
from monitor.finding import Severity
from monitor.incident import Incident, Reminder
from monitor.key import KeyState
from monitor.knowledge import Knowledge
from monitor.ledger import StoreError
from monitor.reminders import MOST, deadline_event, reminded
from tests.samples import EPOCH, KEY, decision, finding, snapshot
from tests.unit.test_incidents import World

HOUR, DAY = 3600.0, 86400.0
END = EPOCH + 7 * DAY + 0.5


class Daemon(World):
    """A daemon whose repair AWS denies; `restarted` forgets all but the store."""

    def __init__(self, before: "Daemon | None" = None) -> None:
        super().__init__()
        self.keys.live = snapshot(KeyState.PENDING_DELETION, deletion_date=END)
        self.detector = DeletionDeadlineNear(DeadlineOptions(), Knowledge())
        self.works = True
        self.judged: set[str] = set()
        if before is not None:
            self.store = self.incidents.store = before.store
            self.clock = self.incidents.clock = self.store.clock = before.clock

    def restarted(self) -> "Daemon":
        return Daemon(self)

    async def attacked(self, outcome: Outcome = Outcome.DENIED) -> None:
        scheduled = finding(event_name="ScheduleKeyDeletion", caused=KeyState.PENDING_DELETION)
        await self.note(decision(scheduled, done=(Action("restore_key", outcome),)))

    async def look(self) -> list[Decision]:
        """One look of the incidents' loop; the findings that were told."""
        self.told.clear()
        await self.incidents.check()
        told = []
        for event in self.told:
            if event.event_id in self.judged:
                continue
            for found in self.detector.inspect(event):
                made = decision(
                    found, verdict=Verdict.TELL, reason=Reason.NOTICE, responders=("sns",)
                )
                made = await self.incidents.note(made)
                ended = Outcome.DONE if self.works else Outcome.RETRY
                made = replace(made, done=(Action("sns", ended),))
                await self.incidents.carried_out(made)
                if self.works:
                    told.append(made)
            if self.works:
                self.judged.add(event.event_id)
        return told

    async def hours_left(self, *moments: float) -> list[list[str]]:
        """What is told at each of these moments, so many hours before the end."""
        found = []
        for left in moments:
            self.clock.at = END - left * HOUR
            told = await self.look()
            found.append([one.finding.details["reminder_hours"] for one in told])
        return found


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.mark.parametrize("outcome", [Outcome.DENIED, Outcome.WOULD, Outcome.REFUSED, Outcome.RETRY])
async def test_each_is_told_once_whatever_became_of_the_repair(
    daemon: Daemon, outcome: Outcome
) -> None:
    await daemon.attacked(outcome)
    told = await daemon.hours_left(100, 72.1, 71.99, 70, 23.99, 23, 5.99, 5.9, 0.99, 0.5)
    assert told == [[], [], ["72"], [], ["24"], [], ["6"], [], ["1"], []]
    (one,) = await daemon.store.incidents()
    assert [reminder.hours for reminder in one.reminders] == [72, 24, 6, 1]
    assert daemon.sample("deletion_reminders_total") == 4


async def test_they_say_the_incident_and_become_more_severe(daemon: Daemon) -> None:
    await daemon.attacked()
    (incident,) = await daemon.store.incidents()
    daemon.clock.at = END - 20 * HOUR
    (one,) = await daemon.look()
    assert one.incident is not None
    assert (one.incident.id, one.incident.stage) == (incident.id, Stage.UNCHANGED)
    assert one.finding.severity is Severity.HIGH
    assert one.finding.details["hours_left"] == "20.0"
    daemon.clock.at = END - 2 * HOUR
    (one,) = await daemon.look()
    assert one.finding.severity is Severity.CRITICAL


async def test_a_restart_neither_repeats_nor_loses_one(daemon: Daemon) -> None:
    await daemon.attacked()
    assert await daemon.hours_left(70) == [["72"]]
    daemon = daemon.restarted()
    assert await daemon.hours_left(69) == [[]]
    daemon = daemon.restarted()
    # It was down at 24 and at 6 hours: once, with the time that is left.
    daemon.clock.at = END - 5 * HOUR
    (one,) = await daemon.look()
    assert one.finding.details["hours_left"] == "5.0"
    assert one.finding.details["reminder_hours"] == "6"
    assert await daemon.hours_left(4, 0.9) == [[], ["1"]]


async def test_what_nobody_could_be_told_is_told_later(daemon: Daemon) -> None:
    await daemon.attacked()
    daemon.works = False
    assert await daemon.hours_left(5.9) == [[]]
    daemon = daemon.restarted()
    assert await daemon.hours_left(4.9) == [["6"]], "with a restart in between, an hour later"


async def test_two_replicas_tell_once(daemon: Daemon) -> None:
    await daemon.attacked()
    other = daemon.restarted()
    assert await daemon.hours_left(20) == [["24"]]
    assert await other.hours_left(20) == [[]]


async def test_a_key_that_cannot_be_read_is_told_by_what_was_known(daemon: Daemon) -> None:
    await daemon.attacked()
    (one,) = await daemon.store.incidents()
    evidence = Evidence(EPOCH, deadline=END)
    await daemon.store.put_incident(replace(one, evidence=evidence), expected_version=1)
    daemon.keys.broken = WorthRetrying("denied")
    assert await daemon.hours_left(23) == [["24"]]


async def test_a_key_that_was_saved_is_not_told_of(daemon: Daemon) -> None:
    await daemon.attacked()
    assert await daemon.hours_left(71) == [["72"]]
    daemon.keys.live = snapshot(KeyState.DISABLED)
    assert await daemon.hours_left(20) == [[]]


async def test_another_deadline_is_told_of_anew(daemon: Daemon) -> None:
    await daemon.attacked()
    assert await daemon.hours_left(0.5) == [["1"]]
    daemon.keys.live = snapshot(KeyState.PENDING_DELETION, deletion_date=END + 6 * HOUR)
    assert await daemon.hours_left(-5.1) == [["1"]]


async def test_without_the_store_nothing_is_remembered_and_nothing_breaks(daemon: Daemon) -> None:
    await daemon.attacked()
    daemon.clock.at = END - HOUR
    made = decision(finding(event_name="KeySeenEnding", details={"reminder_hours": "6",
        "deletion_date": "2026-11-27T09:14:03Z"}))  # fmt: skip

    async def fails(*_: Any, **__: Any) -> Any:
        raise StoreError("locked")

    daemon.store.incident = fails  # type: ignore[method-assign]
    await daemon.incidents.carried_out(made)
    errors = daemon.metrics.registry.get_sample_value(
        "kms_monitor_store_errors_total", {"call": "incident"}
    )
    assert errors == 1


@given(st.lists(st.floats(0, 200), min_size=1, max_size=20))
def test_in_any_order_of_looks_no_reminder_is_told_twice(moments: Iterable[float]) -> None:
    incident = Incident("i", KEY, EPOCH, Severity.HIGH)
    detector = DeletionDeadlineNear(DeadlineOptions(), Knowledge())
    told: list[str] = []
    for left in sorted(moments, reverse=True):
        event = deadline_event(incident, END, END - left * HOUR)
        assert event is not None
        for found in detector.inspect(event):
            told.append(found.details["reminder_hours"])
            made = decision(found, done=(Action("sns", Outcome.DONE),))
            incident = reminded(incident, made, END, EPOCH)
    assert len(told) == len(set(told))
    nearest = min(moments)
    due = {hours for hours in (72, 24, 6, 1) if nearest <= hours - 0.001}  # events have seconds
    assert not due or str(min(due)) in told, "the last one due is never lost"


def test_a_far_deadline_and_many_reminders() -> None:
    incident = Incident("i", KEY, EPOCH, Severity.HIGH)
    assert deadline_event(incident, END, END - 32 * DAY) is None
    one = finding(event_name="KeySeenEnding", details={"reminder_hours": "6"})
    made = decision(one, done=(Action("sns", Outcome.DONE),))
    for number in range(MOST + 5):
        incident = reminded(incident, made, END + number, EPOCH)
    assert len(incident.reminders) == MOST
    assert incident.reminders[-1] == Reminder(6, END + MOST + 4, EPOCH)
