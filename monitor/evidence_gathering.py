"""Gathers what shows how much the loss of a key hurts: asks KMS, briefly, and what is known.

Only after the repair, and with few calls at a time: keys that are yet to be put back need the same
quota. A part that cannot be had says why, and holds up nothing for longer than `PATIENCE`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec.structs import replace

from monitor.aws import Aws
from monitor.clock import Clock
from monitor.errors import MonitorError
from monitor.evidence import LONGEST, MOST_NAMES, Evidence, LastUse, with_failed_uses
from monitor.key import KeyRef
from monitor.knowledge import Knowledge
from monitor.metrics import Metrics
from monitor.parameters import short

PATIENCE: Final = 3.0
"""Seconds for all parts together."""
AT_ONCE: Final = 2
"""Questions that KMS is asked at the same time."""
PAGE: Final = 100
"""Grants and aliases that are read where the baseline does not know them; more are not counted."""


class Gathering:
    """One for the daemon."""

    def __init__(self, aws: Aws, knowledge: Knowledge, clock: Clock, metrics: Metrics) -> None:
        self.aws = aws
        self.knowledge = knowledge
        self.clock = clock
        self.metrics = metrics.incidents
        self.limit = asyncio.Semaphore(AT_ONCE)

    async def gather(self, key: KeyRef, since: float, before: Evidence | None = None) -> Evidence:
        """All about one key whose incident opened at `since`. Never raises.

        `before`: what was gathered earlier, of which the failed uses still count.
        """
        parts: dict[str, Callable[[KeyRef], Awaitable[dict[str, object]]]] = {
            "last_use": self.last_use,
            "deadline": self.deadline,
            "grants": self.grants,
            "aliases": self.aliases,
        }
        until = self.clock.monotonic() + PATIENCE
        found = await asyncio.gather(*(self.part(read, key, until) for read in parts.values()))
        known: dict[str, object] = {}
        missing: dict[str, str] = {}
        for part, (members, why) in zip(parts, found, strict=True):
            self.metrics.evidence.labels(part, "missing" if why else "found").inc()
            known |= members
            if why:
                missing[part] = short(why, LONGEST)
        evidence = Evidence(
            gathered_at=self.clock.now(),
            encrypts=short(self.knowledge.watched.keys.get(key), LONGEST),
            missing=missing,
        )
        if before is not None:
            evidence = replace(
                evidence,
                failed_uses=before.failed_uses,
                failed_users=before.failed_users,
                failed_calls=before.failed_calls,
            )
        return self.refreshed(replace(evidence, **known), key, since)

    def refreshed(self, evidence: Evidence, key: KeyRef, since: float) -> Evidence:
        """The same, with the failed uses that are known by now. Asks nobody."""
        return with_failed_uses(evidence, self.knowledge.failed_uses.since(key, since))

    async def part(
        self, read: Callable[[KeyRef], Awaitable[dict[str, object]]], key: KeyRef, until: float
    ) -> tuple[dict[str, object], str]:
        """The members of `Evidence` that one part fills, and why it cannot; one of them is empty."""
        try:
            async with asyncio.timeout(max(0.0, until - self.clock.monotonic())), self.limit:
                return await read(key), ""
        except MonitorError as error:
            return {}, str(error)
        except TimeoutError:
            return {}, f"not within {PATIENCE:g} s"

    async def last_use(self, key: KeyRef) -> dict[str, object]:
        client = await self.aws.kms(key.account, key.region)
        async with self.aws.calling("kms", "GetKeyLastUsage"):
            answer = await client.get_key_last_usage(KeyId=key.arn)
        found: dict[str, object] = {}
        if "TrackingStartDate" in answer:
            found["tracked_since"] = answer["TrackingStartDate"].timestamp()
        use = answer.get("KeyLastUsage") or {}
        if "Timestamp" in use:
            found["last_use"] = LastUse(
                short(use.get("Operation"), 64),
                use["Timestamp"].timestamp(),
                short(use.get("CloudTrailEventId"), 64),
            )
        return found

    async def deadline(self, key: KeyRef) -> dict[str, object]:
        client = await self.aws.kms(key.account, key.region)
        async with self.aws.calling("kms", "DescribeKey"):
            date = (await client.describe_key(KeyId=key.arn))["KeyMetadata"].get("DeletionDate")
        return {"deadline": date.timestamp()} if date else {}

    async def grants(self, key: KeyRef) -> dict[str, object]:
        """As they should be: whoever broke the key may have taken its grants first."""
        known = self.knowledge.key(key)
        if known is not None and known.grants is not None:
            grantees = [one.grantee for one in known.grants]
        else:
            client = await self.aws.kms(key.account, key.region)
            async with self.aws.calling("kms", "ListGrants"):
                answer = await client.list_grants(KeyId=key.arn, Limit=PAGE)
            grantees = [one.get("GranteePrincipal", "") for one in answer["Grants"]]
        return {"grants": len(grantees), "grantees": first(grantees)}

    async def aliases(self, key: KeyRef) -> dict[str, object]:
        """As they should be, likewise."""
        known = self.knowledge.key(key)
        if known is not None and known.aliases is not None:
            names = list(known.aliases)
        else:
            client = await self.aws.kms(key.account, key.region)
            async with self.aws.calling("kms", "ListAliases"):
                answer = await client.list_aliases(KeyId=key.arn, Limit=PAGE)
            names = [one.get("AliasName", "") for one in answer["Aliases"]]
        return {"aliases": len(names), "alias_names": first(names)}


def first(names: list[str]) -> tuple[str, ...]:
    """The first few, each once and cut."""
    shown = dict.fromkeys(short(one, LONGEST) for one in names if one)
    return tuple(list(shown)[:MOST_NAMES])
