"""Sees whether the escrows have the material of every imported key, before it is needed.

What is found out only when the material is lost is found out too late. Each material is read and
overwritten at once; that it is the right one only KMS could say, but its length and kind are looked at.
"""

import asyncio
from collections import Counter
from contextlib import aclosing

import structlog

from monitor.errors import MonitorError, NotWorthRetrying, WorthRetrying
from monitor.escrow import Wanted
from monitor.key import KeyRef
from monitor.knowledge import Knowledge
from monitor.reimport.bring_back import Reimport
from monitor.reimport.wrapping import misfit

FIRST = 60.0
"""Seconds after the start: until then the sweep has learnt which keys there are."""


class EscrowWatch:
    """Looks again and again at the keys of the places that are guarded by then."""

    def __init__(
        self,
        reimport: Reimport,
        knowledge: Knowledge,
        *,
        seconds: float,
        first: float = FIRST,
    ) -> None:
        self.reimport = reimport
        self.knowledge = knowledge
        self.seconds = seconds
        self.first = first
        self.log = structlog.get_logger("escrow_watch")

    async def run(self) -> None:
        await asyncio.sleep(self.first)
        while True:
            await self.check()
            await asyncio.sleep(self.seconds)

    async def check(self) -> None:
        """One look at all imported keys. A key that cannot be looked at counts as lacking, too."""
        lacking = Counter[tuple[str, str]]()
        imported = [
            key
            for key, one in self.knowledge.keys.items()
            if one.origin == "EXTERNAL" and (key.account, key.region) in self.places
        ]
        for key in sorted(imported):
            try:
                problem = await self.problem(key)
            except MonitorError as error:
                problem = str(error)
            if problem:
                self.log.warning("no escrow for key material", key=key.arn, problem=problem)
                lacking[key.account, key.region] += 1
        for place in self.places:
            self.reimport.metrics.without_escrow.labels(*place).set(lacking[place])

    @property
    def places(self) -> frozenset[tuple[str, str]]:
        """The guarded pairs of account and Region: accounts join and leave."""
        return self.knowledge.places or frozenset()

    async def problem(self, key: KeyRef) -> str:
        """Why the key could not be brought back; "" where it could."""
        live = await self.reimport.imports.look(key)
        for wanted in await self.reimport.all_of(live):
            if problem := await self.lack(wanted, live.spec):
                return problem
        return ""

    async def lack(self, wanted: Wanted, spec: str) -> str:
        problems: dict[str, WorthRetrying | NotWorthRetrying] = {}
        told: list[str] = []
        async with aclosing(self.reimport.escrows.having(wanted, problems)) as having:
            async for name, secret in having:
                fault = misfit(spec, secret)
                if not fault:
                    return ""
                told.append(f"{name}: {fault}")
        told += [f"{name}: {error}" for name, error in problems.items()]
        return "; ".join(told) or f"no escrow has any {wanted}"
