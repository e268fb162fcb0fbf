"""Keeping incidents: the store, the look at the live key, what is counted, and what is told.

In scope: `monitor.incidents` over `MemoryStore`. Replaced: KMS, by a key whose state is given; time.
"""

from typing import Any, cast

import pytest
from msgspec.structs import replace

from monitor.baseline import Origin, Register
from monitor.decision import Action, Decision, Outcome, Reason, Stage, Verdict
from monitor.detector import NoOptions
from monitor.detectors.key_right_again import KeyRightAgain
from monitor.errors import WorthRetrying
from monitor.event import Event
from monitor.evidence import Evidence, with_failed_uses
from monitor.finding import Aspect, Kind, Severity
from monitor.incident import Incident
from monitor.incident_metrics import MOST_KEYS
from monitor.incidents import GRACE, Incidents
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.knowledge import Knowledge
from monitor.ledger import StoreError
from monitor.metrics import Metrics
from monitor.stores.memory import MemoryStore
from monitor.testing.fakes import HandClock
from tests.samples import (
    ACCOUNT,
    BOB,
    EPOCH,
    KEY,
    KEY_ID,
    REGION,
    baseline,
    decision,
    finding,
    snapshot,
)

S = KeyState
DAY = 86400.0


class Keys:
    """The one live key."""

    def __init__(self) -> None:
        self.live: KeySnapshot = snapshot(S.DISABLED)
        self.broken: Exception | None = None
        self.reads = 0

    async def read(self, key: KeyRef) -> KeySnapshot:
        self.reads += 1
        if self.broken:
            raise self.broken
        assert key == KEY
        return self.live

    async def read_parts(
        self, live: KeySnapshot, aspects: object
    ) -> tuple[KeySnapshot, dict[str, str]]:
        return live, {}


class World:
    def __init__(self) -> None:
        self.clock, self.metrics, self.keys = HandClock(EPOCH + 10), Metrics(), Keys()
        self.store, self.knowledge = MemoryStore(self.clock), Knowledge()
        self.told: list[Event] = []
        keys: Any = self.keys
        self.incidents = Incidents(self.store, keys, self.knowledge, self.clock, self.metrics)
        self.incidents.tell = self.take

    def knows(self, state: KeyState, **values: Any) -> None:
        """How the key should be, and that its parts were damaged just now."""
        known = baseline(state, EPOCH - DAY)
        parts = {
            name: Register(value, EPOCH - DAY, Origin.SEEN, EPOCH) for name, value in values.items()
        }
        self.store.right[KEY] = replace(known, registers=known.registers | parts)

    def take(self, event: Event) -> bool:
        self.told.append(event)
        return True

    async def note(self, made: Decision) -> tuple[Stage | None, bool]:
        """What the finding did, and whether the key has an open incident now."""
        noted = await self.incidents.note(made)
        known = await self.store.incident(KEY)
        stage = noted.incident.stage if noted.incident else None
        return stage, known is not None and known.open

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels)

    @property
    def counted(self) -> list[float | None]:
        """Opened, closed by us, closed by others, open and high."""
        return [
            self.sample("incidents_opened_total"),
            self.sample("incidents_closed_total", by="us"),
            self.sample("incidents_closed_total", by="others"),
            self.sample("open_incidents", severity="high"),
        ]


@pytest.fixture
def world() -> World:
    return World()


def disabled(ended: Outcome = Outcome.WOULD, **finds: Any) -> Decision:
    return decision(finding(**finds), done=(Action("restore_key", ended, "", (), EPOCH + 9),))


def enabled(**finds: Any) -> Decision:
    about = {"kind": Kind.CHANGE, "event_name": "EnableKey", "event_id": "e", "actor": BOB}
    found = finding(**(about | {"event_time": EPOCH + 9} | finds))
    return decision(found, verdict=Verdict.ACCEPT, reason=Reason.ACCEPTED_CHANGE)


async def test_from_the_first_bad_finding_until_the_key_is_right(world: World) -> None:
    assert world.counted == [0, 0, 0, 0]
    assert await world.note(disabled()) == (Stage.OPENED, True)
    assert world.counted == [1, 0, 0, 1]
    assert await world.note(enabled()) == (Stage.UNCHANGED, True), "KMS shows it disabled"
    world.keys.live = snapshot(S.ENABLED)
    assert await world.note(enabled()) == (Stage.CLOSED, False)
    assert world.counted == [1, 0, 1, 0]
    assert world.sample("incident_seconds_sum") == 10


