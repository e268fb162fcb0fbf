"""One task at a time for one key: in this process by a lock, across replicas by a lease."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4
from weakref import WeakValueDictionary

from monitor.errors import WorthRetrying
from monitor.key import KeyRef
from monitor.ledger import Claim, Store, StoreError, key_lease

SECONDS: Final = 180.0
"""Longer than any repair may take (`monitor.response`), so that it never runs out under one."""


class KeyLeases:
    """The leases of keys. Without the store the work goes on: `failed` takes note."""

    def __init__(self, store: Store, failed: Callable[[str, StoreError], None]) -> None:
        self.store = store
        self.failed = failed
        self.locks: WeakValueDictionary[KeyRef, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def working_on(self, key: KeyRef) -> AsyncIterator[None]:
        """Raises `WorthRetrying` while another replica has the key."""
        owner = uuid4().hex
        # Kept alive by whoever works or waits, and forgotten with the last of them.
        lock = self.locks.setdefault(key, asyncio.Lock())
        async with lock:
            leased = True
            try:
                grant = await self.store.claim(key_lease(key), owner=owner, seconds=SECONDS)
            except StoreError as error:
                self.failed("claim", error)
                leased = False
            else:
                if grant.claim is not Claim.GRANTED:
                    raise WorthRetrying("another replica is working on the key")
            try:
                yield
            finally:
                if leased:
                    await self.give_back(key, owner)

    async def give_back(self, key: KeyRef, owner: str) -> None:
        try:
            await self.store.release(key_lease(key), owner=owner)
        except StoreError as error:
            self.failed("release", error)
