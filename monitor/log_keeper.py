"""Keeps the action log of the daemon: in order, soon after each deed, and never in a repair's way.

What was done is handed in by `note`, which does not wait, and written by `flush`. `monitor.response`
does both after each action and before the ledger has it as done: so a crash may log an action twice,
but never leaves out one that was finished. Without the store entries wait here, and are written
later and marked `late`.
"""

import asyncio
from collections import deque
from typing import Final

import structlog

from monitor.action_log import LogEntry, faults
from monitor.chain import Chain, entries, ourselves, signed
from monitor.clock import Clock
from monitor.deeds import Deed, What, lost
from monitor.ledger import Store, StoreError
from monitor.metrics import Metrics

PATIENCE: Final = 5.0
"""Seconds that whoever acted waits for the store before the entry is left to `run`."""
EVERY: Final = 10.0
"""Seconds between two tries to write what waits."""
ANNOUNCED: Final = 3600.0
"""Seconds between two log lines that say which entry is the newest."""
MOST_WAITING: Final = 10_000
"""Entries kept while the store cannot be used; beyond it the oldest are lost, and counted."""
MOST_SAID: Final = 1000
"""Findings of which is remembered how they ended."""


class LogKeeper:
    """One for each daemon. `note` and `flush` are called by whoever acts, `run` lives long."""

    def __init__(self, store: Store, clock: Clock, metrics: Metrics, by: str = "") -> None:
        self.store = store
        self.clock = clock
        self.metrics = metrics.action_log
        self.store_failed = metrics.store.failed
        self.by = by or ourselves()
        self.chain = Chain(store)
        self.waiting: deque[tuple[float, What]] = deque()
        self.writing = asyncio.Lock()
        self.lost = 0
        self.said: dict[str, str] = {}
        """How what was done about each finding ended; the order is that of use."""
        self.audited: LogEntry | None = None
        """The newest entry that was found to be right."""
        self.log = structlog.get_logger("action_log")

    def note(self, what: What) -> None:
        """This was done just now."""
        if len(self.waiting) >= MOST_WAITING:
            self.waiting.popleft()
            self.lost += 1
            self.metrics.lost.inc()
        self.waiting.append((self.clock.now(), signed(what, self.by)))
        self.metrics.waiting.set(len(self.waiting))

    async def keep(self, what: What | None) -> None:
        """Note and write it; None: there is nothing to say. Never raises.

        What sent nothing and ended as the time before is not said again: a repair that AWS denies is
        tried for days.
        """
        if what is None or self.said_before(what):
            return
        self.note(what)
        await self.flush()

    def said_before(self, what: What) -> bool:
        about = f"{what.get('finding')} {what.get('responder')}"
        ended = f"{what['deed']} {what.get('outcome')}"
        before = self.said.pop(about, "")
        self.said[about] = ended
        if len(self.said) > MOST_SAID:
            del self.said[next(iter(self.said))]
        return before == ended and not what.get("calls")

    async def flush(self, seconds: float = PATIENCE) -> None:
        """Write all that waits, but do not wait longer than that. Never raises."""
        try:
            async with asyncio.timeout(seconds), self.writing:
                await self.write()
        except (StoreError, TimeoutError) as error:
            self.store_failed("log")
            self.log.error("store cannot be used", call="log", error=str(error) or "too slow")
            for _, what in self.waiting:
                what["late"] = True
        finally:
            self.metrics.waiting.set(len(self.waiting))

    async def write(self) -> None:
        while self.lost or self.waiting:
            if self.lost:
                gone, what = self.lost, signed(lost(self.lost), self.by)
                await self.chain.add(self.clock.now(), what)
                self.lost -= gone
                deed = Deed.LOST.value
            else:
                at, what = self.waiting[0]
                await self.chain.add(at, what)
                # Its place may have been taken meanwhile: beyond the most that is kept the oldest goes.
                if self.waiting and self.waiting[0][1] is what:
                    self.waiting.popleft()
                deed = what["deed"]
            self.metrics.entries.labels(deed).inc()
        if self.chain.last is not None:
            self.metrics.number.set(self.chain.last.number)

    async def run(self) -> None:
        """Write what still waits, audit the log, and say which entry is the newest; for ever."""
        announce_at = 0.0
        while True:
            if self.waiting or self.lost:
                await self.flush()
            if self.clock.monotonic() >= announce_at:
                announce_at = self.clock.monotonic() + ANNOUNCED
                await self.audit()
            await asyncio.sleep(EVERY)

    async def audit(self) -> None:
        """Read what is new in the log, see that it is one chain, and say where that ends.

        The first time after a start it is the whole log.
        """
        try:
            found = await self.read_on()
        except StoreError as error:
            self.store_failed("log")
            self.log.error("store cannot be used", call="log", error=str(error))
            return
        if found:
            self.metrics.faults.inc(len(found))
            self.log.critical("action log was tampered with", faults=found[:10], count=len(found))
        newest = self.audited
        if newest is not None:
            self.metrics.number.set(newest.number)
            self.log.info("action log", number=newest.number, hash=newest.hash)

    async def read_on(self) -> list[str]:
        """What is wrong with the entries since the last audit, or with the last one seen then."""
        last, found = self.audited, list[str]()
        if last is not None and await self.store.logged(after=last.number - 1, most=1) != [last]:
            found.append(f"entry {last.number} is gone, or is another")
            last = None  # from the beginning: people want to know where it breaks
        async for one in entries(self.store, last.number if last else 0):
            found += faults([one], last)
            last = one
        self.audited = last
        return found