async def test_what_we_put_back_at_once_is_not_looked_at_twice(world: World) -> None:
    assert await world.note(disabled(Outcome.DONE)) == (Stage.CLOSED, False)
    assert world.counted == [1, 1, 0, 0]
    assert world.keys.reads == 0
    assert await world.note(disabled(Outcome.DONE)) == (Stage.CLOSED, False)
    assert world.counted == [1, 1, 0, 0], "a redelivery counts nothing"


async def test_right_is_what_the_baseline_says(world: World) -> None:
    world.knows(S.DISABLED)
    world.keys.live = snapshot(S.PENDING_DELETION, deletion_date=EPOCH + 7 * DAY)
    await world.note(disabled(event_name="ScheduleKeyDeletion", caused=S.PENDING_DELETION))
    world.keys.live = snapshot(S.DISABLED)
    cancelled = finding(kind=Kind.RECOVERY, event_name="CancelKeyDeletion", event_time=EPOCH + 8)
    made = decision(cancelled, verdict=Verdict.TELL, reason=Reason.RECOVERY)
    assert await world.note(made) == (Stage.CLOSED, False)


async def test_late_news_of_a_closed_one_is_looked_into(world: World) -> None:
    await world.note(disabled(Outcome.DONE))
    world.keys.live = snapshot(S.ENABLED)
    late = disabled(event_id="late", event_time=EPOCH + 1, event_name="ScheduleKeyDeletion")
    assert await world.note(late) == (Stage.ESCALATED, False)
    world.keys.live = snapshot(S.DISABLED)
    assert await world.note(disabled(event_id="later")) == (Stage.OPENED, True)
    assert world.counted == [2, 1, 0, 1]


@pytest.mark.parametrize(
    "changes",
    [
        {"finding": finding(key=None)},
        {"verdict": Verdict.DROP, "reason": Reason.ACCOUNT_NOT_ALLOWED},
    ],
)
async def test_what_is_about_no_key_of_ours_is_not_looked_up(world: World, changes: Any) -> None:
    world.store.incident = None  # type: ignore[assignment,method-assign]
    made = decision(**changes)
    assert await world.incidents.note(made) is made


async def test_our_own_call_is_noted_and_dropped(world: World) -> None:
    await world.note(disabled(Outcome.RETRY))
    world.keys.live = snapshot(S.ENABLED)
    own = decision(enabled().finding, verdict=Verdict.DROP, reason=Reason.OWN_CALL)
    assert await world.note(own) == (None, False)
    assert world.counted == [1, 1, 0, 0]


async def test_without_the_store_the_work_goes_on(world: World) -> None:
    async def fails(*_: Any, **__: Any) -> Any:
        raise StoreError("locked")

    world.store.incident = fails  # type: ignore[method-assign]
    made = disabled()
    assert await world.incidents.note(made) is made
    assert world.sample("store_errors_total", call="incident") == 1


async def test_while_kms_cannot_be_asked_it_stays_open(world: World) -> None:
    await world.note(disabled())
    world.keys.broken = WorthRetrying("throttled")
    assert await world.note(enabled()) == (Stage.UNCHANGED, True)
    await world.incidents.check()
    assert world.told == []


async def test_another_replica_was_faster(world: World) -> None:
    """Its finding is kept, and so is ours."""
    await world.note(disabled())
    read, raced = world.store.incident, 0

    async def race(key: KeyRef) -> Incident | None:
        nonlocal raced
        known = await read(key)
        raced += 1
        if raced == 1:
            world.store.incident = read  # type: ignore[method-assign]
            await world.note(disabled(event_id="theirs"))
        return known

    world.store.incident = race  # type: ignore[method-assign]
    await world.note(disabled(event_id="ours"))
    (one,) = await world.store.incidents()
    assert [noted.event_id for noted in one.findings[1:]] == ["theirs", "ours"]


async def test_it_is_not_tried_for_ever(world: World) -> None:
    async def never(*_: Any, **__: Any) -> bool:
        return False

    world.store.put_incident = never  # type: ignore[method-assign]
    made = disabled()
    assert await world.incidents.note(made) is made


# -- the look, again and again


