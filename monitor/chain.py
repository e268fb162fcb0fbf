"""Adds entries to the action log in the store, beside others who do so: replicas, and commands.

The store takes each number once. Whoever comes too late reads what the others wrote, and follows on
that: so all of them make one chain.
"""

import os
import platform
from collections.abc import AsyncIterator
from typing import Final
from uuid import uuid4

from monitor.action_log import LogEntry, following
from monitor.deeds import What, plain
from monitor.ledger import Store, StoreError

TRIES: Final = 100
"""How often an entry is put forward again because others were faster."""
AT_ONCE: Final = 1000
"""Entries read at a time."""


class Chain:
    """The action log as one process writes it. For one task at a time."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.last: LogEntry | None = None
        """The newest entry that we know of."""
        self.known = False
        """Whether anybody looked yet what the newest is."""

    async def add(self, at: float, what: What) -> LogEntry:
        """Write one entry, which has an `id`. Raises `StoreError`.

        After an error it may be there all the same: put forward again, under the same id, it is not
        written twice.
        """
        if not self.known:
            self.last, self.known = await self.store.last_logged(), True
        for _ in range(TRIES):
            entry = following(self.last, at, what)
            if await self.store.append(entry):
                self.last = entry
                return entry
            if (mine := await self.catch_up(what["id"])) is not None:
                return mine
        raise StoreError("others write to the action log without a pause")

    async def catch_up(self, name: str) -> LogEntry | None:
        """Read on to the newest entry. The one of that id, if it is among those that are new."""
        found = None
        async for one in entries(self.store, self.last.number if self.last else 0):
            if one.what.get("id") == name:
                found = one
            self.last = one
        return found


async def entries(store: Store, after: int = 0) -> AsyncIterator[LogEntry]:
    """All entries after that number, oldest first; 0: all there are. Raises `StoreError`."""
    while found := await store.logged(after=after, most=AT_ONCE):
        for one in found:
            yield one
        after = max(after + 1, found[-1].number)


def signed(what: What, by: str) -> What:
    """What was done, with who did it and an id of its own."""
    return {"id": uuid4().hex, "by": plain(by)} | what


def ourselves() -> str:
    """What the daemon calls itself in the log: several may write into one."""
    return f"kms-monitor {platform.node() or 'unknown host'} {os.getpid()}"
