"""Keeps a storm of findings from becoming a storm of messages, and loses none of them.

So many messages a minute go out one by one. What comes faster waits a few seconds and goes out together,
as one digest. Whoever waits is answered when the digest is out, not before: a delivery is settled
only after people were told (design.md, behaviour 4).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from monitor.clock import Clock
from monitor.errors import MonitorError, WorthRetrying

T = TypeVar("T")
MOST_TOGETHER = 500
"""In one digest; whoever comes later waits for the next."""


class Batch(Generic[T]):
    """Those who wait for one digest."""

    def __init__(self, first: T) -> None:
        self.items = [first]
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()


class Storm(Generic[T]):
    """One channel's limit."""

    def __init__(self, clock: Clock, *, per_minute: int, seconds: float) -> None:
        """`seconds`: how long a digest is gathered."""
        self.clock = clock
        self.most = float(per_minute)
        self.seconds = seconds
        self.left = self.most
        self.seen = clock.monotonic()
        self.batch: Batch[T] | None = None

    async def send(
        self,
        item: T,
        one: Callable[[T], Awaitable[str]],
        many: Callable[[list[T]], Awaitable[str]],
    ) -> str:
        """What `one` or `many` answered. Raises what they raise."""
        batch = self.batch
        if batch is None and self.take():
            return await one(item)
        if batch is not None and len(batch.items) < MOST_TOGETHER:
            batch.items.append(item)
            return await asyncio.shield(batch.answer)
        batch = self.batch = Batch(item)
        return await self.gather(batch, many)

    async def gather(self, batch: Batch[T], many: Callable[[list[T]], Awaitable[str]]) -> str:
        """Wait for others, send, and answer them all. Whoever came first does it."""
        words = ""
        failed: MonitorError = WorthRetrying("the digest was cut off")
        try:
            await asyncio.sleep(self.seconds)
            self.close(batch)
            words = await many(batch.items)
        except MonitorError as error:
            failed = error
            raise
        finally:
            self.close(batch)
            if words:
                batch.answer.set_result(words)
            else:
                batch.answer.set_exception(failed)
                batch.answer.exception()  # perhaps nobody else waits for it
        return words

    def close(self, batch: Batch[T]) -> None:
        """Nobody joins it any more."""
        if self.batch is batch:
            self.batch = None

    def take(self) -> bool:
        """Whether one more may go out by itself now."""
        now = self.clock.monotonic()
        self.left = min(self.most, self.left + (now - self.seen) * self.most / 60)
        self.seen = now
        if self.left < 1:
            return False
        self.left -= 1
        return True