async def test_a_key_that_is_right_for_a_while_is_told_of(world: World) -> None:
    await world.note(disabled())
    await world.incidents.check()
    world.keys.live = snapshot(S.ENABLED)
    await world.incidents.check()
    world.clock.at += GRACE - 1
    await world.incidents.check()
    assert world.told == [], "the message about who did it has its time"
    world.clock.at += 1
    await world.incidents.check()
    (event,) = world.told
    (found,) = KeyRightAgain(NoOptions()).inspect(event)
    made = decision(found, verdict=Verdict.TELL, reason=Reason.RECOVERY)
    assert await world.note(made) == (Stage.CLOSED, False)
    (one,) = await world.store.incidents()
    assert one.closed_by == "nobody knows"
    world.clock.at += GRACE
    await world.incidents.check()
    assert len(world.told) == 1


async def test_a_key_that_is_broken_again_waits_anew(world: World) -> None:
    await world.note(disabled())
    for state in (S.ENABLED, S.DISABLED, S.ENABLED):
        world.keys.live = snapshot(state)
        await world.incidents.check()
        world.clock.at += GRACE - 1
    await world.incidents.check()
    assert world.told == []
    world.clock.at += 1
    await world.incidents.check()
    assert len(world.told) == 1
    world.clock.at += 60
    await world.incidents.check()
    assert len({one.event_id for one in world.told}) == 2, "should the first come to nothing"


async def test_the_gauges_are_shown_after_a_restart(world: World) -> None:
    await world.note(disabled(severity=Severity.HIGH))
    again = World()
    again.incidents.store = world.store
    assert again.counted[3] == 0
    await again.incidents.check()
    assert again.counted[3] == 1


async def test_the_deadline_is_shown_while_the_incident_is_open(world: World) -> None:
    where = {"account": ACCOUNT, "region": REGION, "key_id": KEY_ID}
    name = "key_deletion_deadline_timestamp_seconds"
    end = EPOCH + 7 * DAY
    world.keys.live = snapshot(S.PENDING_DELETION, deletion_date=end)
    await world.incidents.check()
    assert world.sample(name, **where) is None
    await world.note(disabled())
    await world.incidents.check()
    assert world.sample(name, **where) == end
    (one,) = await world.store.incidents()
    closed = Incident(one.id, KEY, one.opened_at, one.severity, closed_at=EPOCH + 20)
    await world.store.put_incident(closed, expected_version=1)
    await world.incidents.check()
    assert world.sample(name, **where) is None


async def test_a_key_has_a_series_of_its_own_while_its_incident_is_open(world: World) -> None:
    name = "key_unsafe_since_timestamp_seconds"
    await world.note(disabled(severity=Severity.HIGH))
    (one,) = await world.store.incidents()
    where = {"account": ACCOUNT, "region": REGION, "key_id": KEY_ID, "incident": one.id[:8]}
    assert world.sample(name, **where, severity="high") == one.opened_at
    worse = disabled(
        severity=Severity.CRITICAL, event_id="second", event_name="ScheduleKeyDeletion"
    )
    await world.note(worse)
    assert world.sample(name, **where, severity="critical") == one.opened_at
    # Not beside the one with its former severity.
    assert world.sample(name, **where, severity="high") is None
    world.incidents.show([])
    assert world.sample(name, **where, severity="critical") is None


def test_an_attack_on_very_many_keys_makes_no_more_series_than_that(world: World) -> None:
    keys = [KeyRef(ACCOUNT, REGION, f"{number:032}") for number in range(MOST_KEYS + 1)]
    found = [Incident(key.key_id, key, EPOCH + 1, Severity.HIGH) for key in keys]
    world.incidents.show(found)
    (family,) = world.metrics.incidents.since.collect()
    assert len(family.samples) == MOST_KEYS


async def test_what_was_learned_from_the_damaged_key_proves_nothing(world: World) -> None:
    changed = finding(event_name="PutKeyPolicy", aspect=Aspect.POLICY, caused=None)
    made = decision(changed, verdict=Verdict.TELL, reason=Reason.NO_REPAIRER)
    assert await world.note(made) == (Stage.OPENED, True)
    world.keys.live = snapshot(S.ENABLED, policy="{}")
    (one,) = await world.store.incidents()
    for learned_at, left in ((EPOCH + 99, {Aspect.POLICY}), (EPOCH - 99, set())):
        world.knows(S.ENABLED)
        known = world.store.right[KEY]
        policy = Register("{}", learned_at, Origin.SEEN)
        world.store.right[KEY] = replace(known, registers={**known.registers, "policy": policy})
        seen = await world.incidents.look(one)
        assert seen is not None
        assert seen.left == left


