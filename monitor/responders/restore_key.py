"""Puts a key back into the state that was right before, and keeps the memory of what is right.

Whatever the message says, the key's live state decides: nothing is written unless DescribeKey shows
that the key is worse than it should be. A repair is over only when the key has been read back in
the right state.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar
from uuid import uuid4
from weakref import WeakValueDictionary

from msgspec.structs import replace
from pydantic import BaseModel, Field

from monitor.approval import Approval
from monitor.decision import Action, Decision, Outcome, Reason, Verdict
from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.finding import Aspect, Finding
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.ledger import Baseline, Claim, Origin, StoreError, key_lease
from monitor.plugins import Services
from monitor.repair.baseline import prior_state
from monitor.repair.live import INVALID_STATE, LiveKeys
from monitor.repair.plan import Call, plan

ROUNDS = 8
"""How often a plan is made anew when somebody changes the key while it is being repaired."""

APPROVED = frozenset({Reason.APPROVED_ACTOR, Reason.APPROVED_CHANGE})
GONE_FOR_GOOD = 300.0
"""Seconds after an event, from which on a key that KMS does not know is believed to be gone."""
LEASE_SECONDS = 180.0
"""Longer than any repair may take (`monitor.response`), so that it never runs out under one."""


class RestoreOptions(BaseModel, extra="forbid"):
    settle_seconds: float = Field(
        60, gt=0, le=600, description="How long to wait until KMS shows what a call has done."
    )
    doubt_seconds: float = Field(
        10,
        ge=0,
        le=600,
        description="A key that looks well is read again until the event is this old: right after "
        "a change KMS may still show the old state.",
    )
    history_seconds: float = Field(
        900,
        ge=0,
        le=7200,
        description="How long to wait until CloudTrail's event history confirms a change that the "
        "live key does not show.",
    )


class RestoreKey:
    name: ClassVar = "restore_key"
    repairs: ClassVar = True
    aspects: ClassVar = frozenset({Aspect.STATE})
    Options: ClassVar[type[BaseModel]] = RestoreOptions

    def __init__(self, options: RestoreOptions, services: Services) -> None:
        self.options = options
        self.clock = services.clock
        self.store = services.store
        self.metrics = services.metrics
        self.log = services.log
        self.keys = LiveKeys(services.aws, services.clock)
        self.locks: WeakValueDictionary[KeyRef, asyncio.Lock] = WeakValueDictionary()

    async def serve(self) -> None:
        return

    def problem(self) -> str | None:
        return None

    async def respond(self, decision: Decision) -> Action:
        key = decision.finding.key
        if key is None:
            return Action(
                self.name, Outcome.REFUSED, "the event does not say which key it is about"
            )
        async with self.working_on(key):
            if decision.verdict is Verdict.ACCEPT:
                return await self.accept(decision, key)
            return await self.undo(decision, key)

    async def undo(self, decision: Decision, key: KeyRef) -> Action:
        """Put the key back into the state that was right before the event."""
        await self.remember_damage(key, decision.finding)
        known = await self.known(key)
        finding = decision.finding
        wanted = prior_state(known, finding.event_time, finding.caused)
        live = await self.look(decision, key, wanted)
        if plan(live, wanted).nothing_to_do:
            return self.over(Outcome.ALREADY, as_it_should_be(live, known))
        return await self.restore(decision, live, wanted)

    async def accept(self, decision: Decision, key: KeyRef) -> Action:
        """Move the baseline, once the live key or CloudTrail's history confirms the change.

        A change by an approved actor, or with an approval, is always looked up: its state is the
        very one that an attacker leaves behind, so the live key proves nothing about who left it. An
        approval is spent only then, so that no forged message can.
        """
        finding = decision.finding
        approved = decision.reason in APPROVED
        live = await self.keys.read(key)
        shown = live.state is finding.caused
        if not (shown and not approved) and not await self.confirmed(finding):
            if approved:
                self.log.warning("approved change not confirmed", key=key.arn)
                return await self.undo(decision, key)
            return self.over(
                Outcome.UNCONFIRMED,
                f"the key is {live.state}, and CloudTrail's history does not have the event",
            )
        if decision.approval is not None and not await self.use(decision.approval, finding):
            undone = await self.undo(decision, key)
            return replace(undone, detail=f"its approval was spent for another; {undone.detail}")
        if finding.caused is None:
            return self.over(Outcome.ALREADY, "the change leaves the key's state as it is")
        known = await self.known(key)
        # Never from the future: nothing could follow on it.
        as_of = min(finding.event_time, self.clock.now())
        new = Baseline(key, finding.caused, as_of, Origin.ACCEPTED)
        # It stands already if this very change was accepted before and the repair did not succeed.
        stands = known is not None and (known.state, known.as_of) == (new.state, new.as_of)
        if not stands and not await self.advance(new, tie=shown):
            return self.over(Outcome.ALREADY, "a later accepted change stands")
        damaged_since = known is not None and known.damaged_at >= finding.event_time
        if damaged_since and not approved and not plan(live, finding.caused).nothing_to_do:
            return await self.restore(decision, live, finding.caused)
        return self.over(Outcome.DONE, f"{finding.caused} is now the state that is right")

    async def restore(self, decision: Decision, live: KeySnapshot, wanted: KeyState) -> Action:
        """Carry out the plan, and plan again until the key is read back in the wanted state."""
        sent: list[str] = []
        try:
            return await self.work(decision, live, wanted, sent)
        except (WorthRetrying, NotWorthRetrying) as error:
            if not sent:
                raise
            # Half a repair is better than none, and people have to know which half.
            text = f"{error}, after {', '.join(sent)} succeeded"
            raise type(error)(text, code=error.code) from error

    async def work(
        self, decision: Decision, live: KeySnapshot, wanted: KeyState, sent: list[str]
    ) -> Action:
        key = live.key
        started = 0.0
        for number in range(ROUNDS):
            steps = plan(live, wanted)
            if steps.impossible:
                return self.over(Outcome.REFUSED, steps.impossible, sent)
            if steps.wait:
                raise WorthRetrying(steps.wait)
            if steps.nothing_to_do and not sent:
                return self.over(Outcome.ALREADY, f"somebody else made the key {live.state}")
            if steps.nothing_to_do:
                self.measure(decision, started)
                return self.over(Outcome.DONE, f"{', '.join(sent)}; verified {live.state}", sent)
            if decision.dry_run:
                calls = [call.value for call in steps.calls]
                return self.over(Outcome.WOULD, f"would call {', '.join(calls)}")
            if not started:
                started = self.clock.now()
                self.metrics.detect_to_act.observe(max(0.0, started - decision.received_at))
            if await self.send(steps.calls, key, sent):
                live = await self.keys.read_until(key, wanted, self.options.settle_seconds)
            else:
                await asyncio.sleep(0.1 * 2**number)
                live = await self.keys.read(key)
        raise WorthRetrying(f"the key is still {live.state}")

    async def send(self, calls: tuple[Call, ...], key: KeyRef, sent: list[str]) -> bool:
        """Send the calls, noting each in `sent`; False if the key was in another state.

        Then somebody was faster, or our reading or KMS itself was behind.
        """
        for call in calls:
            try:
                await self.keys.send(call, key)
            except NotWorthRetrying as error:
                if error.code != INVALID_STATE:
                    raise
                self.log.info("key is not in the expected state", key=key.arn, call=call.value)
                return False
            sent.append(call.value)
        return True

    async def look(self, decision: Decision, key: KeyRef, wanted: KeyState) -> KeySnapshot:
        """Read the key; while the event is young, believe it well, or gone, only if it stays so.

        Right after a change KMS may show the old state, and right after its creation no key at all
        (aws-facts 3.7).
        """
        # No event is younger than its message, whatever a forged one or a wrong clock says.
        happened_at = min(decision.finding.event_time, decision.received_at)
        live = await self.keys.read(key)
        if live.state is KeyState.GONE is decision.finding.caused:
            return live
        pause = 0.25
        while live.state is KeyState.GONE or plan(live, wanted).nothing_to_do:
            doubt = happened_at + self.options.doubt_seconds - self.clock.now()
            if doubt <= 0:
                break
            await asyncio.sleep(min(pause, doubt))
            pause *= 2
            live = await self.keys.read(key)
        if live.state is KeyState.GONE and self.clock.now() - happened_at < GONE_FOR_GOOD:
            raise WorthRetrying("KMS does not know the key; if it is new, it soon will")
        return live

    async def confirmed(self, finding: Finding) -> bool:
        """Whether CloudTrail's history has the event. Raises WorthRetrying while it still may."""
        if await self.keys.in_history(finding):
            return True
        # Whatever claims to be of the distant future is as wrong as what should long be there.
        if abs(self.clock.now() - finding.event_time) < self.options.history_seconds:
            raise WorthRetrying("CloudTrail's event history does not have the event yet")
        return False

    def measure(self, decision: Decision, started: float) -> None:
        now = self.clock.now()
        self.metrics.act_to_verified.observe(max(0.0, now - started))
        self.metrics.event_to_safe.observe(max(0.0, now - decision.finding.event_time))

    def over(self, outcome: Outcome, detail: str, calls: list[str] | None = None) -> Action:
        return Action(self.name, outcome, detail, tuple(calls or ()), self.clock.now())

    # -- the store; a repair goes on without it

    async def known(self, key: KeyRef) -> Baseline | None:
        try:
            return await self.store.baseline(key)
        except StoreError as error:
            self.store_failed("baseline", error)
            return None

    async def advance(self, baseline: Baseline, *, tie: bool) -> bool:
        try:
            return await self.store.advance(baseline, tie=tie)
        except StoreError as error:
            self.store_failed("advance", error)
            raise WorthRetrying(f"the store cannot be written: {error}") from error

    async def use(self, approval: Approval, finding: Finding) -> bool:
        """Spend the approval; False if it is spent for another change."""
        try:
            return await self.store.use(approval.id, finding.event_id, self.clock.now())
        except StoreError as error:
            self.store_failed("use", error)
            raise WorthRetrying(f"the store cannot be written: {error}") from error

    async def remember_damage(self, key: KeyRef, finding: Finding) -> None:
        try:
            await self.store.note_damage(key, finding.event_time)
        except StoreError as error:
            self.store_failed("note_damage", error)

    def store_failed(self, call: str, error: StoreError) -> None:
        self.metrics.store_errors.labels(call).inc()
        self.log.error("store cannot be used", call=call, error=str(error))

    @asynccontextmanager
    async def working_on(self, key: KeyRef) -> AsyncIterator[None]:
        """One task at a time for one key: in this process by a lock, across replicas by a lease."""
        owner = uuid4().hex
        # Kept alive by whoever works or waits, and forgotten with the last of them.
        lock = self.locks.setdefault(key, asyncio.Lock())
        async with lock:
            leased = True
            try:
                grant = await self.store.claim(key_lease(key), owner=owner, seconds=LEASE_SECONDS)
            except StoreError as error:
                self.store_failed("claim", error)
                leased = False
            else:
                if grant.claim is not Claim.GRANTED:
                    raise WorthRetrying("another replica is working on the key")
            try:
                yield
            finally:
                if leased:
                    await self.give_back(key, owner)

    async def give_back(self, key: KeyRef, owner: str) -> None:
        try:
            await self.store.release(key_lease(key), owner=owner)
        except StoreError as error:
            self.store_failed("release", error)


def as_it_should_be(live: KeySnapshot, known: Baseline | None) -> str:
    """Why nothing was written, in words that say where the knowledge comes from."""
    if known is not None and known.origin is Origin.SEEN and live.state is not KeyState.ENABLED:
        return f"the key is {live.state}, as it was when first seen; nothing was written"
    return f"the key is {live.state}, as it should be; nothing was written"
