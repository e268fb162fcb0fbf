"""Who may begin now, where hundreds of accounts and Regions want to at the same time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

AT_ONCE = 16
LONGEST = 20.0
"""Seconds after which a turn goes to the next, whether its work is done or not.

One that hangs, or is throttled for long, goes on by itself and holds up nobody.
"""

T = TypeVar("T")
R = TypeVar("R")


class Turns:
    """So many at once. Not for repairs, which never wait for others."""

    def __init__(self, at_once: int = AT_ONCE, longest: float = LONGEST) -> None:
        self.free = asyncio.Semaphore(at_once)
        self.longest = longest

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        await self.free.acquire()
        early = asyncio.get_running_loop().call_later(self.longest, self.free.release)
        try:
            yield
        finally:
            if early.when() > asyncio.get_running_loop().time():
                early.cancel()
                self.free.release()

    async def each(self, things: Iterable[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
        """Do the work for all of them, each in its turn; what came of it, in their order."""

        async def one(thing: T) -> R:
            async with self.turn():
                return await work(thing)

        return await asyncio.gather(*map(one, things))
