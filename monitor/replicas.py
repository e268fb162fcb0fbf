"""What several daemons on one store share: who leads, and what each of them came to know.

What asks AWS by itself (the sweep, the canaries, the silence, the inventory) one replica does for all:
the leader, by a lease that it renews; when it dies, another takes it over. Every replica reads
again and again what the others noted and accepted, so that its detectors judge by all that is known.

Without the store every replica leads: to look twice is better than never.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import uuid4

import structlog

from monitor.baselines import Baselines
from monitor.clock import Clock
from monitor.ledger import Claim, Store, StoreError
from monitor.metrics import Metrics
from monitor.remembrance import Remembrance
from monitor.store_metrics import StoreCall
from monitor.windows import Window, Windows

LEASE: Final = "leader"
LEASE_SECONDS: Final = 30.0
RENEW_SECONDS: Final = 10.0
REFRESH_SECONDS: Final = 30.0
"""Between two looks at what the others noted."""
OVERLAP_SECONDS: Final = 60.0
"""So far the clocks of two replicas may differ, the delay of the store's index included."""


class Replicas:
    """`lead` and `follow` live long."""

    def __init__(
        self,
        store: Store,
        remembrance: Remembrance,
        baselines: Baselines,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.store = store
        self.remembrance = remembrance
        self.baselines = baselines
        self.clock = clock
        self.metrics = metrics
        self.owner = uuid4().hex
        self.leading = asyncio.Event()
        self.until = 0.0
        """When our lease runs out (monotonic), or when we lead without one."""
        self.seen_until = 0.0
        """What changed before that moment is known here (epoch seconds); 0: nothing is yet."""
        self.log = structlog.get_logger("replicas")

    async def begin(self) -> None:
        """Learn all that the others know, and whether one of them leads. Never raises."""
        try:
            await self.store.check()  # so that others know whose lease it is
        except StoreError as error:
            self.failed("check", error)
        await self.refresh()
        await self.stand()

    # -- who leads

    async def lead(self) -> None:
        """Lead, if nobody else does; for ever."""
        while True:
            await self.stand()
            await asyncio.sleep(RENEW_SECONDS)

    async def stand(self) -> None:
        """Renew the lease, or try to get it. Never raises."""
        moment = self.clock.monotonic()
        try:
            mine = await self.hold()
        except StoreError as error:
            self.failed("leader", error)
            # A lease may still be somebody's; when it must have run out nobody can have another.
            mine = self.leading.is_set() or moment >= self.until
        else:
            # Where another leads: how long it is believed to, should the store be away from now on.
            self.until = moment + LEASE_SECONDS
        if mine != self.leading.is_set():
            self.log.info("this replica leads" if mine else "another replica leads")
            self.metrics.replicas.leaderships.inc(mine)
        self.metrics.replicas.leader.set(mine)
        if mine:
            self.leading.set()
        else:
            self.leading.clear()

    async def hold(self) -> bool:
        if await self.store.renew(LEASE, owner=self.owner, seconds=LEASE_SECONDS):
            return True
        grant = await self.store.claim(LEASE, owner=self.owner, seconds=LEASE_SECONDS)
        return grant.claim is Claim.GRANTED

    # -- what the others know

    async def follow(self) -> None:
        """Learn what other replicas note and accept; for ever."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            # What the loops noted goes with the next delivery, but there may be none.
            await self.remembrance.keep()
            await self.refresh()

    async def refresh(self) -> bool:
        """Learn what is new. Never raises; False where the store cannot be read."""
        began = self.clock.now()
        since = max(0.0, self.seen_until - OVERLAP_SECONDS)
        try:
            await self.remembrance.recall(since=since)
            for one in await self.store.baselines(since=since):
                self.baselines.learn(one)
        except StoreError as error:
            self.failed("recall", error)
            return False
        self.seen_until = began
        self.metrics.replicas.last_refresh.set(began)
        return True

    def shared(self) -> "Shared":
        """What the loops need of it."""
        return Shared(self.leading, self.remembrance.windows, self.refresh)

    def failed(self, call: StoreCall, error: StoreError) -> None:
        self.metrics.store.failed(call)
        self.log.error("store cannot be used", call=call, error=str(error))


async def nothing_new() -> bool:
    return True


class Shared:
    """What a loop knows of the other replicas. By itself: that there are none, and that it leads."""

    def __init__(
        self,
        leading: asyncio.Event | None = None,
        windows: Windows | None = None,
        refresh: Callable[[], Awaitable[bool]] = nothing_new,
    ) -> None:
        """`leading` is set while this replica leads. `refresh` learns what is new."""
        self.leading = leading or asyncio.Event()
        self.windows = windows or Windows()
        self.refresh = refresh
        if leading is None:
            self.leading.set()

    def signs(self, of: str, subject: str) -> Window:
        """The signs of life that any replica heard, such as a canary's events."""
        return self.windows.of(of, subject)
