"""Puts a key back as it was before, and keeps the memory of what is right.

Whatever the message says, the live key decides: nothing is written unless KMS shows that the key is
worse than it should be, in what the message is about. A repair is over only when the key has been read
back as it should be.
"""

import asyncio
from typing import ClassVar

from msgspec.structs import replace
from pydantic import BaseModel, Field

from monitor.baseline import Baseline, Origin, exact, resolved, shows
from monitor.decision import Action, Decision, Outcome, Reason, Verdict
from monitor.errors import Denied, WorthRetrying
from monitor.finding import Aspect, Finding
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.ledger import key_lease
from monitor.plugins import Services
from monitor.register import POLICY, STATE, Changes, by_aspect
from monitor.repair.helpers import who_can_help
from monitor.repair.history import touched_by
from monitor.repair.lease import Leases
from monitor.repair.live import LiveKeys, unread
from monitor.repair.memory import Memory
from monitor.repair.plan import Limits, plan
from monitor.repair.wishes import Unknown, Wishes
from monitor.repair.work import Work
from monitor.repair.writing import KeyWriter

APPROVED = frozenset({Reason.APPROVED_ACTOR, Reason.APPROVED_CHANGE})
GONE_FOR_GOOD = 300.0
"""Seconds after an event, from which on a key that KMS does not know is believed to be gone."""


