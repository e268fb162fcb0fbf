"""What follows when accounts join or leave while the daemon runs, and at its start.

For each guarded place: a sweep, and metrics of its own. For each account: how our own calls show there. Every
account has tasks of its own, so that none waits for another that is broken.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from msgspec.structs import replace

from monitor.assembly import Parts
from monitor.aws import Aws
from monitor.backoff import Backoff
from monitor.errors import MonitorError
from monitor.guarded import Change, Guarded
from monitor.knowledge import Watched
from monitor.lookouts import Lookouts
from monitor.loops.turns import Turns
from monitor.metrics import Metrics
from monitor.policy import own_form
from monitor.settings_accounts import Account

EVERY = 3600.0
"""Seconds between two questions to an organization."""
SOON = 60.0
"""Seconds until it is asked again, if it could not be."""

Start = Callable[[str, Coroutine[Any, Any, Any]], "asyncio.Task[Any]"]


class Following:
    """Keeps all parts of the daemon to the accounts that are guarded now."""

    def __init__(
        self,
        guarded: Guarded,
        parts: Parts,
        lookouts: Lookouts,
        *,
        aws: Aws,
        metrics: Metrics,
        start: Start,
        problems: dict[str, Callable[[], str | None]],
        trouble: dict[str, str],
    ) -> None:
        """`start` runs a task until the daemon ends; `problems` and `trouble` are for `/readyz`."""
        self.guarded = guarded
        self.parts = parts
        self.lookouts = lookouts
        self.aws = aws
        self.metrics = metrics
        self.start = start
        self.problems = problems
        self.trouble = trouble
        self.turns = Turns()
        self.tasks: dict[str, list[asyncio.Task[Any]]] = {}
        self.log = structlog.get_logger("accounts")

    def begin(self) -> None:
        """Start what belongs to the accounts that are known at the start."""
        for account in self.guarded.accounts.values():
            self.watch_over(account)

    async def run(self) -> None:
        """Ask again every hour, and follow; for ever."""
        while True:
            await asyncio.sleep(SOON if self.guarded.trouble else EVERY)
            self.follow(await self.guarded.refresh())

    def follow(self, change: Change) -> None:
        """Bring every part up to what is guarded now."""
        if not change.joined and not change.left:
            return
        places = self.guarded.places
        pipeline, knowledge = self.parts.pipeline, self.parts.knowledge
        pipeline.rules = replace(pipeline.rules, places=places)
        knowledge.accounts = self.guarded.as_settings.our_accounts
        knowledge.places = places
        self.lookouts.follow(places, roles(change.joined))
        for account in change.left:
            self.leave(account)
        for account in change.joined:
            self.watch_over(account)

    def watch_over(self, account: Account) -> None:
        """Start the tasks of one account."""
        places = [(account.id, region) for region in account.regions]
        escrows = list(self.guarded.as_settings.escrows)
        self.metrics.born(places=places, escrows=escrows)
        tasks = self.tasks[account.id] = []
        for place in places:
            sweep = self.lookouts.sweep_of(place)
            where = f"{account.id} {place[1]}"
            self.problems[f"keys of {where}"] = sweep.problem
            tasks.append(self.start(f"look at the keys of {where}", sweep.run()))
            tasks.append(self.start(f"learn all about the keys of {where}", sweep.drift.run()))
        name = f"learn our own name in {account.id}"
        tasks.append(self.start(name, self.learn_own_name(account)))

    def leave(self, account: Account) -> None:
        """End them, and let nothing be said about the account any more."""
        for task in self.tasks.pop(account.id, ()):
            task.cancel()
        self.trouble.pop(f"identity in {account.id}", None)
        for region in account.regions:
            self.problems.pop(f"keys of {account.id} {region}", None)
        self.metrics.gone([(account.id, region) for region in account.regions])

    async def learn_own_name(self, account: Account) -> None:
        """Ask what AWS calls us there, so that our own calls are recognised."""
        name, backoff = f"identity in {account.id}", Backoff()
        while True:
            try:
                async with self.turns.turn():
                    arn = await self.aws.identity(account.id, account.regions[0])
            except MonitorError as error:
                self.trouble[name] = str(error)
                await asyncio.sleep(backoff.next())
            else:
                self.trouble.pop(name, None)
                self.parts.pipeline.know_as_own(own_form(arn))
                return


def roles(accounts: tuple[Account, ...]) -> Watched:
    """The roles that our rights in these accounts rest on."""
    return Watched(roles=frozenset(one.role_arn for one in accounts if one.role_arn))
