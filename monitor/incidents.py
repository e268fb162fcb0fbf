"""Keeps the incident of every key, and looks whether it is over.

What one more finding makes of an incident decides `monitor.incident`; here is what that needs: the
store, the live key, and the clock. Incidents are never in the way of a repair: they are noted when
it is over and before people are told, and without the store the work goes on.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from monitor.baseline import right_state
from monitor.clock import Clock
from monitor.decision import Decision, Reason, Stage, Verdict
from monitor.errors import MonitorError
from monitor.event import Event
from monitor.evidence import Evidence
from monitor.evidence_gathering import Gathering
from monitor.finding import Aspect, Kind, Severity
from monitor.incident import US, Incident, Seen, advance, looks
from monitor.incident_told import told
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.knowledge import Knowledge
from monitor.ledger import Store, StoreError
from monitor.metrics import Metrics
from monitor.own_event import own_event
from monitor.reminders import deadline_event, reminded, reminder_of
from monitor.repair.difference import compare
from monitor.repair.live import LiveKeys
from monitor.signs import is_damage
from monitor.written_times import read_written

RIGHT = "KeySeenRight"
"""The event of our own: a key with an open incident was seen to be as it should be."""
EVERY = 30.0
"""Seconds between two looks at the keys with an open incident."""
GRACE = 300.0
"""Seconds that a key has to be right before it is told so: the news of who mended it takes minutes,
and tells more (aws-facts 4.7)."""
WORSE = frozenset({Stage.OPENED, Stage.ESCALATED, Stage.REPAIR_FAILED})
"""Stages at which evidence is gathered anew."""
TRIES = 5
"""How often it is tried again where another task or replica was faster."""


class Incidents:
    """The incidents of all keys. `note` is called for every decision, `run` lives long."""

    def __init__(
        self,
        store: Store,
        keys: LiveKeys,
        knowledge: Knowledge,
        clock: Clock,
        metrics: Metrics,
        *,
        gathering: Gathering | None = None,
    ) -> None:
        """Without `gathering` incidents have no evidence."""
        self.gathering = gathering
        self.store = store
        self.keys = keys
        self.knowledge = knowledge
        self.clock = clock
        self.metrics = metrics
        self.tell: Callable[[Event], bool] = lambda _: True
        """Takes the events of our own."""
        self.leading = asyncio.Event()
        """Set while this replica is the one that looks."""
        self.leading.set()
        self.right_since: dict[str, float] = {}
        """By incident: since when its key is seen to be right (monotonic)."""
        self.open: dict[KeyRef, Incident] = {}
        """The open ones, as far as this replica knows."""
        self.deadlines: dict[KeyRef, float] = {}
        self.log = structlog.get_logger("incidents")

    # -- what a finding means

    async def note(self, decision: Decision) -> Decision:
        """The decision, with what it means for its key's incident. Never raises."""
        key = decision.finding.key
        if key is None or (
            decision.verdict is Verdict.DROP and decision.reason is not Reason.OWN_CALL
        ):
            return decision
        try:
            return await self.advance(decision, key)
        except StoreError as error:
            self.store_failed(error)
            return decision

    async def advance(self, decision: Decision, key: KeyRef) -> Decision:
        evidence: Evidence | None = None
        for _ in range(TRIES):
            known = await self.store.incident(key)
            seen = None
            if known is not None and looks(known, decision):
                seen = await self.look(known, {decision.finding.aspect})
            now = self.clock.now()
            advanced = advance(known, decision, seen, now)
            if advanced is None:
                return decision
            new, stage = advanced
            if decision.verdict is not Verdict.DROP and self.gathering is not None:
                if evidence is None:
                    evidence = await self.evidence(new, stage, decision)
                new = replace(new, evidence=evidence)
            if new != known:
                if not await self.store.put_incident(new, expected_version=new.version):
                    continue
                self.changed(known, new, stage.value)
            if decision.verdict is Verdict.DROP:
                return decision
            return replace(decision, incident=told(new, stage, now))
        self.log.warning("incident is changed by too many at once", key=key.arn)
        return decision

    async def evidence(
        self, incident: Incident, stage: Stage, decision: Decision
    ) -> Evidence | None:
        """What is told beside a finding; asked for anew only where somebody needs it now."""
        assert self.gathering is not None
        before, key, since = incident.evidence, incident.key, incident.opened_at
        if (
            stage in WORSE
            or reminder_of(decision.finding)
            or (before is None and is_damage(decision))
        ):
            return await self.gathering.gather(key, since, before)
        if before is not None and decision.finding.kind is Kind.EVIDENCE:
            return self.gathering.refreshed(before, key, since)
        return before

    async def carried_out(self, decision: Decision) -> None:
        """People were told, if all went well: remember the reminders. Never raises."""
        key = decision.finding.key
        deadline = read_written(decision.finding.details.get("deletion_date", ""))
        if key is None or deadline is None or not reminder_of(decision.finding):
            return
        try:
            for _ in range(TRIES):
                known = await self.store.incident(key)
                if known is None or not known.open:
                    return
                new = reminded(known, decision, deadline, self.clock.now())
                if new == known:
                    return
                if await self.store.put_incident(new, expected_version=new.version):
                    self.metrics.incidents.reminders.inc()
                    return
        except StoreError as error:
            self.store_failed(error)

    def changed(self, known: Incident | None, new: Incident, stage: str) -> None:
        """Count, log and show what became of an incident."""
        before = known if known is not None and known.id == new.id else None
        if before is None or (new.open and not before.open):
            self.metrics.incidents.opened.inc()
        if not new.open and (before is None or before.open):
            self.metrics.incidents.closed.labels("us" if new.closed_by == US else "others").inc()
            self.metrics.incidents.seconds.observe(new.closed_at - new.opened_at)
        self.log.info(
            "incident",
            incident=new.id,
            key=new.key.arn,
            stage=stage,
            severity=new.severity.word,
            findings=new.count,
            closed_by=new.closed_by,
            outcome=new.outcome,
        )
        # The others' are as they were at the last look: to read all for each change is too much.
        self.open.pop(new.key, None)
        if new.open:
            self.open[new.key] = new
        self.show(list(self.open.values()))

    # -- how the key is

    async def look(self, incident: Incident, more: set[Aspect] | None = None) -> Seen | None:
        """How the key is in all that the incident is about; None where it cannot be read."""
        key, aspects = incident.key, incident.wrong | (more or set())
        try:
            live, _ = await self.keys.read_parts(await self.keys.read(key), aspects)
        except MonitorError as error:
            self.log.warning("key of an incident cannot be read", key=key.arn, problem=str(error))
            return None
        self.note_deadline(live)
        baseline = await self.store.baseline(key)
        wanted = right_state(baseline, incident.damaged_at, incident.caused)
        return compare(aspects, live, wanted or KeyState.ENABLED, baseline, incident.opened_at)

    async def run(self) -> None:
        """Look again and again at the keys with an open incident, for ever."""
        while True:
            try:
                await self.check()
            except StoreError as error:
                self.store_failed(error)
            await asyncio.sleep(EVERY)

    async def check(self) -> None:
        """Tell of every key that is right again, though no message says so."""
        found = await self.store.incidents(open_only=True)
        self.open = {one.key: one for one in found}
        self.show(found)
        # Of several replicas one is enough.
        for one in found if self.leading.is_set() else []:
            seen = await self.look(one)
            self.remind(one, read=seen is not None)
            await self.refresh(one)
            if seen is None or seen.left:
                self.right_since.pop(one.id, None)
                continue
            now, moment = self.clock.now(), self.clock.monotonic()
            if moment - self.right_since.setdefault(one.id, moment) >= GRACE:
                about = {"keyId": one.key.arn, "incident": one.id, "openedAt": one.opened_at}
                # It may be broken again until it is judged: so it is another event a minute later.
                same = (one.key.arn, one.id, math.floor(now / 60))
                self.tell(
                    own_event(RIGHT, (one.key.account, one.key.region), now, about, same=same)
                )

    async def refresh(self, incident: Incident) -> None:
        """Keep what is known of failed uses; where somebody was faster, at the next look."""
        before = incident.evidence
        if self.gathering is not None and before is not None:
            after = self.gathering.refreshed(before, incident.key, incident.opened_at)
            if after != before:
                new = replace(incident, evidence=after)
                await self.store.put_incident(new, expected_version=new.version)

    def remind(self, incident: Incident, *, read: bool) -> None:
        """Have it judged how much time is left; where the key cannot be read, as was known last."""
        deadline = self.deadlines.get(incident.key, 0.0)
        if not read and not deadline and incident.evidence is not None:
            deadline = incident.evidence.deadline
        if deadline:
            event = deadline_event(incident, deadline, self.clock.now())
            if event is not None:
                self.tell(event)

    # -- what is shown

    def show(self, found: list[Incident]) -> None:
        """The gauges, from the open incidents."""
        by_severity = Counter(one.severity for one in found)
        for severity in Severity:
            self.metrics.incidents.open.labels(severity.word).set(by_severity[severity])
        self.metrics.incidents.show_keys(found)
        self.metrics.incidents.contested.set(sum(bool(one.contested_at) for one in found))
        open_keys = {one.key for one in found}
        for key in self.deadlines.keys() - open_keys:
            self.forget_deadline(key)
        ids = {one.id for one in found}
        self.right_since = {one: at for one, at in self.right_since.items() if one in ids}

    def note_deadline(self, live: KeySnapshot) -> None:
        key = live.key
        if live.deletion_date is None:
            self.forget_deadline(key)
        else:
            self.deadlines[key] = live.deletion_date
            self.metrics.incidents.deadline.labels(key.account, key.region, key.key_id).set(
                live.deletion_date
            )

    def forget_deadline(self, key: KeyRef) -> None:
        if self.deadlines.pop(key, None) is not None:
            self.metrics.incidents.deadline.remove(key.account, key.region, key.key_id)

    def store_failed(self, error: StoreError) -> None:
        self.metrics.store.failed("incident")
        self.log.error("store cannot be used", call="incident", error=str(error))
