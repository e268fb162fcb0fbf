"""How events of our own come to be judged: by the pipeline, as those from the queue.

Nobody redelivers them, so they are kept here until they are done with. A crash loses them, but not
what they are about: the next look makes the same event again, with the same id.
"""

import asyncio
from typing import Protocol

import structlog

from monitor.backoff import Backoff
from monitor.clock import Clock
from monitor.delivery import Delivery, Disposition
from monitor.event import Event

AT_ONCE = 20
"""Events judged at the same time: a repair may take minutes, and there may be many."""
LONGEST_PAUSE = 600.0
"""Seconds between two tries of what nobody can do just now, such as a repair that AWS denies."""
MOST_SETTLED = 10_000
"""Ids remembered as done; beyond it the oldest is forgotten, and the ledger still knows it."""


class Judge(Protocol):
    """What the road leads to: `monitor.pipeline`."""

    async def judge(self, event: Event, delivery: Delivery) -> Disposition: ...


class OwnRoad:
    """The events of one loop, such as the sweep. `take` hands one in, `run` sees it through."""

    def __init__(self, judge: Judge, clock: Clock, source: str) -> None:
        self.judge = judge
        self.clock = clock
        self.source = source
        self.waiting: set[str] = set()
        self.settled: dict[str, None] = {}
        self.arrived: asyncio.Queue[Event] = asyncio.Queue()
        self.limit = asyncio.Semaphore(AT_ONCE)
        self.log = structlog.get_logger("own").bind(source=source)

    def take(self, event: Event) -> bool:
        """Hand in an event; False if this very one waits already, or is done with."""
        name = event.event_id
        if name in self.waiting or name in self.settled:
            return False
        self.waiting.add(name)
        self.arrived.put_nowait(event)
        return True

    async def run(self) -> None:
        """See everything through that is handed in, for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                event = await self.arrived.get()
                name = f"judge {event.event_name} {event.event_id}"
                tasks.create_task(self.see_through(event), name=name)

    async def once(self) -> int:
        """Judge everything once that was handed in by now. How many of it are not done with.

        Those may be handed in again.
        """
        events = [self.arrived.get_nowait() for _ in range(self.arrived.qsize())]
        now = self.clock.now()
        try:
            done = await asyncio.gather(*(self.try_once(event, now) for event in events))
        finally:
            self.waiting -= {event.event_id for event in events}
        return done.count(False)

    async def see_through(self, event: Event) -> None:
        """Judge one event, again and again if need be, until it is done with."""
        backoff, now = Backoff(first=5, longest=LONGEST_PAUSE), self.clock.now()
        while True:
            if await self.try_once(event, now):
                return
            await asyncio.sleep(backoff.next())

    async def try_once(self, event: Event, handed_in_at: float) -> bool:
        """Judge one event that was handed in then; whether it is done with."""
        name = event.event_id
        delivery = Delivery(name, "", self.source, received_at=handed_in_at)
        with structlog.contextvars.bound_contextvars(delivery=name, source=self.source):
            async with self.limit:
                disposition = await self.judge.judge(event, delivery)
            if disposition is Disposition.RETRY:
                self.log.warning("not done yet", about=event.event_name)
                return False
        self.settle(name)
        return True

    def settle(self, name: str) -> None:
        """It is done with."""
        self.waiting.discard(name)
        self.settled[name] = None
        if len(self.settled) > MOST_SETTLED:
            del self.settled[next(iter(self.settled))]
