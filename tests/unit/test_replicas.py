"""Who leads, and what a replica learns of the others.

In scope: `monitor.replicas` over `MemoryStore`, the loops that wait for their turn, and
`monitor.loops.found`. Replaced: time, KMS, and a store that can be away.
"""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from monitor.baselines import Baselines
from monitor.clock import iso
from monitor.delivery import Delivery
from monitor.event import Event
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.knowledge import Knowledge, Watched
from monitor.ledger import StoreError
from monitor.loops.canary import Canary
from monitor.loops.canary import Pace as CanaryPace
from monitor.loops.found import KEEP, found_by_others, note_found
from monitor.loops.inventory import Inventory
from monitor.loops.silence import Silence
from monitor.loops.sweep import Sweep
from monitor.metrics import Metrics
from monitor.policy import Mode, Rules
from monitor.remembrance import Remembrance
from monitor.replicas import LEASE_SECONDS, OVERLAP_SECONDS, Replicas, Shared
from monitor.stores.memory import MemoryStore
from monitor.testing.fakes import HandClock
from monitor.windows import DAY, Windows
from tests.samples import ACCOUNT, EPOCH, KEY, REGION, event

US = f"arn:aws:sts::{ACCOUNT}:assumed-role/kms-monitor"
RULES = Rules(Mode.ENFORCE, frozenset({(ACCOUNT, REGION)}), own_arns=frozenset({US}))


class Store(MemoryStore):
    """A store that can be away."""

    away = False

    async def renew(self, name: str, *, owner: str, seconds: float) -> bool:
        if self.away:
            raise StoreError("no way there")
        return await super().renew(name, owner=owner, seconds=seconds)

    async def baselines(self, *, since: float = 0.0) -> Any:
        if self.away:
            raise StoreError("no way there")
        return await super().baselines(since=since)


class Rig:
    """Replicas on one store."""

    def __init__(self, count: int = 2) -> None:
        self.clock = HandClock()
        self.store = Store(self.clock)
        self.knowledge = [Knowledge() for _ in range(count)]
        self.all = [
            Replicas(
                self.store,
                Remembrance(known.windows, self.store, metrics := Metrics()),
                Baselines(self.store, known),
                self.clock,
                metrics,
            )
            for known in self.knowledge
        ]

    async def stand(self) -> list[bool]:
        for one in self.all:
            await one.stand()
        return [one.leading.is_set() for one in self.all]


def sample(one: Replicas, name: str) -> float | None:
    return one.metrics.registry.get_sample_value(f"kms_monitor_{name}")


async def test_one_leads_and_goes_on_to_lead() -> None:
    rig = Rig(3)
    for _ in range(10):
        assert await rig.stand() == [True, False, False]
        rig.clock.at += LEASE_SECONDS / 3
    assert [sample(one, "leader") for one in rig.all] == [1, 0, 0]
    assert [sample(one, "leaderships_total") for one in rig.all] == [1, 0, 0]


async def test_a_dead_leader_is_followed_by_another() -> None:
    rig = Rig(3)
    await rig.stand()
    dead = rig.all.pop(0)
    rig.clock.at += LEASE_SECONDS - 1
    assert await rig.stand() == [False, False]
    rig.clock.at += 1
    assert await rig.stand() == [True, False]
    await dead.stand()  # it was not dead after all
    assert not dead.leading.is_set()
    assert sample(dead, "leader") == 0


async def test_without_the_store_each_leads_in_the_end() -> None:
    rig = Rig(2)
    await rig.stand()
    rig.store.away = True
    assert await rig.stand() == [True, False]  # the lease may still be somebody's
    rig.clock.at += LEASE_SECONDS
    assert await rig.stand() == [True, True]
    rig.store.away = False
    assert await rig.stand() == [True, False]


async def test_a_replica_that_starts_without_the_store_leads() -> None:
    rig = Rig(1)
    rig.store.away = True
    await rig.all[0].begin()
    assert rig.all[0].leading.is_set()
    assert not await rig.all[0].refresh()
    failures = rig.all[0].metrics.registry.get_sample_value(
        "kms_monitor_store_errors_total", {"call": "leader"}
    )
    assert failures == 1


async def test_what_one_notes_and_accepts_the_other_learns() -> None:
    rig = Rig(2)
    one, other = rig.all
    await one.begin()
    await other.begin()
    rig.clock.at += 1000
    rig.knowledge[0].windows.of("many_keys", "alice").note("a", EPOCH, "seen", keep=5000)
    await one.remembrance.keep()
    live = KeySnapshot(KEY, KeyState.ENABLED, EPOCH + 1000, tags={"team": "payments"})
    await one.baselines.sighted(live)
    assert rig.knowledge[1].key(KEY) is None
    assert await other.refresh()
    assert rig.knowledge[1].windows.of("many_keys", "alice").find("a") is not None
    learned = rig.knowledge[1].key(KEY)
    assert learned is not None
    assert learned.tags == {"team": "payments"}
    assert sample(other, "last_refresh_timestamp_seconds") == EPOCH + 1000


async def test_only_what_is_new_is_read_but_for_what_may_come_late() -> None:
    rig = Rig(1)
    asked: list[float] = []

    async def baselines(*, since: float = 0.0) -> list[Any]:
        asked.append(since)
        return []

    rig.store.baselines = baselines  # type: ignore[method-assign]
    for _ in range(3):
        await rig.all[0].refresh()
        rig.clock.at += 30
    assert asked == [0.0, EPOCH - OVERLAP_SECONDS, EPOCH + 30 - OVERLAP_SECONDS]


