"""Keys that had to wait: when they are let go, and what is said of them then.

In scope: `monitor.loops.held` over `MemoryStore`. Replaced: KMS, by a key whose state is given; time.
"""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from monitor.baseline import Origin, Register
from monitor.budgets import Budgets
from monitor.contested import Limits, holds_of
from monitor.detector import NoOptions
from monitor.detectors.sweep_findings import KeyDrifted, KeyOtherwise
from monitor.errors import WorthRetrying
from monitor.event import Event
from monitor.finding import Aspect, Finding, Severity
from monitor.incident import Incident
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.knowledge import Knowledge
from monitor.ledger import StoreError
from monitor.loops.held import Held
from monitor.metrics import Metrics
from monitor.stores.memory import MemoryStore
from monitor.testing.fakes import HandClock
from tests.samples import EPOCH, KEY, baseline, snapshot

S = KeyState
WAITS = Incident(
    "a" * 32, KEY, EPOCH - 60, Severity.CRITICAL,
    wrong=frozenset({Aspect.STATE}), damaged_at=EPOCH - 60, caused=S.DISABLED,
    contested_at=EPOCH, held_at=EPOCH, held=frozenset({"state"}),
)  # fmt: skip


class World:
    def __init__(self) -> None:
        self.clock, self.metrics = HandClock(EPOCH), Metrics()
        self.store: Any = MemoryStore(self.clock)
        self.live: KeySnapshot = snapshot(S.DISABLED)
        self.broken: Exception | None = None
        self.told: list[Event] = []
        self.budgets = Budgets(self.store, self.clock, self.metrics, Limits(3, 600))
        keys: Any = self
        self.held = Held(self.store, keys, self.budgets, self.clock, self.metrics, tell=self.take)

    def take(self, event: Event) -> bool:
        self.told.append(event)
        return True

    async def read(self, key: KeyRef) -> KeySnapshot:
        if self.broken:
            raise self.broken
        return self.live

    async def read_parts(
        self, live: KeySnapshot, aspects: object
    ) -> tuple[KeySnapshot, dict[str, str]]:
        return live, {}

    async def waits(self, **changes: Any) -> None:
        await self.store.put_incident(replace(WAITS, **changes), expected_version=0)
        await self.store.spend(holds_of(KEY, "state"), "x", most=9, seconds=1200)

    async def incident(self) -> Incident:
        found: Incident | None = await self.store.incident(KEY)
        assert found is not None
        return found

    def findings(self) -> list[Finding]:
        knowledge = Knowledge()
        detectors: list[Any] = [
            KeyDrifted(NoOptions(), knowledge),
            KeyOtherwise(NoOptions(), knowledge),
        ]
        return [
            found
            for event in self.told
            for detector in detectors
            if (event.event_source, event.event_name) in detector.events
            for found in detector.inspect(event)
        ]


@pytest.fixture
def world() -> World:
    return World()


async def test_nothing_is_said_until_the_window_has_passed(world: World) -> None:
    world.store.right[KEY] = baseline(S.ENABLED, EPOCH - 999)
    await world.waits()
    for _ in range(5):
        await world.held.check()
        world.clock.at += 119
    assert not world.told
    assert (await world.incident()).held_at
    world.clock.at += 10
    await world.held.check()
    assert not (await world.incident()).held_at
    (found,) = world.findings()
    assert found.title == "KMS key may be put back again: Disabled instead of Enabled"
    assert (found.key, found.caused, found.aspect) == (KEY, S.DISABLED, Aspect.STATE)
    await world.held.check()
    assert len(world.told) == 1


async def test_a_second_time_it_is_another_finding(world: World) -> None:
    """Or the ledger would take it for done."""
    await world.waits()
    world.clock.at += 601
    await world.held.check()
    known = await world.incident()
    await world.store.put_incident(
        replace(known, held_at=world.clock.at, held=frozenset({"state"})),
        expected_version=known.version,
    )
    world.clock.at += 601
    await world.held.check()
    first, second = world.findings()
    assert first.finding_id != second.finding_id


async def test_when_a_person_says_so_it_is_at_once(world: World) -> None:
    world.clock.at -= 1
    await world.waits()
    world.clock.at += 2
    known = await world.incident()
    resumed = replace(known, resumed_at=world.clock.at - 0.5)
    await world.store.put_incident(resumed, expected_version=known.version)
    await world.held.check()
    assert len(world.findings()) == 1


async def test_a_key_that_is_right_is_let_go_without_a_word(world: World) -> None:
    world.live = snapshot(S.ENABLED)
    await world.waits()
    world.clock.at += 601
    await world.held.check()
    assert not world.told
    assert not (await world.incident()).held_at


async def test_other_parts_of_a_key_wait_as_well(world: World) -> None:
    known = baseline(S.ENABLED, EPOCH - 999)
    tags = {"tag/owner": Register("payments", EPOCH - 999, Origin.SEEN, EPOCH)}
    world.store.right[KEY] = replace(
        known, registers=known.registers | tags, aspects=frozenset(Aspect)
    )
    world.live = replace(snapshot(S.ENABLED), tags={"owner": "mallory"})
    await world.waits(wrong=frozenset({Aspect.TAGS}), held=frozenset({"tag/owner"}))
    world.clock.at += 601
    await world.held.check()
    (found,) = world.findings()
    assert (found.aspect, found.title) == (Aspect.TAGS, "KMS key may be put back again: its tags")


async def test_a_part_that_is_still_fought_over_keeps_no_other_waiting(world: World) -> None:
    await world.waits(held=frozenset({"state", "alias/payments"}), wrong=frozenset(Aspect))
    world.clock.at += 601
    await world.store.spend(holds_of(KEY, "alias/payments"), "x", most=9, seconds=1200)
    await world.held.check()
    assert [found.aspect for found in world.findings()] == [Aspect.STATE]
    left = await world.incident()
    assert left.held == frozenset({"alias/payments"})
    assert left.held_at


async def test_what_cannot_be_read_waits_on(world: World) -> None:
    await world.waits()
    world.clock.at += 601
    world.broken = WorthRetrying("busy")
    await world.held.check()
    assert (await world.incident()).held_at
    world.broken = None
    await world.held.check()
    assert len(world.told) == 1


async def test_what_cannot_be_compared_waits_on(world: World) -> None:
    async def fail(_: object) -> Any:
        raise StoreError("disk full")

    await world.waits()
    world.clock.at += 601
    world.store.baseline, read = fail, world.store.baseline
    with pytest.raises(StoreError):
        await world.held.check()
    assert (await world.incident()).held_at
    world.store.baseline = read
    await world.held.check()
    assert len(world.told) == 1


async def test_of_two_replicas_one_tells(world: World) -> None:
    await world.waits()
    world.clock.at += 601
    stale = await world.incident()
    await world.held.release(stale, {"state"})
    await world.held.release(stale, {"state"})
    assert len(world.told) == 1


@pytest.mark.looptime
async def test_without_the_store_it_is_tried_again(world: World) -> None:
    async def fail(**_: object) -> Any:
        raise StoreError("disk full")

    world.store.incidents = fail
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(31):
            await world.held.run()
    labels = {"call": "held"}
    assert world.metrics.registry.get_sample_value("kms_monitor_store_errors_total", labels) == 3
