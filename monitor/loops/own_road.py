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

    async def see_through(self, event: Event) -> None:
        """Judge one event, again and again if need be, until it is done with."""
        name, backoff = event.event_id, Backoff(first=5, longest=LONGEST_PAUSE)
        delivery = Delivery(name, "", self.source, received_at=self.clock.now())
        with structlog.contextvars.bound_contextvars(delivery=name, source=self.source):
            while True:
                async with self.limit:
                    disposition = await self.judge.judge(event, delivery)
                if disposition is not Disposition.RETRY:
                    break
                self.log.warning("not done yet", about=event.event_name)
                await asyncio.sleep(backoff.next())
        self.waiting.discard(name)
        self.settled[name] = None
        if len(self.settled) > MOST_SETTLED:
            del self.settled[next(iter(self.settled))]
