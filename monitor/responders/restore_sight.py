"""Puts back what we see by: a trail, a rule, a queue or a topic that somebody changed for the worse.

A message is only a hint: the live resource is read first, and nothing is written unless it is worse
than its baseline (see `monitor.sight_repair.plan`). Baselines are taken by
`monitor.loops.sight_watch`, and moved here by changes of approved actors that CloudTrail's own event
history confirms.
"""

import asyncio
from typing import ClassVar

from msgspec.structs import replace
from pydantic import BaseModel, Field

from monitor.contested import HOUR
from monitor.decision import Action, Decision, Outcome, Verdict
from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.finding import Aspect, Finding
from monitor.ledger import SightBaseline, StoreError, sight_lease
from monitor.plugins import Services
from monitor.repair.lease import Leases
from monitor.sight_repair.accepting import moved
from monitor.sight_repair.live import Sights
from monitor.sight_repair.plan import SightCall, plan
from monitor.sight_repair.resource import Part, Resource, Settings, parsed
from monitor.store_metrics import StoreCall

ROUNDS = 4
"""How often a plan is made anew when somebody changes the resource while it is being repaired."""


class SightOptions(BaseModel, extra="forbid"):
    parts: list[Part] = Field(
        list(Part), min_length=1, description="What may be put back. What is left out is told only."
    )
    look_seconds: float = Field(
        60,
        ge=0.1,
        le=3600,
        description="From one look at all watched resources to the next. What takes our sight may "
        "well keep its own message from us.",
    )
    grace_seconds: float = Field(
        120,
        ge=0,
        le=7200,
        description="How long a resource may be worse than its baseline before a look acts: until "
        "then the message about it, which says who did it, may still come.",
    )
    settle_seconds: float = Field(
        75, gt=0, le=120, description="How long to wait until AWS shows what a call has done."
    )
    doubt_seconds: float = Field(
        10,
        ge=0,
        le=60,
        description="A resource that looks well is read again until the event is this old: right "
        "after a change AWS may still show the old settings.",
    )
    history_seconds: float = Field(
        900,
        ge=0,
        le=7200,
        description="How long to wait until CloudTrail's event history confirms an approved change.",
    )
    repairs_per_hour: int = Field(
        5,
        ge=1,
        le=100,
        description="A resource that had to be put back so often is left to people until an hour "
        "after.",
    )


