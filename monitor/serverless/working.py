"""Works through the deliveries of one invocation, and says what became of each.

They go the road of all deliveries: `monitor.consumer` hands each to the pipeline, and settles it
here. Nothing is begun that there is no time for, and what is not done in time is given back: it counts
as RETRY, and so does all that was never begun.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
import structlog

from monitor.books import Books
from monitor.clock import Clock
from monitor.consumer import Consumer, Journey
from monitor.delivery import Delivery, Disposition, worst
from monitor.metrics import Metrics
from monitor.serverless.time_left import TimeLeft
from monitor.serverless.triggers import Batch, Item

AT_ONCE: Final = 20
"""Deliveries worked on at the same time."""


class Result(msgspec.Struct, frozen=True):
    """What became of one item."""

    item: Item
    disposition: Disposition


class Receipts:
    """The source that the consumer settles with: it only notes what is to become of each delivery."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.noted: dict[int, Disposition] = {}
        """By the delivery's identity: two of one batch may have the same id."""

    async def deliveries(self) -> AsyncIterator[Delivery]:
        return
        yield  # makes it a generator

    async def settle(self, delivery: Delivery, disposition: Disposition) -> None:
        self.noted[id(delivery)] = disposition

    def stop(self) -> None:
        return

    def wants_another_poller(self) -> bool:
        return False

    def make_room(self, delivery: Delivery) -> None:
        """Nothing else is waited for."""


class Working:
    """One batch, from recognition to the results."""

    def __init__(
        self,
        batch: Batch,
        journey: Journey,
        *,
        books: Books,
        clock: Clock,
        metrics: Metrics,
        time: TimeLeft,
    ) -> None:
        self.batch = batch
        self.books = books
        self.metrics = metrics
        self.time = time
        self.receipts = Receipts(batch.trigger.value)
        self.consumer = Consumer(self.receipts, journey, clock, metrics)
        self.unbegun = 0
        """Deliveries that there was no time for."""
        self.limit = asyncio.Semaphore(AT_ONCE)
        self.log = structlog.get_logger("function")

    async def results(self) -> list[Result]:
        """Of every item, in the order of the batch. Never raises."""
        lanes: dict[str, list[Item]] = {}
        for number, item in enumerate(self.batch.items):
            lanes.setdefault(item.group or f"item {number}", []).append(item)
        tasks = [
            asyncio.create_task(self.lane(items), name=f"do {name} of {self.batch.trigger}")
            for name, items in lanes.items()
        ]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self.time.left)
            for task in late:
                self.log.warning("not finished in time, giving back", task=task.get_name())
                task.cancel()
            # A repair that is ended gives its leases back first.
            await asyncio.gather(*tasks, return_exceptions=True)
        if self.unbegun:
            self.log.warning("no time left, giving back", deliveries=self.unbegun)
        return [Result(item, self.disposition(item)) for item in self.batch.items]

    async def lane(self, items: Sequence[Item]) -> None:
        """One after the other; after one that is to come again no other of its group may be done."""
        for item in items:
            await asyncio.gather(*(self.deliver(item, one) for one in item.deliveries))
            if self.disposition(item) is not Disposition.DONE:
                return

    async def deliver(self, item: Item, delivery: Delivery) -> None:
        async with self.limit:
            if not self.time.may_begin:
                self.unbegun += 1
                return
            self.received(delivery)
            if item.damage is not None:
                (disposition,) = self.books.unreadable(delivery, [item.damage])
                self.metrics.deliveries.labels(delivery.source, disposition.value).inc()
                await self.receipts.settle(delivery, disposition)
            else:
                await self.consumer.handle(delivery)

    def received(self, delivery: Delivery) -> None:
        """Count it, and how long it was on its way to us."""
        self.metrics.received.labels(delivery.source).inc()
        if delivery.sent_at is not None:
            late = max(0.0, delivery.received_at - delivery.sent_at)
            self.metrics.message_age.labels(delivery.source).observe(late)

    def disposition(self, item: Item) -> Disposition:
        return worst([
            self.receipts.noted.get(id(one), Disposition.RETRY) for one in item.deliveries
        ])  # fmt: skip
