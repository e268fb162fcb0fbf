"""Everything about one key, from the first bad finding until the key is right again. Pure.

`advance` is the whole course of an incident: what one more finding makes of it. It does not matter
in which order findings come. Whether the key is right is never taken from a message: either a
repairer saw it, or the caller looked (`Seen`), and `looks` says when that has to be done.
CancelKeyDeletion leaves a key Disabled (aws-facts 3.1), so that alone it closes nothing.
"""

import hashlib
from typing import Final

import msgspec
from msgspec.structs import replace

from monitor.contested import parts_of
from monitor.decision import Budget, Decision, Outcome, Reason, Stage, Verdict
from monitor.evidence import Evidence
from monitor.finding import CONFIG_EVENTS, Actor, Aspect, Finding, Kind, Severity
from monitor.key import KeyRef, KeyState
from monitor.signs import is_damage, is_mending, outcomes, turned_out_well

US: Final = "us"
NOBODY: Final = "nobody knows"
MOST_FINDINGS: Final = 50
"""Findings that are kept: the first, and the latest. All are counted."""
LATE: Final = 6 * 3600.0
"""Seconds. So much older than an incident a finding may be that belongs to it though it is closed."""
ENDING: Final = frozenset({KeyState.PENDING_DELETION, KeyState.PENDING_REPLICA_DELETION})
SLOW: Final = 3600.0
"""Seconds after the end of an incident, in which AWS Config may still tell of it (aws-facts 4.6)."""
FAILED: Final = frozenset({Outcome.DENIED, Outcome.REFUSED, Outcome.FAILED})


class Noted(msgspec.Struct, frozen=True):
    """One bad finding, as far as the incident remembers it."""

    id: str
    detector: str
    title: str
    severity: Severity
    event_id: str
    event_name: str
    event_time: float
    actor: str
    aspect: Aspect
    stage: Stage
    """How it came in: OPENED, ESCALATED or REPEATED."""
    suppressed: str = ""
    """Why nobody was told of it."""
    dry_run: bool = False
    """Mode `observe`: nothing was written."""


class Reminder(msgspec.Struct, frozen=True):
    """People were told that a key is about to be deleted for good."""

    hours: int
    """Before the end: one of the hours at which they are told."""
    deadline: float
    at: float
    """When it was told."""


class Incident(msgspec.Struct, frozen=True):
    """All times are epoch seconds. Names of others came with events: untrusted."""

    id: str
    key: KeyRef
    opened_at: float
    """Event time of the finding that opened it."""
    severity: Severity
    """The highest so far."""
    findings: tuple[Noted, ...] = ()
    count: int = 0
    wrong: frozenset[Aspect] = frozenset()
    """What of the key is not as it should be."""
    damaged_at: float = 0.0
    """Event time of the latest damage to the key's state."""
    caused: KeyState | None = None
    """The state that it led to."""
    mended_by: str = ""
    mended_at: float = 0.0
    """Who last took damage back, and when."""
    closed_at: float = 0.0
    """0 while it is open."""
    closed_by: str = ""
    """`us`, the name of whoever called, or `nobody knows`."""
    closed_with: str = ""
    """The id of the finding that closed it."""
    outcome: str = ""
    """How the last repair went, or how the key was seen, in words."""
    evidence: Evidence | None = None
    reminders: tuple[Reminder, ...] = ()
    contested_at: float = 0.0
    """Since when the key is contested: put back no more for now. 0 while it is not."""
    contested_with: str = ""
    """The id of the finding by which it became so."""
    held_at: float = 0.0
    """Since when something waits because a budget of repairs is used up; 0 where nothing does."""
    held: frozenset[str] = frozenset()
    """The parts of the key that wait: see `monitor.contested.parts_of`."""
    resumed_at: float = 0.0
    """When a person last said to go on: what was before counts no more for the key's budget."""
    version: int = 0
    """Counts its changes, so that two replicas do not overwrite each other's. 0: not stored yet."""

    @property
    def open(self) -> bool:
        return not self.closed_at

    @property
    def silent(self) -> bool:
        """Whether all its findings are suppressed."""
        return all(one.suppressed for one in self.findings)

    def covers(self, event_time: float) -> bool:
        """Whether an event of that time belongs to it though it is closed."""
        return self.opened_at - LATE <= event_time <= self.closed_at

    def explains(self, event_time: float) -> bool:
        """Whether AWS Config may have spoken of it at that time: it speaks when all is over."""
        return self.opened_at <= event_time <= self.closed_at + SLOW


