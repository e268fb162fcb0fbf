"""Keeps count of repairs, so that no fight and no fault of ours goes on for ever.

What the numbers mean decides `monitor.contested`; here is what that needs: the store, and one turn
after the other for each key, so that of many messages about it none acts on a count that is out of
date. Only repairs that sent calls are counted: no forged message can use a budget up. Without the store
the repair goes on.

Across replicas the count may be exceeded by one for each further replica: a lease on the key, which
the repairer takes, keeps them from working on it at once, but not from counting before.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import uuid4
from weakref import WeakValueDictionary

import structlog
from msgspec.structs import replace

from monitor.clock import Clock
from monitor.contested import (
    HOUR,
    Limits,
    Spent,
    holds_of,
    parts_of,
    repairs_in,
    repairs_of,
    times,
    used_up,
    was_held_back,
)
from monitor.decision import Action, Budget, Decision
from monitor.errors import WorthRetrying
from monitor.finding import Finding, Severity
from monitor.key import KeyRef
from monitor.ledger import Store, StoreError
from monitor.metrics import Metrics
from monitor.store_metrics import StoreCall

MOST = 1_000_000
"""More than anybody counts: what is only to be remembered is never refused."""


class Budgets:
    """How often keys were put back."""

    def __init__(
        self, store: Store, clock: Clock, metrics: Metrics, limits: Limits | None = None
    ) -> None:
        self.store = store
        self.clock = clock
        self.metrics = metrics
        self.limits = limits or Limits()
        self.locks: WeakValueDictionary[KeyRef, asyncio.Lock] = WeakValueDictionary()
        self.under_way: Counter[str] = Counter()
        """Repairs that are not counted yet, by account."""
        self.log = structlog.get_logger("budgets")

    @asynccontextmanager
    async def turn(self, key: KeyRef, seconds: float) -> AsyncIterator[None]:
        """The only one in this process to repair the key.

        Raises `WorthRetrying` if the others do not end within so many seconds.
        """
        # Kept alive by whoever works or waits, and forgotten with the last of them.
        lock = self.locks.setdefault(key, asyncio.Lock())
        try:
            async with asyncio.timeout(seconds):
                await lock.acquire()
        except TimeoutError as error:
            raise WorthRetrying("the key is still being worked on for other news of it") from error
        self.under_way[key.account] += 1
        try:
            yield
        finally:
            self.under_way[key.account] -= 1
            lock.release()

    async def limit(self, decision: Decision, key: KeyRef) -> Decision:
        """The decision, and whether its repair may only cancel a deletion. Within `turn`."""
        if decision.dry_run:
            return decision
        try:
            budget = await self.refusing(key, parts_of(decision.finding))
        except StoreError as error:
            self.store_failed("spent", error)
            return decision
        return replace(decision, contested=budget is not None, budget=budget)

    async def refusing(self, key: KeyRef, parts: Iterable[str]) -> Budget | None:
        """The budget that forbids to put any of these parts back now. Raises `StoreError`."""
        incident = await self.store.incident(key)
        # What was before a person said to go on counts no more.
        since = self.clock.now() - (incident.resumed_at if incident else 0.0)
        others = max(0, self.under_way[key.account] - 1)
        in_account = others + await self.store.spent(repairs_in(key.account), seconds=HOUR)
        found = [
            used_up(await self.spent(key, part, since, in_account), self.limits) for part in parts
        ]
        return min((one for one in found if one), key=list(Budget).index, default=None)

    async def spent(self, key: KeyRef, part: str, since: float, in_account: int) -> Spent:
        window = self.limits.window

        async def count(budget: str, seconds: float) -> int:
            return await self.store.spent(budget, seconds=min(seconds, since))

        return Spent(
            repairs=await count(repairs_of(key, part), window),
            held=await count(holds_of(key, part), window) > 0,
            on_trial=await count(holds_of(key, part), 2 * window) > 0,
            in_account=in_account,
        )

    async def count(self, decision: Decision, key: KeyRef, since: float) -> Decision:
        """Note what the repair has used up. `contested` stays only if it kept something undone.

        `since`: what was done before that moment (epoch seconds) was counted then.
        """
        fresh = [action for action in decision.done if action.finished_at >= since]
        try:
            for action in fresh:
                await self.spend(decision.finding, key, action)
        except StoreError as error:
            self.store_failed("spend", error)
        if decision.budget is None or not was_held_back(decision.done):
            return replace(decision, contested=False, budget=None)
        if was_held_back(fresh):
            await self.hold(decision, key)
        # Whoever fights for a key is worse news than any single call.
        return replace(decision, finding=replace(decision.finding, severity=Severity.CRITICAL))

    async def spend(self, finding: Finding, key: KeyRef, action: Action) -> None:
        """Note one repair, as many times as it put something back."""
        parts = parts_of(finding)
        budgets = [*(repairs_of(key, part) for part in parts), repairs_in(key.account)]
        for number in range(times(action, parts)):
            # Told of again, it is the same repair; tried again, it is another one.
            use = f"{finding.finding_id}|{action.responder}|{action.finished_at}|{number}"
            for budget in budgets:
                await self.store.spend(
                    budget, use, most=MOST, seconds=max(HOUR, self.limits.window)
                )

    async def hold(self, decision: Decision, key: KeyRef) -> None:
        """Count and log it, and remember when the key became contested."""
        assert decision.budget is not None
        self.metrics.budget_refusals.labels(decision.budget.value).inc()
        self.log.warning(
            "key is not put back",
            key=key.arn,
            budget=decision.budget.value,
            finding=decision.finding.finding_id,
            actor=decision.finding.actor.name,
        )
        if decision.budget is not Budget.KEY:
            return
        window = self.limits.window
        try:
            for name in (holds_of(key, part) for part in parts_of(decision.finding)):
                if not await self.store.spent(name, seconds=window):
                    await self.store.spend(name, uuid4().hex, most=MOST, seconds=2 * window)
        except StoreError as error:
            self.store_failed("spend", error)

    def store_failed(self, call: StoreCall, error: StoreError) -> None:
        self.metrics.store.failed(call)
        self.log.error("store cannot be used", call=call, error=str(error))
