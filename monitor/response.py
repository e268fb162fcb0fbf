"""Carries decisions out: each responder in its turn, at most once, repair before telling.

The ledger remembers what every action became, so that a redelivered message repeats only what was
not finished. Without the ledger the work goes on: repairs are harmless to repeat, and a
notification told twice is better than one never told.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol
from uuid import uuid4

import structlog
from msgspec.structs import replace

from monitor import deeds
from monitor.budgets import Budgets
from monitor.clock import Clock
from monitor.decision import Action, Decision, Outcome, Reason, Stage, Verdict
from monitor.errors import Busy, Denied, NotWorthRetrying, WorthRetrying
from monitor.ledger import Claim, Grant, Store, StoreError, action_id
from monitor.log_keeper import LogKeeper
from monitor.metrics import Metrics
from monitor.plugins import Container, Responder
from monitor.response_rules import LONGEST
from monitor.signs import ends_for_all, is_calm, is_old_news, lowered
from monitor.store_metrics import StoreCall

HOLD = 900.0
"""Seconds after a change in a maintenance window, until which CloudTrail's event history should confirm
it (aws-facts 4.7). Nobody is told before: each such change would be told twice."""
UNRECORDED = Grant(Claim.GRANTED)
"""What is granted where the store cannot be asked."""


class Incidents(Protocol):
    """Knows the incident of every key: `monitor.incidents`."""

    async def note(self, decision: Decision) -> Decision:
        """The same decision, with what it means for its key's incident. Never raises."""
        ...

    async def carried_out(self, decision: Decision) -> None:
        """All is done and told, as `done` says. Never raises."""
        ...


