"""The way of an event from a bus to the targets, as slow, doubled and out of order as wished.

EventBridge promises CloudTrail's events best effort: late, more than once and in any order
(EventBridge user guide, "Events from AWS services"). The knobs exaggerate that at will.
"""

import asyncio
import heapq
import itertools
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from monitor.simulator.events import EventBridge, Handover, Place
from monitor.simulator.inputs import body_for


class Road(msgspec.Struct):
    """The knobs of the way; they hold for events that set out from now on."""

    delay: tuple[float, float] = (0.0, 0.0)
    """Seconds each event is under way, drawn evenly from this range."""
    duplicates: float = 0.0
    """Probability that an event arrives twice, 0 to 1."""
    disorder: float = 0.0
    """Seconds within which events are shuffled."""


class _Travelling(msgspec.Struct, frozen=True, order=True):
    due: float
    """In the event loop's time."""
    number: int
    place: Place
    event: dict[str, Any]
    forwarded: bool


Send = Callable[[str, str, dict[str, Any], str], Awaitable[bool]]
"""Send a text to the target with this ARN and these parameters, for the rule with that ARN; False if it
is not there, or does not take it."""


class Hop:
    """Events under way. `run` carries them; `settle` waits until none is left."""

    def __init__(
        self,
        bridge: EventBridge,
        *,
        road: Road,
        send: Send,
        rng: random.Random,
        now: Callable[[], float],
    ) -> None:
        self.road = road
        self._bridge = bridge
        self._send = send
        self._rng = rng
        self._now = now
        self._under_way: list[_Travelling] = []
        self._numbers = itertools.count()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def set_out(self, place: Place, event: dict[str, Any], *, forwarded: bool = False) -> None:
        """Put an event on the way to a bus: once, or twice if the duplicates' dice say so."""
        copies = 2 if self._rng.random() < self.road.duplicates else 1
        start = asyncio.get_running_loop().time()
        for _ in range(copies):
            wait = self._rng.uniform(*self.road.delay) + self._rng.uniform(0, self.road.disorder)
            travelling = _Travelling(start + wait, next(self._numbers), place, event, forwarded)
            heapq.heappush(self._under_way, travelling)
        self._idle.clear()
        self._wake.set()

    @property
    def idle(self) -> bool:
        """Whether no event is on its way."""
        return self._idle.is_set()

    async def settle(self) -> None:
        """Wait until every event that is on its way has been delivered."""
        await self._idle.wait()

    async def run(self) -> None:
        """Deliver what is due, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            if not self._under_way:
                self._idle.set()
                await self._wake.wait()
                continue
            wait = self._under_way[0].due - loop.time()
            if wait > 0:
                try:
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                continue
            await self._arrive(heapq.heappop(self._under_way))

    async def _arrive(self, travelling: _Travelling) -> None:
        # Rules and targets count as they are on arrival, not as they were at the start.
        for handover in self._bridge.handovers(travelling.place, travelling.event):
            arn = handover.target["Arn"]
            if ":event-bus/" in arn:
                # An event that came from another bus is not forwarded to a third one.
                if not travelling.forwarded:
                    _, _, _, region, account, name = arn.split(":", 5)
                    bus = (account, region, name.removeprefix("event-bus/"))
                    self.set_out(bus, travelling.event, forwarded=True)
                continue
            await self._deliver(arn, handover)

    async def _deliver(self, arn: str, handover: Handover) -> None:
        rule, target, event = handover.rule, handover.target, handover.event
        body = body_for(target, event, rule_name=rule.name, rule_arn=rule.arn, now=self._now())
        if await self._send(arn, body, target.get("SqsParameters") or {}, rule.arn):
            return
        # A target that is not there is not tried again: its dead-letter queue or nowhere.
        dead_letters = (target.get("DeadLetterConfig") or {}).get("Arn")
        if dead_letters:
            body = json.dumps(event, separators=(",", ":"))
            await self._send(dead_letters, body, {}, rule.arn)
