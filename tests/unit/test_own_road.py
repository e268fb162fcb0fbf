"""Events of our own: the same again has the same id, and none is dropped before it is done with.

In scope: `monitor.own_event` and `monitor.loops.own_road`, in virtual time. Replaced: the pipeline.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.delivery import Delivery, Disposition
from monitor.detector import OWN
from monitor.event import Event, checked
from monitor.loops.own_road import AT_ONCE, LONGEST_PAUSE, OwnRoad
from monitor.own_event import own_event
from tests.samples import ACCOUNT, ARN, EPOCH, KEY, REGION, LoopClock

PLACE = (ACCOUNT, REGION)
DONE, RETRY = Disposition.DONE, Disposition.RETRY


class Judge:
    """Says RETRY as often as `retries` has it, by event id; each judgement takes a second."""

    def __init__(self) -> None:
        self.retries: dict[str, int] = {}
        self.seen: list[tuple[str, float]] = []
        self.deliveries: list[Delivery] = []
        self.at_once = self.most_at_once = 0

    async def judge(self, event: Event, delivery: Delivery) -> Disposition:
        self.seen.append((event.event_name, asyncio.get_running_loop().time()))
        self.deliveries.append(delivery)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(1)
        self.at_once -= 1
        left = self.retries.get(event.event_name, 0)
        self.retries[event.event_name] = left - 1
        return RETRY if left > 0 else DONE


def made(name: str, **changes: Any) -> Event:
    given: dict[str, Any] = {"at": EPOCH, "about": {"keyId": ARN}, "same": (1,)}
    return own_event(name, PLACE, **(given | changes))


@asynccontextmanager
async def running(judge: Judge) -> AsyncIterator[OwnRoad]:
    road = OwnRoad(judge, LoopClock(), "sweep")
    task = asyncio.create_task(road.run())
    yield road
    assert not task.done()
    task.cancel()


@pytest.mark.looptime
async def test_an_event_is_judged_once() -> None:
    judge = Judge()
    async with running(judge) as road:
        assert road.take(made("a"))
        assert not road.take(made("a"))
        await asyncio.sleep(10)
        assert not road.take(made("a"))
        assert road.take(made("b"))
        await asyncio.sleep(10)
    assert [name for name, _ in judge.seen] == ["a", "b"]
    first = judge.deliveries[0]
    assert (first.source, first.delivery_id) == ("sweep", made("a").event_id)
    assert not road.waiting


@pytest.mark.looptime
async def test_what_cannot_be_done_with_comes_again_ever_more_seldom() -> None:
    judge = Judge()
    judge.retries["a"] = 12
    async with running(judge) as road:
        road.take(made("a"))
        await asyncio.sleep(3 * 3600)
    times = [at for _, at in judge.seen]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == 13
    assert pauses[0] <= 6
    assert max(pauses) <= LONGEST_PAUSE + 1
    assert pauses[-1] > 100
    received = {one.received_at for one in judge.deliveries}
    assert len(received) == 1


@pytest.mark.looptime
async def test_what_waits_holds_up_nothing_new() -> None:
    judge = Judge()
    judge.retries["a"] = 1000
    async with running(judge) as road:
        road.take(made("a"))
        await asyncio.sleep(3600)
        road.take(made("b"))
        await asyncio.sleep(2)
        assert made("b").event_id in road.settled
        assert made("a").event_id in road.waiting


@pytest.mark.looptime
async def test_many_are_judged_at_once_but_not_all() -> None:
    judge = Judge()
    async with running(judge) as road:
        for number in range(3 * AT_ONCE):
            road.take(made("a", same=(number,)))
        await asyncio.sleep(4)
        assert not road.waiting
    assert judge.most_at_once == AT_ONCE


def test_an_event_of_ours_is_an_event() -> None:
    event = checked(made("KeySeenWorse"))
    assert (event.event_source, event.event_name, event.time) == (OWN, "KeySeenWorse", EPOCH)
    assert (event.recipient_account_id, event.aws_region) == PLACE
    assert event.key == KEY
    assert event.request() == {"keyId": ARN}
    assert not event.failed
    assert event.actor.name == "unknown"


SAME = st.tuples(st.text(max_size=5), st.integers() | st.none())


@given(SAME, SAME, st.floats(1e9, 2e9), st.floats(1e9, 2e9))
def test_the_same_has_the_same_id_whenever_it_is_made(
    one: tuple[object, ...], other: tuple[object, ...], at: float, later: float
) -> None:
    def name(same: tuple[object, ...], moment: float) -> str:
        return made("KeySeenWorse", same=same, at=moment).event_id

    assert name(one, at) == name(one, later)
    assert (name(one, at) == name(other, at)) is (one == other)


@pytest.mark.parametrize(
    ("name", "region", "same"),
    [("Other", REGION, 1), ("KeySeenWorse", "us-east-1", 1), ("KeySeenWorse", REGION, 2)],
)
def test_another_has_another_id(name: str, region: str, same: int) -> None:
    other = own_event(name, (ACCOUNT, region), EPOCH, {}, same=(same,))
    assert other.event_id != own_event("KeySeenWorse", PLACE, EPOCH, {}, same=(1,)).event_id


# -- for whoever looks only now and then


@pytest.mark.looptime
async def test_once_judges_all_that_is_there_and_each_once() -> None:
    judge = Judge()
    judge.retries["B"] = 1
    road = OwnRoad(judge, LoopClock(), "sweep")
    for name in ("A", "B", "C"):
        assert road.take(made(name, same=(name,)))
    assert await road.once() == 1
    assert sorted(name for name, _ in judge.seen) == ["A", "B", "C"]
    # What is done with is known; what is not may be found again.
    assert not road.take(made("A", same=("A",)))
    assert road.take(made("B", same=("B",)))
    assert await road.once() == 0
    assert await road.once() == 0


@pytest.mark.looptime
async def test_what_was_ended_in_the_middle_may_be_found_again() -> None:
    judge = Judge()
    road = OwnRoad(judge, LoopClock(), "sweep")
    road.take(made("A"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await road.once()
    assert road.take(made("A"))
    assert await road.once() == 0