# -- the loops


def follower(windows: Windows | None = None) -> Shared:
    return Shared(asyncio.Event(), windows)


async def test_a_sweep_waits_for_its_turn_and_holds_up_nobody() -> None:
    clock, shared = HandClock(), follower()
    aws: Any = None  # a call would fail
    sweep = Sweep((ACCOUNT, REGION), aws, MemoryStore(clock), clock, Metrics(), shared=shared)
    running = asyncio.create_task(sweep.run())
    await asyncio.wait_for(sweep.answered.wait(), 1)
    assert sweep.problem() is None
    assert not running.done()
    shared.leading.set()
    with pytest.raises(AttributeError):  # now it asks
        await running


def heard(canary: Canary, clock: HandClock, at: float, event_id: str) -> None:
    whole = event(eventName="EnableKey", userIdentity={"arn": f"{US}/pod-1"}, eventID=event_id)
    delivery = Delivery("1", "", "queue", received_at=clock.now())
    canary.heard(replace(whole, event_time=iso(at)), delivery, RULES)


async def test_a_canary_that_came_back_to_another_replica_is_not_lost() -> None:
    clock, told = HandClock(), list[Event]()

    def tell(one: Event) -> bool:
        told.append(one)
        return True

    def made(shared: Shared) -> Canary:
        aws: Any = None
        pace = CanaryPace(300, 900)
        return Canary(KEY, aws, clock, Metrics(), tell=tell, pace=pace, shared=shared)

    theirs, ours = Windows(), Windows()
    leader, other = made(Shared(windows=ours)), made(follower(theirs))
    leader.sent = [EPOCH]
    clock.at += 20
    heard(other, clock, EPOCH, "back")
    assert other.metrics.registry.get_sample_value("kms_monitor_canary_seconds_sum") == 20
    clock.at = EPOCH + 900
    ours.learn(theirs.take_changed())
    leader.learn()
    leader.check()
    assert (leader.sent, told) == ([], [])
    leader.sent = [EPOCH + 300]
    clock.at += 900
    leader.learn()
    leader.check()
    assert [one.event_name for one in told] == ["CanaryLost"]


async def test_who_leads_no_more_waits_for_no_canary() -> None:
    aws: Any = None
    canary = Canary(KEY, aws, HandClock(), Metrics(), tell=lambda _: True)
    canary.sent, canary.lost_since, canary.obstacle = [EPOCH], EPOCH, "denied"
    canary.leave_off()
    assert canary.problem() is None
    assert canary.sent == []


async def test_a_place_that_another_replica_hears_is_not_silent() -> None:
    clock, told = HandClock(), list[Event]()

    def tell(one: Event) -> bool:
        told.append(one)
        return True

    def made(shared: Shared) -> Silence:
        return Silence([(ACCOUNT, REGION)], clock, seconds=800, tell=tell, shared=shared)

    theirs, ours = Windows(), Windows()
    leader, other = made(Shared(windows=ours)), made(follower(theirs))
    for number in range(17):
        clock.at = EPOCH + 50 * number
        delivery = Delivery("1", "", "queue", received_at=clock.at)
        other.heard(event(eventID=f"{number}"), delivery, RULES)
    noted = theirs.take_changed()
    assert [one.at - EPOCH for one in noted] == [0, 100, 200, 300, 400, 500, 600, 700, 800]
    ours.learn(noted)
    assert leader.quiet()
    leader.learn()
    leader.check()
    assert told == []
    clock.at = EPOCH + 1600
    leader.learn()
    leader.check()
    assert [one.event_name for one in told] == ["Silent"]


# -- the inventory


OTHER = KeyRef("444455556666", "eu-west-1", "other")
FOUND = Watched(
    trails=frozenset({f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/one", "arn:aws:s:r:2:t"}),
    buckets=frozenset({"arn:aws:s3:::logs"}),
    keys={KEY: "the queue kms-guard", OTHER: "the trail one"},
)


def test_what_was_found_comes_back_as_it_was() -> None:
    before, after = Windows(), Windows()
    note_found(before, FOUND, EPOCH)
    after.learn(before.take_changed())
    assert found_by_others(after) == FOUND
    assert found_by_others(Windows()) == Watched()


def test_what_is_found_again_is_written_once_a_day_and_stays() -> None:
    windows = Windows()
    note_found(windows, FOUND, EPOCH)
    assert len(windows.take_changed()) == 5
    note_found(windows, FOUND, EPOCH + DAY - 1)
    assert windows.take_changed() == []
    note_found(windows, FOUND, EPOCH + DAY)
    assert len(windows.take_changed()) == 5
    windows.forget(EPOCH + DAY + KEEP)
    assert found_by_others(windows) == FOUND
    windows.forget(EPOCH + DAY + KEEP + 1)
    assert found_by_others(windows) == Watched()


async def test_who_does_not_lead_learns_what_the_leader_found() -> None:
    windows, knowledge = Windows(), Knowledge(Watched(topics=frozenset({"arn:aws:sns:r:1:t"})))
    note_found(windows, FOUND, EPOCH)
    aws: Any = None  # a call would fail
    inventory = Inventory(
        aws,
        HandClock(),
        knowledge,
        places=[(ACCOUNT, REGION)],
        queues=[],
        topics=[],
        tell=lambda _: True,
        shared=follower(windows),
    )
    running = asyncio.create_task(inventory.run())
    await asyncio.sleep(0.01)
    assert knowledge.watched == FOUND.joined(Watched(topics=frozenset({"arn:aws:sns:r:1:t"})))
    assert not running.done()
    running.cancel()