class Seen(msgspec.Struct, frozen=True):
    """What a look at the live key brought to light, of what an incident is about."""

    wrong: frozenset[Aspect] = frozenset()
    unknown: frozenset[Aspect] = frozenset()
    """Of which nobody knows how they should be, or how they are."""
    words: str = ""
    """Such as `the key is Enabled`."""

    @property
    def left(self) -> frozenset[Aspect]:
        """What cannot be called right."""
        return self.wrong | self.unknown


Advanced = tuple[Incident, Stage]


def advance(
    known: Incident | None, decision: Decision, seen: Seen | None, now: float
) -> Advanced | None:
    """What one more decision, its repair carried out, makes of the incident of its key.

    `known` is the key's open incident, or its last one. None: it has nothing to do with any.
    """
    if is_damage(decision):
        return suffer(known, decision, seen, now)
    if known is None:
        return None
    if is_mending(decision):
        return mend(known, decision, seen, now)
    about = known.open or (decision.finding.source and known.explains(decision.finding.event_time))
    return (known, Stage.UNCHANGED) if about and decision.verdict is not Verdict.DROP else None


def looks(known: Incident, decision: Decision) -> bool:
    """Whether somebody has to look how the key is, before `advance`.

    The ledger repeats outcomes that are no longer true, so an open incident is never closed by one
    alone, and a closed one is not opened again by one.
    """
    if is_damage(decision):
        if known.open:
            return turned_out_well(decision)
        return known.covers(decision.finding.event_time) and not turned_out_well(decision)
    return known.open and is_mending(decision)


def suffer(
    known: Incident | None, decision: Decision, seen: Seen | None, now: float
) -> Advanced | None:
    """One more bad finding."""
    finding, ended = decision.finding, outcomes(decision)
    if Outcome.UNCONFIRMED in ended:
        return (known, Stage.UNCHANGED) if known and known.open else None
    right = turned_out_well(decision) if seen is None else finding.aspect not in seen.left
    did = Outcome.DONE in ended
    if known is None or not (known.open or known.covers(finding.event_time)):
        if right and not did:
            return None  # late news, or a lie: the key is well
        known = begun(finding, now)
    fresh = known_stage(known, finding) is None
    came, joined = join(known, decision)
    wrong = joined.wrong - {finding.aspect} if right else joined.wrong | {finding.aspect}
    if seen is not None:
        wrong &= seen.left
    if did:
        at = max(action.finished_at for action in decision.done)
        joined = replace(joined, mended_by=US, mended_at=max(at, joined.mended_at))
    words = "; ".join(f"{one.outcome.value}: {one.detail}" for one in decision.done)
    joined = replace(joined, wrong=wrong, outcome=words or joined.outcome)
    if wrong:
        again = not joined.open
        joined = replace(joined, closed_at=0.0, closed_by="", closed_with="")
        if decision.contested:
            return hold(joined, decision, came, now)
        if ended & FAILED:
            return joined, Stage.REPAIR_FAILED
        if right and did:
            return joined, Stage.REPAIRED
        return joined, Stage.OPENED if again else came
    if joined.open:
        return close(joined, finding, now), Stage.CLOSED
    if joined.closed_with == finding.finding_id:
        return joined, Stage.CLOSED
    if did and fresh:
        joined = replace(joined, closed_at=max(now, joined.closed_at), closed_by=US)
    return joined, came


def tells_of(known: Incident | None, state: KeyState) -> bool:
    """Whether the key's incident is open, and somebody told already that the key is in this state.

    What becomes of a key whose deletion was told of is no further news: gone at the end, or Disabled
    where it was only half put back.
    """
    if known is None or not known.open or not known.damaged_at:
        return False
    return known.caused in {None, state} | ENDING


def begun(finding: Finding, now: float) -> Incident:
    """A new incident, before its first finding is in it."""
    assert finding.key is not None
    text = f"{finding.key.arn}|{finding.event_time}|{finding.event_id}"
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
    # No event is of the future, whatever a forged one or a wrong clock says.
    return Incident(digest, finding.key, min(finding.event_time, now), finding.severity)


def known_stage(known: Incident, finding: Finding) -> Stage | None:
    """How the same finding came in before; None where it did not."""
    return next((one.stage for one in known.findings if one.id == finding.finding_id), None)


def is_no_call(event_name: str) -> bool:
    """Whether it is the daemon's or AWS Config's way to say how it sees a key, and no further call."""
    return event_name.startswith("KeySeen") or event_name in CONFIG_EVENTS