class RestoreOptions(BaseModel, extra="forbid"):
    aspects: list[Aspect] = Field(
        list(Aspect),
        min_length=1,
        description="What of a key is put back. Damage to anything else is only told.",
    )
    unknown: Unknown = Field(
        "enable",
        description="What becomes of a damaged key of which neither a baseline nor CloudTrail's "
        "event history says how it was before. A deletion is cancelled in any case; `ask` also "
        "tells people that they have to say it.",
    )
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
    aspects: frozenset[Aspect] = frozenset(Aspect)
    Options: ClassVar[type[BaseModel]] = RestoreOptions

    def __init__(self, options: RestoreOptions, services: Services) -> None:
        self.options = options
        self.aspects = frozenset(options.aspects)
        self.clock = services.clock
        self.metrics = services.metrics
        self.log = services.log
        self.knowledge = services.knowledge
        self.keys = LiveKeys(services.aws, services.clock)
        self.writer = KeyWriter(services.aws, services.reimport)
        self.memory = Memory(services.store, services.knowledge, services.clock, services.metrics)
        self.wishes = Wishes(self.keys, self.memory, services.clock, options.unknown)
        self.leases = Leases(services.store, self.memory.failed)

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
        async with self.leases.working_on(key_lease(key), "the key"):
            if decision.verdict is Verdict.ACCEPT:
                return await self.accept(decision, key)
            return await self.undo(decision, key)

    # -- undo

    async def undo(self, decision: Decision, key: KeyRef) -> Action:
        """Put back what the event is about as it was before."""
        # A moment of the future would make all changes until then look as if they were damaged.
        finding = replace(decision.finding, event_time=happened_at(decision))
        known = await self.memory.damaged(key, touched_by(finding), finding.event_time)
        wanted, because = await self.wishes.of(key, finding, known)
        if not wanted:
            return self.over(Outcome.REFUSED, because)
        live = await self.look(decision, key, wanted)
        if plan(live, wanted, self.limits(decision)).nothing_to_do:
            if because:
                return self.over(Outcome.REFUSED, because)
            return self.over(Outcome.ALREADY, as_it_should_be(live, wanted, known))
        return await self.restore(decision, live, wanted)

    # -- accept

    async def accept(self, decision: Decision, key: KeyRef) -> Action:
        """Move the baseline, once the live key or CloudTrail's history confirms the change.

        A change by an approved actor, or with an approval, is always looked up: its state is the
        very one that an attacker leaves behind, so the live key proves nothing about who left it. An
        approval is spent only then, so that no forged message can.
        """
        finding = decision.finding
        approved = decision.reason in APPROVED
        changes = touched_by(finding)
        live, _ = await self.keys.read_parts(await self.keys.read(key), by_aspect(changes))
        shown = bool(changes) and shows(live, changes)
        if not (shown and not approved) and not await self.confirmed(finding):
            if approved:
                self.log.warning("approved change not confirmed", key=key.arn)
                return await self.undo(decision, key)
            return self.over(
                Outcome.UNCONFIRMED,
                f"the key is {live.state}, and CloudTrail's history does not have the event",
            )
        if decision.approval is not None and not await self.memory.use(decision.approval, finding):
            undone = await self.undo(decision, key)
            return replace(undone, detail=f"its approval was spent for another; {undone.detail}")
        if not changes:
            return self.over(
                Outcome.ALREADY, f"the change leaves the key's {finding.aspect} as it is"
            )
        if shown:
            changes = exact(live, changes)
        elsewhere = finding.record_key
        if elsewhere is not None and elsewhere != key:
            # An alias that now belongs to another key.
            as_of = min(finding.event_time, self.clock.now())
            await self.memory.advance(elsewhere, finding.changes, as_of, tie=shown)
        return await self.move(decision, live, changes, shown=shown)

    async def move(
        self, decision: Decision, live: KeySnapshot, changes: Changes, *, shown: bool
    ) -> Action:
        """Make these values the right ones, unless later ones stand."""
        finding, key = decision.finding, live.key
        known = await self.memory.known(key)
        # Never from the future: nothing could follow on it.
        as_of = min(finding.event_time, self.clock.now())
        before = known or Baseline(key)
        changes = resolved(before, changes)
        there = [before.registers.get(name) for name in changes]
        # It stands already if this very change was accepted before and the repair did not succeed.
        stands = all(
            one is not None and (one.value, one.as_of) == (value, as_of)
            for one, value in zip(there, changes.values(), strict=True)
        )
        moved = not stands and await self.memory.advance(key, changes, as_of, tie=shown)
        if known is None:
            # Nobody saw it yet: the next look of the sweep may be an hour off.
            whole, _ = await self.keys.read_whole(live)
            await self.memory.sighted(whole)
        if not stands and not moved:
            return self.over(Outcome.ALREADY, "a later accepted change stands")
        damaged_since = any(one and one.damaged_at >= finding.event_time for one in there)
        approved = decision.reason in APPROVED
        if damaged_since and not approved and not plan(live, changes).nothing_to_do:
            return await self.restore(decision, live, changes)
        what = finding.caused if finding.aspect is Aspect.STATE else f"its {finding.aspect} as it"
        return self.over(Outcome.DONE, f"{what} is now the state that is right")

    # -- the repair

    async def restore(self, decision: Decision, live: KeySnapshot, wanted: Changes) -> Action:
        limits = self.limits(decision)
        if decision.dry_run:
            left = plan(live, wanted, limits)
            if left.steps:
                calls = ", ".join(call.value for call in left.calls)
                return self.over(Outcome.WOULD, f"would call {calls}")
        work = Work(
            self.keys,
            self.writer,
            self.clock,
            wanted=wanted,
            limits=limits,
            settle_seconds=self.options.settle_seconds,
        )
        started = self.clock.now()
        if plan(live, wanted, limits).steps:
            self.metrics.detect_to_act.observe(max(0.0, started - decision.received_at))
        try:
            live, left = await work.carry_out(live)
        except Denied as error:
            raise self.with_helpers(error, decision.finding) from error
        finally:
            # However it ended, and if time ran out: these were written.
            for call in work.sent:
                self.metrics.repair_calls.labels(call).inc()
        if left.impossible:
            return self.over(Outcome.REFUSED, "; ".join(left.impossible), work.sent)
        if not work.sent:
            return self.over(Outcome.ALREADY, f"somebody else made the key {live.state}")
        self.measure(decision, started)
        await self.memory.renew(live)
        return self.over(
            Outcome.DONE, f"{', '.join(work.sent)}; verified {in_words(live, wanted)}", work.sent
        )

    def limits(self, decision: Decision) -> Limits:
        return Limits(
            only_deletion=decision.contested,
            escrow=self.writer.material is not None,
            places=self.knowledge.places,
        )

    def with_helpers(self, error: Denied, finding: Finding) -> Denied:
        """What a policy took from us: who can still put it back."""
        if finding.aspect is not Aspect.POLICY or finding.key is None:
            return error
        names = who_can_help(finding.changes.get(POLICY), finding.key.arn)
        return Denied(f"{error}; {names}", code=error.code, calls=error.calls)

    async def look(self, decision: Decision, key: KeyRef, wanted: Changes) -> KeySnapshot:
        """Read the key; while the event is young, believe it well, or gone, only if it stays so.

        Right after a change KMS may show the old state, and right after its creation no key at all
        (aws-facts 3.7). Raises whatever keeps the part that counts from being read.
        """
        began = happened_at(decision)
        live = await self.look_once(decision.finding, key, wanted)
        if live.state is KeyState.GONE is decision.finding.caused:
            return live
        pause = 0.25
        while live.state is KeyState.GONE or plan(live, wanted).nothing_to_do:
            doubt = began + self.options.doubt_seconds - self.clock.now()
            if doubt <= 0:
                break
            await asyncio.sleep(min(pause, doubt))
            pause *= 2
            live = await self.look_once(decision.finding, key, wanted)
        if live.state is KeyState.GONE and self.clock.now() - began < GONE_FOR_GOOD:
            raise WorthRetrying("KMS does not know the key; if it is new, it soon will")
        return live

    async def look_once(self, finding: Finding, key: KeyRef, wanted: Changes) -> KeySnapshot:
        live = await self.keys.read(key)
        if live.state is KeyState.GONE:
            return live
        aspects = by_aspect(wanted)
        live, failures = await self.keys.read_parts(live, aspects)
        if (failure := unread(live, failures, aspects)) is not None:
            raise self.with_helpers(failure, finding) if isinstance(failure, Denied) else failure
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


def happened_at(decision: Decision) -> float:
    """No event is younger than its message, whatever a forged one or a wrong clock says."""
    return min(decision.finding.event_time, decision.received_at)


def in_words(live: KeySnapshot, wanted: Changes) -> str:
    """What was read back, such as `Enabled` or `its tags`."""
    parts = sorted(by_aspect(wanted) - {Aspect.STATE})
    found = [str(live.state)] if STATE in wanted else []
    return " and ".join(found + [f"its {one}" for one in parts])


def as_it_should_be(live: KeySnapshot, wanted: Changes, known: Baseline | None) -> str:
    """Why nothing was written, in words that say where the knowledge comes from."""
    if STATE not in wanted:
        return f"the key's {in_words(live, wanted)[4:]} is as it should be; nothing was written"
    register = known.registers.get(STATE) if known else None
    seen = register is not None and register.origin is Origin.SEEN
    if seen and live.state is not KeyState.ENABLED:
        return f"the key is {live.state}, as it was when first seen; nothing was written"
    return f"the key is {live.state}, as it should be; nothing was written"
