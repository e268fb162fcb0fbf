"""What a decision, its repair carried out, says about its key. Pure."""

from typing import Final

from msgspec.structs import replace

from monitor.decision import Decision, Outcome, Reason, Stage, Verdict
from monitor.finding import Kind, Severity

WELL: Final = frozenset({Outcome.DONE, Outcome.ALREADY})


def is_damage(decision: Decision) -> bool:
    """Whether it tells that the key became worse, and nobody approved of that.

    Damage that an approved actor seemed to do was none of theirs if it had to be undone.
    """
    if decision.finding.kind is not Kind.DAMAGE:
        return False
    match decision.verdict:
        case Verdict.REPAIR:
            return True
        case Verdict.TELL:
            return decision.reason is Reason.NO_REPAIRER
        case Verdict.ACCEPT:
            return any(action.calls for action in decision.done)
        case Verdict.DROP:
            return False


def is_mending(decision: Decision) -> bool:
    """Whether it tells that the key became better, or that what it became is right."""
    better = decision.finding.kind in {Kind.RECOVERY, Kind.CHANGE}
    if decision.verdict is Verdict.DROP:
        return better and decision.reason is Reason.OWN_CALL
    return better or decision.verdict is Verdict.ACCEPT


def outcomes(decision: Decision) -> frozenset[Outcome]:
    """Of the repairers: nobody else has acted yet when the incident is looked at."""
    return frozenset(action.outcome for action in decision.done)


def turned_out_well(decision: Decision) -> bool:
    """Whether every repairer saw the key as it should be."""
    found = outcomes(decision)
    return bool(found) and found <= WELL


def is_calm(decision: Decision) -> bool:
    """Whether a change in a maintenance window was confirmed and left as it is."""
    left = not any(one.calls for one in decision.done)
    return decision.verdict is Verdict.ACCEPT and turned_out_well(decision) and left


def is_old_news(decision: Decision) -> bool:
    """Whether AWS Config tells of what people know already, or of what is not so any more.

    It tells of every change that CloudTrail tells of, and later. Its findings are told only where they
    open an incident, make one worse or end one, or where something was done about them.
    """
    finding, incident = decision.finding, decision.incident
    if not finding.source or any(action.calls for action in decision.done):
        return False
    if decision.done and not any(action.finished_at for action in decision.done):
        return True  # somebody is at the key just now: the message comes again
    if incident is None:
        return finding.kind is Kind.DAMAGE and outcomes(decision) == {Outcome.ALREADY}
    return incident.stage in {Stage.REPEATED, Stage.UNCHANGED}


def ends_for_all(decision: Decision) -> bool:
    """Whether a decision that closes an incident is told to more than it names itself.

    What is told only goes to whom its rule names; with rules those may be others than were told of the
    incident.
    """
    if decision.verdict is Verdict.ACCEPT:
        return True
    return decision.finding.kind is Kind.RECOVERY and decision.listeners is not None


def lowered(decision: Decision) -> Decision:
    """The same at low noise: nobody has to get up for it."""
    severity = min(decision.finding.severity, Severity.LOW)
    return replace(decision, finding=replace(decision.finding, severity=severity))