async def test_it_looks_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = 0

    class EnoughError(Exception):
        pass

    async def sleep(_: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            raise EnoughError

    async def fails(**_: Any) -> Any:
        raise StoreError("locked")

    monkeypatch.setattr("asyncio.sleep", sleep)
    world.store.incidents = fails  # type: ignore[method-assign]
    with pytest.raises(EnoughError):
        await world.incidents.run()
    assert world.sample("store_errors_total", call="incident") == 3


# -- evidence


class Gathering:
    """Says how often it was asked; what is known of failed uses is real."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.asked = 0

    async def gather(self, key: KeyRef, since: float, before: Evidence | None) -> Evidence:
        self.asked += 1
        evidence = Evidence(gathered_at=self.asked, deadline=EPOCH + 7 * DAY)
        return self.refreshed(evidence, key, since)

    def refreshed(self, evidence: Evidence, key: KeyRef, since: float) -> Evidence:
        return with_failed_uses(evidence, self.knowledge.failed_uses.since(key, since))


@pytest.fixture
def gathering(world: World) -> Gathering:
    made: Any = Gathering(world.knowledge)
    world.incidents.gathering = made
    return cast("Gathering", made)


async def kept(world: World) -> Evidence | None:
    (one,) = await world.store.incidents()
    return one.evidence


async def test_evidence_is_gathered_when_it_opens_and_when_it_becomes_worse(
    world: World, gathering: Gathering
) -> None:
    noted = await world.incidents.note(disabled())
    assert noted.incident is not None
    assert noted.incident.evidence == await kept(world) == Evidence(1, deadline=EPOCH + 7 * DAY)
    await world.note(disabled(event_id="again"))
    assert gathering.asked == 1, "a repetition is nothing new"
    await world.note(disabled(event_id="worse", event_name="ScheduleKeyDeletion"))
    assert gathering.asked == 2
    await world.note(enabled())
    assert gathering.asked == 2


async def test_what_we_put_back_at_once_has_evidence_too(
    world: World, gathering: Gathering
) -> None:
    noted = await world.incidents.note(disabled(Outcome.DONE))
    assert noted.incident is not None
    assert noted.incident.stage is Stage.CLOSED
    assert noted.incident.evidence is not None


async def test_it_is_asked_once_however_many_are_faster(world: World, gathering: Gathering) -> None:
    put, lost = world.store.put_incident, 0

    async def race(incident: Incident, *, expected_version: int) -> bool:
        nonlocal lost
        lost += 1
        return lost > 2 and await put(incident, expected_version=expected_version)

    world.store.put_incident = race  # type: ignore[method-assign]
    await world.note(disabled())
    assert gathering.asked == 1


async def test_failed_uses_come_in_while_it_is_open(world: World, gathering: Gathering) -> None:
    await world.note(disabled())
    world.knowledge.failed_uses.note(KEY, "rds.amazonaws.com", EPOCH + 5, "a")
    used = finding(kind=Kind.EVIDENCE, event_name="Decrypt", event_id="a", caused=None)
    noted = await world.incidents.note(
        decision(used, verdict=Verdict.TELL, reason=Reason.EVIDENCE, responders=())
    )
    assert noted.incident is not None
    assert noted.incident.evidence is not None
    assert noted.incident.evidence.failed_calls == 1
    world.knowledge.failed_uses.note(KEY, "rds.amazonaws.com", EPOCH + 6, "b")
    await world.incidents.check()
    found = await kept(world)
    assert found is not None
    assert found.failed_calls == 2, "also of what no finding tells"
    assert gathering.asked == 1
    before = (await world.store.incidents())[0].version
    await world.incidents.check()
    assert (await world.store.incidents())[0].version == before, "nothing new is not written"


async def test_our_own_calls_ask_for_nothing(world: World, gathering: Gathering) -> None:
    await world.note(disabled())
    own = decision(enabled().finding, verdict=Verdict.DROP, reason=Reason.OWN_CALL)
    await world.note(own)
    assert gathering.asked == 1
