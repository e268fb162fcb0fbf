"""What a decision, its repair carried out, says about its key. Pure."""

from typing import Final

from monitor.decision import Decision, Outcome, Reason, Verdict
from monitor.finding import Kind

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