class Response:
    """The enabled responders."""

    def __init__(
        self,
        responders: Mapping[str, Responder],
        store: Store,
        clock: Clock,
        metrics: Metrics,
        *,
        origins: Mapping[str, str] | None = None,
        incidents: Incidents | None = None,
        keeper: LogKeeper | None = None,
        budgets: Budgets | None = None,
        may_write: Callable[[], str | None] = lambda: None,
        fallbacks: Mapping[str, str] | None = None,
    ) -> None:
        """`origins`: whose each responder is, by its name, for the log.

        `fallbacks`: who tells instead, by the name of who could not.

        `may_write` says why nothing may be written just now: the kill switch.
        """
        self.origins = origins or {}
        self.budgets = budgets or Budgets(store, clock, metrics)
        self.incidents = incidents
        self.keeper = keeper or LogKeeper(store, clock, metrics)
        self.may_write = may_write
        self.fallbacks = fallbacks or {}
        self.responders = responders
        self.store = store
        self.clock = clock
        self.metrics = metrics
        self.log = structlog.get_logger("response")

    async def carry_out(self, decision: Decision) -> Decision:
        """The decision, with what became of every action in `done`. Never raises.

        Whoever tells is told of the incident, as it is once the repair is over.
        """
        repairing = [one for one in decision.responders if self.responders[one].repairs]
        decision = await self.repair(repairing, decision)
        await self.keeper.keep(deeds.approved(decision))
        if decision.window and self.unsure(decision):
            return decision
        if decision.window and is_calm(decision):
            decision = lowered(decision)
        if self.incidents is not None:
            decision = self.with_tellers(await self.incidents.note(decision))
        if decision.finding.source:
            decision = self.as_second_witness(decision)
        left = [one for one in decision.responders if one not in repairing]
        # Whoever tells has to know what was done about the caller.
        for name in sorted(left, key=lambda one: not self.contains(one)):
            responder = self.responders[name]
            if not isinstance(responder, Container):
                decision = await self.fall_back(name, await self.act_once(name, decision))
            elif responder.wants(decision):
                decision = await self.write_once(name, decision)
        if self.incidents is not None:
            await self.incidents.carried_out(decision)
        return decision

    def as_second_witness(self, decision: Decision) -> Decision:
        """The same; nobody is told of what AWS Config tells of once more."""
        fate = "known" if is_old_news(decision) else "told"
        if any(action.calls for action in decision.done):
            fate = "repaired"
        self.metrics.config.notified.labels(fate).inc()
        if fate != "known":
            return decision
        return replace(decision, responders=tuple(one.responder for one in decision.done))

    def contains(self, name: str) -> bool:
        return isinstance(self.responders[name], Container)

    async def repair(self, names: list[str], decision: Decision) -> Decision:
        """Let everybody repair who is to, as far as the key's budget allows."""
        key = decision.finding.key
        if key is None or not names:
            for name in names:
                decision = await self.write_once(name, decision)
            return decision
        try:
            async with self.budgets.turn(key, LONGEST[True]):
                since = self.clock.now()
                decision = await self.budgets.limit(decision, key)
                for name in names:
                    decision = await self.write_once(name, decision)
                return await self.budgets.count(decision, key, since)
        except WorthRetrying as error:
            waited = [Action(name, Outcome.RETRY, str(error)) for name in names]
            for action in waited:
                self.note(action, decision, action.outcome)
            return replace(decision, done=(*decision.done, *waited))

    def held_back(self, decision: Decision) -> Decision:
        """The same, as a dry run while the kill switch is on."""
        stopped = self.may_write()
        if stopped is None or decision.dry_run:
            return decision
        self.log.warning("writes are stopped", finding=decision.finding.finding_id, problem=stopped)
        repair = decision.verdict is Verdict.REPAIR
        reason = Reason.WRITES_STOPPED if repair else decision.reason
        return replace(decision, dry_run=True, reason=reason, stopped=stopped)

    def unsure(self, decision: Decision) -> bool:
        """Whether a change in a maintenance window is not confirmed yet, and soon will be."""
        young = self.clock.now() - decision.finding.event_time < HOLD
        waiting = [one for one in decision.done if one.outcome is Outcome.RETRY and not one.calls]
        return young and bool(waiting) and len(waiting) == len(decision.done)

    async def act_once(self, name: str, decision: Decision) -> Decision:
        action = await self.once(self.responders[name], decision)
        return replace(decision, done=(*decision.done, action))

    async def write_once(self, name: str, decision: Decision) -> Decision:
        """The same for one that writes. What was written before the kill switch came on stays told so."""
        held = self.held_back(decision)
        after = await self.act_once(name, held)
        if any(action.calls for action in decision.done):
            return replace(decision, done=after.done, stopped=held.stopped)
        return after

    async def fall_back(self, name: str, decision: Decision) -> Decision:
        """Have another tell what this one could not. Its own delivery is tried again all the same."""
        while (other := self.fallbacks.get(name)) is not None and could_not(decision.done[-1]):
            if other in decision.responders or other not in self.responders:
                break  # told there anyway, or a broken plugin that was left out
            self.metrics.channels.fallbacks.labels(name).inc()
            name, decision = other, await self.act_once(other, decision)
        return decision

    def with_tellers(self, decision: Decision) -> Decision:
        """An accepted change is not told, unless it closes an incident that people know of.

        Then whoever may have heard of the incident hears of its end, whatever rule it goes by. Of a
        contested key only news is told: not every blow of a fight.
        """
        incident = decision.incident
        if (
            decision.contested
            and incident is not None
            and incident.contested
            and incident.stage is Stage.REPEATED
        ):
            left = (name for name in decision.responders if self.responders[name].repairs)
            return replace(decision, responders=tuple(left))
        if (
            incident is None
            or incident.stage is not Stage.CLOSED
            or incident.silent
            or decision.suppressed
            or not ends_for_all(decision)
        ):
            return decision
        told = decision.listeners
        if told is None:
            told = tuple(name for name, one in self.responders.items() if not one.repairs)
        told = tuple(name for name in told if not self.contains(name))
        names = dict.fromkeys((*decision.responders, *told))
        return replace(decision, responders=tuple(names))

    async def once(self, responder: Responder, decision: Decision) -> Action:
        """Do it unless it was done before, or is being done elsewhere."""
        name, owner = action_id(responder.name, self.occasion(responder, decision)), uuid4().hex
        seconds = decision.limits.get(responder.name, LONGEST[responder.repairs])
        grant = await self.claim(name, owner, seconds + 30)
        if grant.claim is Claim.DONE and grant.action is not None:
            # As it was, so that whoever tells about it later tells the whole story.
            self.note(grant.action, decision, Outcome.ALREADY)
            return grant.action
        if grant.claim is Claim.BUSY:
            busy = Action(responder.name, Outcome.RETRY, "it is being done elsewhere")
            self.note(busy, decision, busy.outcome)
            return busy
        recorded = grant is not UNRECORDED
        with self.metrics.action_seconds.labels(responder.name).time():
            try:
                action = await self.act(responder, decision, seconds)
            except asyncio.CancelledError:
                # We stop: whoever gets the message next need not wait until the lease runs out.
                await self.release(name, owner)
                raise
        # Before the ledger has it as done: an action may be logged twice, but never not at all.
        await self.keeper.keep(deeds.action(action, decision, repairs=responder.repairs))
        if not (await self.record(name, owner, action) and recorded):
            # Said to people, too: it may be done, and told, a second time.
            detail = f"{action.detail}; unrecorded, for the store cannot be used"
            action = replace(action, detail=detail)
        self.note(action, decision, action.outcome)
        if responder.repairs or action.outcome is not Outcome.ALREADY:
            # To refuse is all that a repair can do for a key that is gone; a channel that refuses is
            # broken. One that had nothing to tell does not show whether it could.
            broken = action.outcome is Outcome.REFUSED and not responder.repairs
            up = action.outcome.settled and not broken
            self.metrics.responder_up.labels(responder.name).set(up)
        return action

    def note(self, action: Action, decision: Decision, outcome: Outcome) -> None:
        """Count and log an action; `outcome` is ALREADY for one that the ledger has as done."""
        self.metrics.actions.labels(action.responder, outcome.value).inc()
        write = self.log.info if outcome.settled else self.log.warning
        write(
            "action",
            responder=action.responder,
            outcome=outcome.value,
            detail=action.detail,
            finding=decision.finding.finding_id,
            key=str(decision.finding.key or ""),
        )

    def occasion(self, responder: Responder, decision: Decision) -> str:
        """What makes an action the same as one done before.

        For a repair it is the finding. To tell is a new occasion whenever the repair came to
        another end: "not restored yet" and then "restored" are two messages, "restored" twice is
        one. So it is with what is done about the caller.
        """
        ends = [
            f"{action.responder}={action.outcome}"
            for action in decision.done
            if self.responders[action.responder].repairs or self.contains(action.responder)
        ]
        parts = [] if responder.repairs or self.contains(responder.name) else ends
        return "|".join([decision.finding.finding_id, *parts])

    async def act(self, responder: Responder, decision: Decision, seconds: float) -> Action:
        """One action, guarded: what a responder throws becomes an outcome."""
        outcome, detail, calls = Outcome.FAILED, "", tuple[str, ...]()
        tried, limit = True, asyncio.timeout(seconds)
        try:
            async with limit:
                action = await responder.respond(decision)
                return replace(action, finished_at=action.finished_at or self.clock.now())
        except Denied as error:
            outcome, detail, calls = Outcome.DENIED, str(error), error.calls
        except NotWorthRetrying as error:
            outcome, detail, calls = Outcome.REFUSED, str(error), error.calls
        except WorthRetrying as error:
            outcome, detail, calls = Outcome.RETRY, str(error), error.calls
            tried = not isinstance(error, Busy)
        except TimeoutError:
            outcome, detail = Outcome.RETRY, f"it took longer than {seconds:g} s"
        except (Exception, SystemExit) as error:  # a plugin may even call sys.exit
            # The type only: the text of an error that nobody foresaw may hold anything.
            detail = f"the responder broke: {type(error).__name__}"
            self.log.exception(
                "responder broke",
                responder=responder.name,
                origin=self.origins.get(responder.name, ""),
            )
        return Action(
            responder.name,
            outcome,
            detail,
            calls,
            finished_at=self.clock.now() if tried else 0.0,
            cut_off=limit.expired() and not decision.dry_run,
        )

    async def claim(self, name: str, owner: str, seconds: float) -> Grant:
        try:
            return await self.store.claim(name, owner=owner, seconds=seconds)
        except StoreError as error:
            self.store_failed("claim", error)
            return UNRECORDED

    async def record(self, name: str, owner: str, action: Action) -> bool:
        """Whether what became of the action is remembered."""
        if not action.outcome.settled:
            await self.release(name, owner)
            return True
        try:
            await self.store.finish(name, owner=owner, action=action)
        except StoreError as error:
            self.store_failed("finish", error)
            return False
        return True

    async def release(self, name: str, owner: str) -> None:
        try:
            await self.store.release(name, owner=owner)
        except StoreError as error:
            self.store_failed("release", error)

    def store_failed(self, call: StoreCall, error: StoreError) -> None:
        self.metrics.store.failed(call)
        self.log.error("store cannot be used", call=call, error=str(error))


def could_not(action: Action) -> bool:
    """Whether it was tried and nobody was told. What is being done elsewhere was not tried here."""
    good = action.outcome in {Outcome.DONE, Outcome.ALREADY, Outcome.WOULD, Outcome.UNCONFIRMED}
    return not good and bool(action.finished_at)
