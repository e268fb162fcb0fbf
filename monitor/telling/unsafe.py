"""How long a key was not as it should be. Pure."""

import math

from monitor.decision import Decision, Outcome
from monitor.finding import Kind
from monitor.telling import advice
from monitor.telling.times import ago


def unsafe_seconds(decision: Decision) -> int | None:
    """From the first bad event until it was put right; None while it is not, or was never wrong."""
    incident = decision.incident
    if incident is not None and incident.closed_at:
        return whole(incident.closed_at - incident.opened_at)
    if decision.finding.kind is not Kind.DAMAGE or advice.stage(decision) != Outcome.DONE:
        return None
    ended = max(action.finished_at for action in advice.repairs(decision))
    return whole(ended - decision.finding.event_time) if ended else None


def whole(seconds: float) -> int | None:
    """None where a clock said nonsense."""
    return round(max(0.0, seconds)) if math.isfinite(seconds) else None


def unsafe_lines(decision: Decision) -> list[str]:
    """For people; nothing where there is nothing to say."""
    seconds = unsafe_seconds(decision)
    return [] if seconds is None else [f"Unsafe  for {ago(seconds)}"]
