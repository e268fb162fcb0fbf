"""Lets writing calls go at the rate that AWS takes them, deletions to be cancelled before all others.

To run into a quota costs more than to wait for it: AWS refuses, and every try again is a guess. While a
cancelled deletion waits, or is under way, nothing else is written in that account and Region, but not for longer
than `HOLD_SECONDS`: an enabled key may be needed now, a deletion is a week off at least.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from monitor.clock import Clock
from monitor.errors import WorthRetrying
from monitor.quota import CANCEL, PER_SECOND, Bucket, most

HOLD_SECONDS = 20.0
"""A hundred deletions at the quota's rate."""
QUIET_SECONDS = 0.5
"""Without another deletion, after several: of many keys the messages come in batches."""
MayWrite = Callable[[], str | None]
"""Says why nothing may be written just now; None where it may."""


def always() -> None:
    """Nothing speaks against writing."""


class Place:
    """The writing calls of one account and Region."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.order: dict[str, asyncio.Lock] = {}
        """Who waits for the same quota goes in the order of coming."""
        self.cancels = 0
        self.ended_at = 0.0
        self.calm = asyncio.Event()
        self.calm.set()


class Writes:
    """All of them. Lives on one event loop."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.places: dict[tuple[str, str], Place] = {}

    @asynccontextmanager
    async def turn(
        self, where: tuple[str, str], call: str, may_write: MayWrite = always
    ) -> AsyncIterator[None]:
        """Wait until the call may go; it counts as under way until the end of the block.

        Raises `WorthRetrying` if by then nothing may be written: the kill switch does not wait for
        calls that stand in a line.
        """
        if call not in PER_SECOND:
            yield
            return
        place = self.places.setdefault(where, Place())
        if call != CANCEL:
            await self.token(place, call)
            still_allowed(may_write, call)
            yield
            return
        place.cancels += 1
        place.calm.clear()
        try:
            await self.token(place, call)
            still_allowed(may_write, call)
            yield
        finally:
            place.cancels -= 1
            if not place.cancels:
                self.calm_down(place)

    def calm_down(self, place: Place) -> None:
        """No deletion waits: let the others go, at once, or, of several, once no more come."""
        bucket = place.buckets.get(CANCEL)
        if bucket is None or bucket.tokens >= most(bucket.rate) - 1.0:
            place.calm.set()
            return
        place.ended_at = self.clock.monotonic()
        asyncio.get_running_loop().call_later(QUIET_SECONDS, self.see, place, place.ended_at)

    def see(self, place: Place, ended_at: float) -> None:
        """Whether it has stayed quiet since then."""
        if not place.cancels and place.ended_at == ended_at:
            place.calm.set()

    async def token(self, place: Place, call: str) -> None:
        """Wait for the quota, and for the deletions unless it is one."""
        now = self.clock.monotonic()
        bucket = place.buckets.setdefault(call, Bucket.full(PER_SECOND[call], now))
        until = now if call == CANCEL else now + HOLD_SECONDS
        async with place.order.setdefault(call, asyncio.Lock()):
            # Again and again: meanwhile AWS may have refused another call.
            while (wait := bucket.wait(self.clock.monotonic())) > 0:  # noqa: ASYNC110
                await asyncio.sleep(wait)
            if (left := until - self.clock.monotonic()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await place.calm.wait()
            bucket.take(self.clock.monotonic())

    def throttled(self, where: tuple[str, str], call: str) -> None:
        """AWS has refused a call for its quota."""
        place = self.places.get(where)
        if place is not None and call in place.buckets:
            place.buckets[call].empty(self.clock.monotonic())


def still_allowed(may_write: MayWrite, call: str) -> None:
    if (stopped := may_write()) is not None:
        raise WorthRetrying(f"kms:{call}: not sent: {stopped}")
