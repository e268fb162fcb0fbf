"""Takes deliveries from a source, one task for each, and settles them.

If most of what comes is REJECTed, something is wrong with us or with who sends: then nothing more
is taken for a while, rather than moving everything to the dead-letter queue.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
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


class Journey(Protocol):
    async def process(self, delivery: Delivery) -> Disposition: ...


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
        self.tasks: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Take nothing more; `run` ends when what is in flight is settled."""
        self.stopping.set()
        self.source.stop()

    def problem(self) -> str | None:
        """Why nothing is taken at the moment."""
        if self.clock.monotonic() < self.paused_until:
            return "paused: most deliveries are unreadable"
        return None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            async for delivery in self.source.deliveries():
                name = f"handle delivery {delivery.delivery_id} of {self.source.name}"
                task = tasks.create_task(self.handle(delivery), name=name)
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
                await self.pause_if_poisoned()

    async def handle(self, delivery: Delivery) -> None:
        """One delivery from receipt to settlement."""
        log_context = {"delivery": delivery.delivery_id, "source": delivery.source}
        with structlog.contextvars.bound_contextvars(**log_context):
            try:
                disposition = await self.journey.process(delivery)
            except Exception:
                # A defect of ours: the message must not pay for it. It comes again, and at last
                # becomes a dead letter for people to see.
                self.log.exception("delivery broke")
                disposition = Disposition.RETRY
            self.metrics.deliveries.labels(delivery.source, disposition.value).inc()
            self.metrics.receive_count.labels(delivery.source).observe(delivery.receive_count)
            self.rejected.append(disposition is Disposition.REJECT)
            await self.source.settle(delivery, disposition)

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
