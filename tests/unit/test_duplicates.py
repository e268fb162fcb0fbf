"""The same event by several roads is judged once; a forged twin never hides the real one."""

import asyncio
from typing import Any

import pytest

from monitor.duplicates import LEASE_SECONDS, Duplicates, event_name
from monitor.event import Event
from monitor.ledger import Claim, StoreError
from monitor.metrics import Metrics
from monitor.stores.memory import MemoryStore
from monitor.testing.fakes import HandClock
from tests.samples import ARN, event


class World:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.store = MemoryStore(self.clock)
        self.metrics = Metrics()
        self.duplicates = Duplicates(self.store, self.clock, self.metrics)

    async def judge(self, one: Event, *, settled: bool = True) -> Claim:
        async with self.duplicates.turn(one) as turn:
            turn.settled = settled
            return turn.claim

    def fail(self, call: str) -> None:
        async def fails(*_: object, **__: object) -> Any:
            raise StoreError("disk full")

        setattr(self.store, call, fails)


async def test_what_was_judged_to_the_end_is_not_judged_again() -> None:
    world = World()
    assert await world.judge(event()) is Claim.GRANTED
    assert await world.judge(event()) is Claim.DONE


async def test_what_is_unfinished_is_judged_again() -> None:
    world = World()
    for _ in range(3):
        assert await world.judge(event(), settled=False) is Claim.GRANTED
    with pytest.raises(RuntimeError):
        async with world.duplicates.turn(event()):
            raise RuntimeError
    with pytest.raises(asyncio.CancelledError):
        async with world.duplicates.turn(event()):
            raise asyncio.CancelledError
    assert await world.judge(event()) is Claim.GRANTED


async def test_while_one_judges_another_is_busy_and_its_end_changes_nothing() -> None:
    world = World()
    async with world.duplicates.turn(event()) as first:
        assert await world.judge(event()) is Claim.BUSY
        assert await world.judge(event()) is Claim.BUSY
        first.settled = True
    assert await world.judge(event()) is Claim.DONE


async def test_after_a_crash_the_event_can_be_judged_again() -> None:
    world = World()
    crashed = world.duplicates.turn(event())
    await crashed.__aenter__()
    world.clock.at += LEASE_SECONDS - 1
    assert await world.judge(event()) is Claim.BUSY
    world.clock.at += 2
    assert await world.judge(event()) is Claim.GRANTED


def test_both_records_of_a_call_across_accounts_are_the_same_event() -> None:
    ours = event(sharedEventID="s", eventID="1")
    theirs = event(sharedEventID="s", eventID="2", recipientAccountId="444455556666")
    assert event_name(ours) == event_name(theirs)
    assert event_name(event(userAgent="x")) == event_name(event())


@pytest.mark.parametrize(
    "changes",
    [
        {"eventID": "other"},
        {"eventName": "EnableKey"},
        {"eventSource": "lambda.amazonaws.com"},
        {"resources": [{"ARN": ARN.replace("eu-west-1", "eu-west-2")}]},
        {"resources": [], "responseElements": None, "requestParameters": None},
        {"errorCode": "AccessDenied"},
    ],
)
async def test_a_harmless_record_under_a_real_id_does_not_hide_the_real_one(
    changes: dict[str, Any],
) -> None:
    world = World()
    await world.judge(event(**changes))
    assert await world.judge(event()) is Claim.GRANTED


@pytest.mark.parametrize("call", ["claim", "finish", "release"])
async def test_without_the_store_everybody_may_judge(call: str) -> None:
    world = World()
    world.fail(call)
    assert await world.judge(event(), settled=call != "release") is Claim.GRANTED
    assert world.metrics.registry.get_sample_value(
        "kms_monitor_store_errors_total", {"call": "claim" if call == "claim" else "finish"}
    )
