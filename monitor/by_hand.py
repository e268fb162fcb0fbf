"""What people, and the budgets of repairs, make of an incident beside its findings. Pure."""

from collections.abc import Iterable

from msgspec.structs import replace

from monitor.incident import Incident, over


def closed(incident: Incident, who: str, reason: str, now: float) -> Incident:
    """Closed by a person who says that the key is as it is meant to be."""
    return replace(over(incident, f"{who}, by hand", now), outcome=f"closed by hand: {reason}")


def resumed(incident: Incident, who: str, reason: str, now: float) -> Incident:
    """A person says that the fight is over: the key is to be put back without delay."""
    return replace(incident, resumed_at=now, outcome=f"resumed by hand, {who}: {reason}")


def let_go(incident: Incident, parts: Iterable[str]) -> Incident:
    """The budgets allow to put these parts of the key back again."""
    left = incident.held.difference(parts)
    if left:
        return replace(incident, held=left)
    return replace(incident, held=left, held_at=0.0, contested_at=0.0, contested_with="")
