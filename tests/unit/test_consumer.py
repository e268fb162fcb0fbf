"""Deliveries in flight: each settled once, none lost by a crash, a flood of poison or a stop.

In scope: `monitor.consumer`. Replaced: source, journey; time, which is virtual.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from monitor.consumer import ENOUGH, PAUSE, Consumer
from monitor.delivery import Delivery, Disposition
from monitor.metrics import Metrics
from tests.samples import LoopClock

pytestmark = pytest.mark.looptime
DONE, RETRY, REJECT = Disposition.DONE, Disposition.RETRY, Disposition.REJECT


class Source:
    """Hands out deliveries with these bodies, one each `every` seconds, then waits for the stop."""

    name = "queue"

    def __init__(self, *bodies: str, every: float = 0.0, pollers: int = 1) -> None:
        self.bodies = deque(bodies)
        self.every = every
        self.pollers = pollers
        self.polling = self.most_polling = 0
        self.settled: list[tuple[str, Disposition]] = []
        self.bulk: list[str] = []
        self.stopped = asyncio.Event()

    async def deliveries(self) -> AsyncIterator[Delivery]:
        self.polling += 1
        self.most_polling = max(self.most_polling, self.polling)
        try:
            while self.bodies and not self.stopped.is_set():
                text = self.bodies.popleft()
                yield Delivery(text, text, self.name, 0.0)
                await asyncio.sleep(self.every)
            await self.stopped.wait()
        finally:
            self.polling -= 1

    async def settle(self, delivery: Delivery, disposition: Disposition) -> None:
        self.settled.append((delivery.delivery_id, disposition))

    def stop(self) -> None:
        self.stopped.set()

    def wants_another_poller(self) -> bool:
        return self.polling < self.pollers

    def make_room(self, delivery: Delivery) -> None:
        self.bulk.append(delivery.delivery_id)


class Journey:
    """Does what the body's first word says."""

    def __init__(self) -> None:
        self.hold = asyncio.Event()

    async def process(self, delivery: Delivery, make_room: Callable[[], None]) -> Disposition:
        match str(delivery.body).split()[0]:
            case "crash":
                raise RuntimeError("a defect")
            case "poison":
                return REJECT
            case "slow":
                await asyncio.sleep(5)
            case "hold":
                await self.hold.wait()
            case "bulk":
                make_room()
                await self.hold.wait()
        return DONE


class World:
    def __init__(self, *bodies: str, **how: Any) -> None:
        self.source, self.journey, self.metrics = Source(*bodies, **how), Journey(), Metrics()
        self.consumer = Consumer(self.source, self.journey, LoopClock(), self.metrics)

    async def run(self, seconds: float) -> None:
        """Run for so long, then stop; fails if it does not end by itself."""
        running = asyncio.create_task(self.consumer.run())
        await asyncio.sleep(seconds)
        self.consumer.stop()
        async with asyncio.timeout(100):
            await running

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels)


async def test_every_delivery_is_settled_as_the_journey_says() -> None:
    world = World("one", "poison", "two")
    await world.run(1)
    assert dict(world.source.settled) == {"one": DONE, "poison": REJECT, "two": DONE}
    labels = {"source": "queue", "disposition": "done"}
    assert world.sample("deliveries_total", **labels) == 2
    assert world.sample("message_receive_count_count", source="queue") == 3


async def test_a_journey_that_crashes_costs_neither_the_message_nor_the_others() -> None:
    world = World("crash", "one")
    await world.run(1)
    assert dict(world.source.settled) == {"crash": RETRY, "one": DONE}


async def test_deliveries_are_worked_on_side_by_side() -> None:
    world = World(*(f"slow {number}" for number in range(10)))
    await world.run(6)
    assert len(world.source.settled) == 10


async def test_a_stop_waits_for_what_is_in_flight_and_takes_nothing_more() -> None:
    world = World("slow", *(f"later {number}" for number in range(9)), every=1)
    await world.run(1.5)
    assert dict(world.source.settled) == {"later 0": DONE, "slow": DONE}
    assert len(world.source.bodies) == 8


async def test_bulk_is_not_waited_for_but_left_to_the_source() -> None:
    world = World("bulk", "slow")
    await world.run(1)
    assert world.source.bulk == ["bulk"]
    assert world.source.settled == [("slow", DONE)]
    assert not world.consumer.bulk


async def test_bulk_that_is_over_is_forgotten() -> None:
    world = World("bulk")
    world.journey.hold.set()
    await world.run(1)
    assert world.source.settled == [("bulk", DONE)]
    assert not world.consumer.bulk


async def test_most_being_poison_pauses_and_says_so_and_then_goes_on() -> None:
    world = World(*(f"poison {number}" for number in range(ENOUGH + 10)), every=0.1)
    running = asyncio.create_task(world.consumer.run())
    await asyncio.sleep(5)
    assert len(world.source.settled) <= ENOUGH + 1
    assert world.consumer.problem() == "paused: most deliveries are unreadable"
    assert world.sample("consumer_paused") == 1
    await asyncio.sleep(PAUSE)
    assert world.consumer.problem() is None
    assert world.sample("consumer_paused") == 0
    assert len(world.source.settled) == ENOUGH + 10  # judged anew
    world.consumer.stop()
    await running


async def test_all_pollers_pause_not_only_the_one_that_saw_it() -> None:
    many = [f"slow {number}" for number in range(40)] + [
        f"poison {number}" for number in range(400)
    ]
    world = World(*many, every=0.05, pollers=4)
    running = asyncio.create_task(world.consumer.run())
    await asyncio.sleep(10)
    assert world.consumer.problem()
    await asyncio.sleep(PAUSE / 2)
    poisoned = [body for body, disposition in world.source.settled if disposition is REJECT]
    assert len(poisoned) <= ENOUGH + 4  # one more of each poller
    world.consumer.stop()
    await running


@pytest.mark.parametrize(
    "bodies",
    [
        [f"poison {number}" for number in range(ENOUGH - 1)],
        [word for number in range(40) for word in (f"fine {number}", f"poison {number}")],
        [f"crash {number}" for number in range(ENOUGH + 5)],
    ],
)
async def test_too_few_or_not_most_or_only_retried_does_not_pause(bodies: list[str]) -> None:
    world = World(*bodies, every=0.1)
    await world.run(20)
    assert len(world.source.settled) == len(bodies)
    assert world.sample("consumer_paused") == 0


async def test_a_stop_during_the_pause_ends_at_once() -> None:
    world = World(*(f"poison {number}" for number in range(60)), every=0.1)
    loop = asyncio.get_running_loop()
    before = loop.time()
    await world.run(10)
    assert loop.time() - before == pytest.approx(10, abs=0.5)


async def test_more_pollers_are_called_while_there_is_work_up_to_the_sources_wish() -> None:
    world = World(*(f"slow {number}" for number in range(50)), every=0.1, pollers=4)
    await world.run(8)
    assert world.source.most_polling == 4
    assert len(world.source.settled) == 50
    assert world.source.polling == 0


async def test_a_quiet_source_has_one_poller() -> None:
    world = World(pollers=4)
    await world.run(1)
    assert world.source.most_polling == 1
