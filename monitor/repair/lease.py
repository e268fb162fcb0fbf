"""One task at a time for one key, or one thing that we see by: in this process by a lock, across replicas by a lease."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4
from weakref import WeakValueDictionary

from monitor.errors import Busy
from monitor.ledger import Claim, Store, StoreError
from monitor.store_metrics import StoreCall

SECONDS: Final = 180.0
"""Longer than any repair may take (`monitor.response`), so that it never runs out under one."""


class Leases:
    """The leases of all that a responder repairs. Without the store the work goes on: `failed` takes note."""

    def __init__(self, store: Store, failed: Callable[[StoreCall, StoreError], None]) -> None:
        self.store = store
        self.failed = failed
        self.locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def working_on(self, name: str, what: str) -> AsyncIterator[None]:
        """Raises `Busy` while another replica has it.

        name: the lease's, see `monitor.ledger`; what: in words, such as `the key`.
        """
        owner = uuid4().hex
        # Kept alive by whoever works or waits, and forgotten with the last of them.
        lock = self.locks.setdefault(name, asyncio.Lock())
        async with lock:
            leased = True
            try:
                grant = await self.store.claim(name, owner=owner, seconds=SECONDS)
            except StoreError as error:
                self.failed("claim", error)
                leased = False
            else:
                if grant.claim is not Claim.GRANTED:
                    raise Busy(f"another replica is working on {what}")
            try:
                yield
            finally:
                if leased:
                    await self.give_back(name, owner)

    async def give_back(self, name: str, owner: str) -> None:
        try:
            await self.store.release(name, owner=owner)
        except StoreError as error:
            self.failed("release", error)