def join(known: Incident, decision: Decision) -> tuple[Stage, Incident]:
    """The finding as a part of the incident; a redelivered one is that already."""
    finding = decision.finding
    if (before := known_stage(known, finding)) is not None:
        return before, known
    names = {one.event_name for one in known.findings if not is_no_call(one.event_name)}
    other = bool(names) and finding.event_name not in names and not is_no_call(finding.event_name)
    stage = Stage.REPEATED
    if not known.findings:
        stage = Stage.OPENED
    elif finding.severity > known.severity or other:
        stage = Stage.ESCALATED
    noted = Noted(
        id=finding.finding_id,
        detector=finding.detector,
        title=finding.title,
        severity=finding.severity,
        event_id=finding.event_id,
        event_name=finding.event_name,
        event_time=finding.event_time,
        actor=finding.actor.name,
        aspect=finding.aspect,
        stage=stage,
        suppressed=decision.suppressed,
        dry_run=decision.dry_run,
    )
    kept = (*known.findings, noted)
    if len(kept) > MOST_FINDINGS:
        kept = (kept[0], *kept[2:])
    joined = replace(
        known,
        findings=kept,
        count=known.count + 1,
        severity=max(known.severity, finding.severity),
    )
    if finding.aspect is Aspect.STATE and finding.event_time >= known.damaged_at:
        joined = replace(joined, damaged_at=finding.event_time, caused=finding.caused)
    return stage, joined


def close(incident: Incident, finding: Finding, now: float) -> Incident:
    """Closed by whoever took the latest damage back, as far as anybody knows by now."""
    by = incident.mended_by if incident.mended_at >= incident.damaged_at else ""
    return replace(over(incident, by or NOBODY, now), closed_with=finding.finding_id)


def over(incident: Incident, by: str, now: float) -> Incident:
    """Nothing is wrong any more, and nothing waits."""
    return replace(
        incident,
        wrong=frozenset(),
        contested_at=0.0,
        held_at=0.0,
        held=frozenset(),
        closed_at=max(now, incident.opened_at),
        closed_by=by,
    )


def hold(incident: Incident, decision: Decision, came: Stage, now: float) -> Advanced:
    """It is put back no more until a budget allows it. That a key is contested is news once."""
    parts = incident.held.union(parts_of(decision.finding))
    held = replace(incident, held_at=incident.held_at or now, held=parts)
    name = decision.finding.finding_id
    if decision.budget is Budget.KEY and not incident.contested_at:
        held = replace(held, contested_at=now, contested_with=name)
    if not held.contested_at:
        return held, Stage.REPAIR_FAILED
    # Told of again, it is the same news: perhaps nobody has heard of it yet.
    return held, Stage.CONTESTED if held.contested_with == name else came


def mend(known: Incident, decision: Decision, seen: Seen | None, now: float) -> Advanced | None:
    """Somebody took damage back, or says so."""
    finding, by = decision.finding, mender(decision)
    at = finding.event_time
    if not known.open:
        if known.closed_with == finding.finding_id:
            return known, Stage.CLOSED
        if not known.opened_at <= at <= known.closed_at:
            return None
        # The news of who did it came after the key was seen to be right.
        about = {one.aspect for one in known.findings}
        earlier = at < max(known.mended_at, known.damaged_at)
        if not by or by == known.closed_by or earlier or finding.aspect not in about:
            return known, Stage.UNCHANGED
        late = replace(known, mended_by=by, mended_at=at, closed_by=by)
        return replace(late, closed_with=finding.finding_id), Stage.CLOSED
    if by and at >= known.mended_at and finding.aspect in known.wrong:
        known = replace(known, mended_by=by, mended_at=at)
    wrong = known.wrong if seen is None else known.wrong & seen.left
    if finding.kind is Kind.RECOVERY and seen and finding.aspect in seen.unknown:
        wrong -= {finding.aspect}  # its detector knew how it should be
    known = replace(known, wrong=wrong, outcome=(seen and seen.words) or known.outcome)
    if wrong:
        return known, Stage.UNCHANGED
    return close(known, finding, now), Stage.CLOSED


def mender(decision: Decision) -> str:
    """Who took the damage back; "" where nobody called, or nobody vouches for the call."""
    if decision.reason is Reason.OWN_CALL:
        return US
    if decision.finding.actor == Actor() or Outcome.UNCONFIRMED in outcomes(decision):
        return ""
    return decision.finding.actor.name
