"""Looks at what we see by, again and again, and at first takes its baseline.

Whoever disables our only rule keeps the message about it from us as well. So each watched trail,
rule, queue and topic is read, and compared with how it was when it was last accepted as right. What
stays worse becomes an event of our own, which is judged and put back like any other.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from monitor.baseline import Origin
from monitor.clock import Clock
from monitor.contested import HOUR
from monitor.errors import MonitorError
from monitor.event import Event
from monitor.knowledge import Knowledge
from monitor.ledger import SightBaseline, Store, StoreError
from monitor.metrics import Metrics
from monitor.own_event import own_event
from monitor.responders.restore_sight import SightOptions
from monitor.sight_found import SightFound
from monitor.sight_repair.live import Sights
from monitor.sight_repair.plan import plan
from monitor.sight_repair.resource import Resource, Settings, bad, parsed, written

KINDS = ("trails", "rules", "queues", "topics")
"""The fields of `Watched` that are looked at."""


class SightWatch:
    """Of accounts that are not guarded nothing is looked at. `tell` takes the events."""

    def __init__(
        self,
        options: SightOptions,
        sights: Sights,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        *,
        knowledge: Knowledge,
        ready: asyncio.Event,
        tell: Callable[[Event], bool],
    ) -> None:
        """`ready`: set once it is known what is ours."""
        self.options = options
        self.sights = sights
        self.store = store
        self.clock = clock
        self.metrics = metrics
        self.knowledge = knowledge
        self.ready = ready
        self.tell = tell
        self.reported: set[str] = set()
        self.log = structlog.get_logger("sight")

    async def run(self) -> None:
        """Look, and look again; for ever."""
        await self.ready.wait()
        while True:
            await self.look()
            await asyncio.sleep(self.options.look_seconds)

    async def look(self) -> None:
        """Every resource once. What cannot be read is reported once, and the rest goes on."""
        try:
            known = {one.arn: one for one in await self.store.sight_baselines()}
        except StoreError as error:
            self.metrics.store.failed("sight_baselines")
            self.log.error("store cannot be used", call="sight_baselines", error=str(error))
            return
        watched = self.knowledge.watched
        guarded = {account for account, _ in self.knowledge.places or ()}
        counts = Counter[SightFound]()
        arns = {arn for kind in KINDS for arn in getattr(watched, kind)} | known.keys()
        for arn in sorted(arns):
            resource = Resource.parse(arn)
            if resource is None or resource.account not in guarded:
                continue
            try:
                counts[await self.look_at(resource, known.get(arn))] += 1
            except (MonitorError, StoreError) as error:
                if arn not in self.reported:
                    self.log.warning("cannot be looked at", resource=arn, problem=str(error))
                self.reported.add(arn)
                counts[SightFound.UNREADABLE] += 1
            else:
                self.reported.discard(arn)
        for found in SightFound:
            self.metrics.sight.labels(found.value).set(counts[found])

    async def look_at(self, resource: Resource, known: SightBaseline | None) -> SightFound:
        live = await self.sights.read(resource)
        right = parsed(known.settings) if known else {}
        if known is None or (live and not right):
            return await self.first_sight(resource, live, known)
        if not right:
            return SightFound.RIGHT  # it was taken down with approval
        steps = plan(resource, live, right, self.options.parts)
        if steps.nothing_to_do:
            if known.worse_since:
                await self.put(replace(known, worse_since=0.0))
            return SightFound.RIGHT
        now = self.clock.now()
        since = known.worse_since or now
        # In the store, so that all replicas tell of the same.
        if not known.worse_since and not await self.put(replace(known, worse_since=now)):
            return SightFound.WORSE
        if now - since >= self.options.grace_seconds and now >= known.pending_until:
            what = steps.impossible or ", ".join(call.name for call in steps.calls)
            # Every hour anew: what was contested then may not be so any more.
            self.say("SightDrifted", resource, {"missing": what}, since, int((now - since) // HOUR))
        return SightFound.WORSE

    async def put(self, baseline: SightBaseline) -> bool:
        return await self.store.put_sight_baseline(baseline, expected_version=baseline.version)

    async def first_sight(
        self, resource: Resource, live: Settings, known: SightBaseline | None
    ) -> SightFound:
        """Keep how it is, unless that cannot be how it should be."""
        if wrong := bad(resource, live):
            self.say("SightFoundBad", resource, {"problem": wrong}, wrong)
            return SightFound.NEVER_RIGHT
        seen = SightBaseline(resource.arn, written(live), Origin.SEEN)
        if known is not None:
            seen = replace(known, settings=seen.settings, origin=Origin.SEEN)
        if await self.put(seen):
            self.log.info("baseline taken", resource=resource.arn)
        return SightFound.RIGHT

    def say(self, name: str, resource: Resource, about: dict[str, str], *same: object) -> None:
        place = (resource.account, resource.region)
        members = {"resource": resource.arn, **about}
        event = own_event(name, place, self.clock.now(), members, same=(resource.arn, *same))
        self.tell(event)
