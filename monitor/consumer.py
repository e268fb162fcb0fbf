"""Takes deliveries from a source, one task for each, and settles them.

If most of what comes is REJECTed, something is wrong with us or with who sends: then nothing more
is taken for a while, rather than moving everything to the dead-letter queue.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Protocol

import structlog

from monitor.clock import Clock
from monitor.delivery import Delivery, Disposition
from monitor.metrics import Metrics

WINDOW = 50
"""Deliveries that are looked back upon."""
ENOUGH = 20
"""With fewer than these no judgement is made."""
PAUSE = 30.0
"""Seconds without taking anything; then the next deliveries decide anew."""


class Source(Protocol):
    """Where deliveries come from. Nobody else knows how they are settled."""

    name: str

    def deliveries(self) -> AsyncIterator[Delivery]:
        """Deliveries until `stop` was called; a receive in flight is never cancelled."""
        ...

    async def settle(self, delivery: Delivery, disposition: Disposition) -> None:
        """Delete it, let it come again, or let it go to the dead-letter queue. Never raises."""
        ...

    def stop(self) -> None: ...

    def wants_another_poller(self) -> bool:
        """Whether one more loop over `deliveries` would find work."""
        ...

    def make_room(self, delivery: Delivery) -> None:
        """The delivery is bulk: it must not keep urgent ones from being taken."""
        ...


class Journey(Protocol):
    async def process(self, delivery: Delivery, make_room: Callable[[], None]) -> Disposition:
        """All the way; `make_room` is called once the delivery turns out to be bulk."""
        ...


class Consumer:
    """Owns the task group with one task for each delivery."""

    def __init__(self, source: Source, journey: Journey, clock: Clock, metrics: Metrics) -> None:
        self.source = source
        self.journey = journey
        self.clock = clock
        self.metrics = metrics
        self.log = structlog.get_logger("consumer").bind(source=source.name)
        self.rejected: deque[bool] = deque(maxlen=WINDOW)
        self.paused_until = 0.0
        self.stopping = asyncio.Event()
        self.bulk: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Take nothing more; `run` ends when what is in flight is settled.

        Bulk is not waited for: it is left unsettled, for the source to give back.
        """
        self.stopping.set()
        self.source.stop()
        for task in self.bulk:
            task.cancel()

    def problem(self) -> str | None:
        """Why nothing is taken at the moment."""
        if self.clock.monotonic() < self.paused_until:
            return "paused: most deliveries are unreadable"
        return None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            await self.poll(tasks)

    async def poll(self, tasks: asyncio.TaskGroup) -> None:
        """One poller; it calls for another when there is more than it can take."""
        async for delivery in self.source.deliveries():
            name = f"handle delivery {delivery.delivery_id} of {self.source.name}"
            tasks.create_task(self.handle(delivery), name=name)
            if self.source.wants_another_poller():
                tasks.create_task(self.poll(tasks), name=f"poll {self.source.name} as well")
                await asyncio.sleep(0)  # let it begin, so that it counts before the next is asked
            await self.pause_if_poisoned()

    async def handle(self, delivery: Delivery) -> None:
        """One delivery from receipt to settlement."""
        log_context = {"delivery": delivery.delivery_id, "source": delivery.source}
        with structlog.contextvars.bound_contextvars(**log_context):
            try:
                disposition = await self.journey.process(delivery, partial(self.demote, delivery))
            except Exception:
                # A defect of ours: the message must not pay for it. It comes again, and at last
                # becomes a dead letter for people to see.
                self.log.exception("delivery broke")
                disposition = Disposition.RETRY
            self.metrics.deliveries.labels(delivery.source, disposition.value).inc()
            self.metrics.receive_count.labels(delivery.source).observe(delivery.receive_count)
            self.rejected.append(disposition is Disposition.REJECT)
            await self.source.settle(delivery, disposition)

    def demote(self, delivery: Delivery) -> None:
        """The delivery that the current task handles is bulk."""
        self.source.make_room(delivery)
        task = asyncio.current_task()
        assert task is not None
        self.bulk.add(task)
        task.add_done_callback(self.bulk.discard)

    async def pause_if_poisoned(self) -> None:
        if len(self.rejected) < ENOUGH or sum(self.rejected) * 2 <= len(self.rejected):
            return
        self.log.error("most deliveries are unreadable; pausing", seconds=PAUSE)
        self.paused_until = self.clock.monotonic() + PAUSE
        self.metrics.paused.set(1)
        self.rejected.clear()
        try:
            async with asyncio.timeout(PAUSE):
                await self.stopping.wait()
        except TimeoutError:
            self.metrics.paused.set(0)
