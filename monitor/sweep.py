"""Asking KMS how every key is, instead of waiting to be told.

At the start the daemon looks at all customer managed keys of the allowed places, so that it knows
which ones had been disabled on purpose. A place that cannot be read is reported and tried again;
it does not hold up the others.
"""

import asyncio
import math

import structlog

from monitor.aws import Aws
from monitor.backoff import Backoff
from monitor.clock import Clock
from monitor.errors import Denied, MonitorError, NotWorthRetrying
from monitor.key import KeyRef
from monitor.ledger import Baseline, Origin, Store, StoreError
from monitor.metrics import Metrics
from monitor.repair.baseline import worth_keeping
from monitor.repair.live import LiveKeys

AT_ONCE = 20
"""DescribeKey calls in flight for one place; its quota is 2,000 a second (aws-facts 3.7)."""


class FirstSight:
    """The first look at every key of one account and Region."""

    def __init__(
        self, place: tuple[str, str], aws: Aws, store: Store, clock: Clock, metrics: Metrics
    ) -> None:
        self.account, self.region = place
        self.aws = aws
        self.store = store
        self.metrics = metrics
        self.keys = LiveKeys(aws, clock)
        self.unreadable: list[KeyRef] = []
        self.seen = asyncio.Event()
        self.answered = asyncio.Event()
        """Set once it was seen, or once AWS has said no for good: nobody need wait any more."""
        self.trouble: str | None = "not looked at yet"
        self.log = structlog.get_logger("sweep").bind(account=self.account, region=self.region)

    def problem(self) -> str | None:
        return self.trouble

    async def run(self) -> None:
        """Look until it has succeeded once."""
        backoff = Backoff()
        while not self.seen.is_set():
            try:
                count = await self.look()
            except (MonitorError, StoreError) as error:
                if str(error) != self.trouble:
                    self.log.error("keys cannot be read", problem=str(error))
                self.trouble = str(error)
                if isinstance(error, NotWorthRetrying):
                    self.answered.set()
                await asyncio.sleep(backoff.next())
            else:
                self.log.info("keys read", count=count)
                self.metrics.keys_known.labels(self.account, self.region).set(count)
                self.trouble = None
                self.seen.set()
                self.answered.set()

    async def look(self) -> int:
        """Note the state of every customer managed key. How many there are."""
        client = await self.aws.kms(self.account, self.region)
        limit = asyncio.Semaphore(AT_ONCE)
        count = 0
        self.unreadable.clear()
        async with self.aws.calling("kms", "ListKeys"):
            async for page in client.get_paginator("list_keys").paginate():
                found = [KeyRef.parse(entry["KeyArn"]) for entry in page["Keys"]]
                noted = await asyncio.gather(*(self.note(key, limit) for key in found if key))
                count += sum(noted)
        if self.unreadable and not count:
            raise Denied(f"none of the keys can be read, such as {self.unreadable[0]}")
        return count

    async def note(self, key: KeyRef, limit: asyncio.Semaphore) -> bool:
        async with limit:
            try:
                live = await self.keys.read(key)
            except NotWorthRetrying as error:
                # One key whose policy shuts us out must not keep us from knowing all the others.
                self.log.error("key cannot be read", key=key.arn, problem=str(error))
                self.unreadable.append(key)
                return False
        if not live.customer_managed:
            return False
        if worth_keeping(live.state):
            # Whole seconds, as events have: one later in this second must count as later.
            seen_at = math.floor(live.as_of)
            await self.store.advance(Baseline(key, live.state, seen_at, Origin.SEEN))
        return True
