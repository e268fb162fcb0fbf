"""The store, as a repair uses it: a repair goes on without it, an acceptance does not."""

import structlog

from monitor.approval import Approval
from monitor.baseline import Baseline, Origin
from monitor.baselines import Baselines
from monitor.clock import Clock
from monitor.errors import WorthRetrying
from monitor.finding import Finding
from monitor.key import KeyRef, KeySnapshot
from monitor.knowledge import Knowledge
from monitor.ledger import Store, StoreError
from monitor.metrics import Metrics
from monitor.register import Changes
from monitor.store_metrics import StoreCall


class Memory:
    """What is right for keys, and approvals."""

    def __init__(self, store: Store, knowledge: Knowledge, clock: Clock, metrics: Metrics) -> None:
        self.store = store
        self.baselines = Baselines(store, knowledge)
        self.clock = clock
        self.metrics = metrics
        self.log = structlog.get_logger("repair")

    async def known(self, key: KeyRef) -> Baseline | None:
        try:
            return await self.baselines.known(key)
        except StoreError as error:
            self.failed("baseline", error)
            return None

    async def damaged(self, key: KeyRef, changes: Changes, at: float) -> Baseline | None:
        """Note when these were damaged. The baseline, None also without the store."""
        try:
            return await self.baselines.damage(key, changes, at)
        except StoreError as error:
            self.failed("put_baseline", error)
            return await self.known(key)

    async def advance(self, key: KeyRef, changes: Changes, as_of: float, *, tie: bool) -> bool:
        """Make these right; False if later ones stand. Raises `WorthRetrying` without the store."""
        try:
            return await self.baselines.accept(key, changes, as_of, tie=tie)
        except StoreError as error:
            self.failed("put_baseline", error)
            raise WorthRetrying(f"the store cannot be written: {error}") from error

    async def learned(self, key: KeyRef, changes: Changes, as_of: float) -> None:
        """Keep what CloudTrail's history says of the time before."""
        try:
            await self.baselines.accept(key, changes, as_of, origin=Origin.HISTORY)
        except StoreError as error:
            self.failed("put_baseline", error)

    async def sighted(self, live: KeySnapshot) -> None:
        """Take over what was not known of the key until now, and the ids of its grants."""
        try:
            await self.baselines.sighted(live)
        except StoreError as error:
            self.failed("put_baseline", error)

    async def renew(self, live: KeySnapshot) -> None:
        """Keep only the ids that grants have now: what we made of a key is no sight of it."""
        try:
            await self.baselines.renew(live)
        except StoreError as error:
            self.failed("put_baseline", error)

    async def use(self, approval: Approval, finding: Finding) -> bool:
        """Spend the approval; False if it is spent for another change."""
        try:
            return await self.store.use(approval.id, finding.event_id, self.clock.now())
        except StoreError as error:
            self.failed("use", error)
            raise WorthRetrying(f"the store cannot be written: {error}") from error

    def failed(self, call: StoreCall, error: StoreError) -> None:
        self.metrics.store.failed(call)
        self.log.error("store cannot be used", call=call, error=str(error))