class RestoreSight:
    name: ClassVar = "restore_sight"
    repairs: ClassVar = True
    aspects: ClassVar[frozenset[Aspect]] = frozenset()
    sight: ClassVar = True
    Options: ClassVar[type[BaseModel]] = SightOptions

    def __init__(self, options: SightOptions, services: Services) -> None:
        self.options = options
        self.clock = services.clock
        self.store = services.store
        self.metrics = services.metrics
        self.log = services.log
        self.sights = Sights(services.aws, services.clock)
        self.remembered: dict[str, SightBaseline] = {}
        """As last read from the store, for when that cannot be read."""
        self.leases = Leases(services.store, self.store_failed)

    async def serve(self) -> None:
        return

    def problem(self) -> str | None:
        return None

    async def respond(self, decision: Decision) -> Action:
        resource = Resource.parse(decision.finding.resource)
        if resource is None:
            return self.over(Outcome.REFUSED, "it is no trail, rule, queue or topic that is named")
        async with self.leases.working_on(sight_lease(resource.arn), f"the {resource.kind}"):
            known = await self.known(resource)
            if known is None:
                return self.over(
                    Outcome.REFUSED, "it was never seen in order: how it should be is not known"
                )
            if decision.verdict is Verdict.ACCEPT:
                return await self.accept(decision, resource, known)
            return await self.undo(decision, resource, known)

    async def undo(self, decision: Decision, resource: Resource, known: SightBaseline) -> Action:
        """Put it back as its baseline says."""
        right = parsed(known.settings)
        live = await self.look(decision, resource, right)
        if plan(resource, live, right, self.options.parts).nothing_to_do:
            return self.over(Outcome.ALREADY, self.as_it_should_be(resource, live, right))
        sent: list[str] = []
        try:
            return await self.work(decision, resource, known, live, sent)
        except (WorthRetrying, NotWorthRetrying) as error:
            if not sent:
                raise
            # Half a repair is better than none, and people have to know which half.
            text = f"{error}, after {', '.join(sent)} succeeded"
            raise type(error)(text, code=error.code, calls=sent) from error

    async def accept(self, decision: Decision, resource: Resource, known: SightBaseline) -> Action:
        """Move the baseline, once CloudTrail's history confirms the change.

        The live resource proves nothing about who changed it.
        """
        finding = decision.finding
        record = await self.sights.recorded(resource, finding)
        if record is None:
            # Whatever claims to be of the distant future is as wrong as what should long be there.
            if abs(self.clock.now() - finding.event_time) < self.options.history_seconds:
                await self.wait_for(known, finding.event_time + self.options.history_seconds)
                raise WorthRetrying("CloudTrail's event history does not have the event yet")
            self.log.warning("approved change not confirmed", resource=resource.arn)
            undone = await self.undo(decision, resource, known)
            if undone.outcome is Outcome.ALREADY:
                return self.over(
                    Outcome.UNCONFIRMED, "CloudTrail's history does not have the event"
                )
            return undone
        after = moved(known, await self.sights.read(resource), record)
        if after is None:
            return self.over(
                Outcome.ALREADY, "the baseline says so already, or a later change does"
            )
        await self.put(replace(after, pending_until=0.0))
        return self.over(Outcome.DONE, f"{finding.event_name} is now right for the {resource.kind}")

    async def work(
        self,
        decision: Decision,
        resource: Resource,
        known: SightBaseline,
        live: Settings,
        sent: list[str],
    ) -> Action:
        """Carry out the plan, and plan again until the resource is read back as it should be."""
        right, started = parsed(known.settings), 0.0
        for _ in range(ROUNDS):
            steps = plan(resource, live, right, self.options.parts)
            if steps.impossible:
                return self.over(Outcome.REFUSED, steps.impossible, sent)
            if not steps.calls:
                self.measure(decision, started)
                return self.over(Outcome.DONE, f"{', '.join(sent)}; verified", sent)
            if decision.dry_run:
                names = ", ".join(call.name for call in steps.calls)
                return self.over(Outcome.WOULD, f"would call {names}")
            if not started:
                if not await self.may_once_more(resource, decision.finding):
                    most = self.options.repairs_per_hour
                    return self.over(
                        Outcome.REFUSED,
                        f"it is contested: it was put back {most} times within the hour",
                    )
                started = self.clock.now()
                self.metrics.detect_to_act.observe(max(0.0, started - decision.received_at))
                await self.watch_anew(resource)
            await self.send(resource, steps.calls, sent)
            # Not all the time at once: whoever changes it again meanwhile would win so long.
            live = await self.sights.read_until(
                resource, right, self.options.parts, self.options.settle_seconds / ROUNDS
            )
        raise WorthRetrying(f"the {resource.kind} is still not as it should be")

    async def send(self, resource: Resource, calls: tuple[SightCall, ...], sent: list[str]) -> None:
        """Every call, though one fails: each part stands alone. Raises the first failure."""
        failure: WorthRetrying | NotWorthRetrying | None = None
        for call in calls:
            try:
                await self.sights.send(resource, call)
            except (WorthRetrying, NotWorthRetrying) as error:
                failure = failure or error
            else:
                sent.append(call.name)
        if failure is not None:
            raise failure

    async def look(self, decision: Decision, resource: Resource, right: Settings) -> Settings:
        """Read it; while the event is young, believe it well only if it stays so."""
        # No event is younger than its message, whatever a forged one or a wrong clock says.
        happened_at = min(decision.finding.event_time, decision.received_at)
        live = await self.sights.read(resource)
        pause = 0.25
        while plan(resource, live, right, self.options.parts).nothing_to_do:
            doubt = happened_at + self.options.doubt_seconds - self.clock.now()
            if doubt <= 0:
                break
            await asyncio.sleep(min(pause, doubt))
            pause *= 2
            live = await self.sights.read(resource)
        return live

    def as_it_should_be(self, resource: Resource, live: Settings, right: Settings) -> str:
        """Why nothing was written."""
        if plan(resource, live, right).nothing_to_do:
            return f"the {resource.kind} is as it should be; nothing was written"
        return f"what is worse of the {resource.kind} is not among the `parts` that are put back"

    async def may_once_more(self, resource: Resource, finding: Finding) -> bool:
        """Whether a fight over it may go on. Without the store nobody counts."""
        try:
            return await self.store.spend(
                sight_lease(resource.arn),
                finding.finding_id,
                most=self.options.repairs_per_hour,
                seconds=HOUR,
            )
        except StoreError as error:
            self.store_failed("spend", error)
            return True

    async def wait_for(self, known: SightBaseline, until: float) -> None:
        """No look puts it back while an approved change to it may still be confirmed.

        Whoever forges such a change gains no more than that: a message about harm is acted upon.
        """
        if known.pending_until < until:
            await self.put(replace(known, pending_until=until))

    async def watch_anew(self, resource: Resource) -> None:
        """What a look finds worse after this is another trouble than before."""
        try:
            known = await self.store.sight_baseline(resource.arn)
            if known is not None and known.worse_since:
                new = replace(known, worse_since=0.0)
                await self.store.put_sight_baseline(new, expected_version=known.version)
        except StoreError as error:
            self.store_failed("put_sight_baseline", error)

    def measure(self, decision: Decision, started: float) -> None:
        now = self.clock.now()
        self.metrics.act_to_verified.observe(max(0.0, now - started))
        self.metrics.event_to_safe.observe(max(0.0, now - decision.finding.event_time))

    def over(self, outcome: Outcome, detail: str, calls: list[str] | None = None) -> Action:
        return Action(self.name, outcome, detail, tuple(calls or ()), self.clock.now())

    # -- the store

    async def known(self, resource: Resource) -> SightBaseline | None:
        """The baseline; as it was last read, if the store cannot be read."""
        try:
            found = await self.store.sight_baseline(resource.arn)
        except StoreError as error:
            self.store_failed("sight_baseline", error)
            if resource.arn not in self.remembered:
                raise WorthRetrying(f"the store cannot be read: {error}") from error
            return self.remembered[resource.arn]
        if found is not None:
            self.remembered[resource.arn] = found
        return found

    async def put(self, baseline: SightBaseline) -> None:
        try:
            done = await self.store.put_sight_baseline(baseline, expected_version=baseline.version)
        except StoreError as error:
            self.store_failed("put_sight_baseline", error)
            raise WorthRetrying(f"the store cannot be written: {error}") from error
        if not done:
            raise WorthRetrying("somebody else moved the baseline at the same time")

    def store_failed(self, call: StoreCall, error: StoreError) -> None:
        self.metrics.store.failed(call)
        self.log.error("store cannot be used", call=call, error=str(error))
