"""What people, and the budgets of repairs, make of an incident beside its findings. Pure."""

from msgspec.structs import replace

from monitor.incident import Incident


def closed(incident: Incident, who: str, reason: str, now: float) -> Incident:
    """Closed by a person who says that the key is as it is meant to be."""
    return replace(
        incident,
        wrong=frozenset(),
        contested_at=0.0,
        held_at=0.0,
        closed_at=max(now, incident.opened_at),
        closed_by=f"{who}, by hand",
        outcome=f"closed by hand: {reason}",
    )


def resumed(incident: Incident, who: str, reason: str, now: float) -> Incident:
    """A person says that the fight is over: the key is to be put back without delay."""
    return replace(incident, resumed_at=now, outcome=f"resumed by hand, {who}: {reason}")


def let_go(incident: Incident) -> Incident:
    """The budgets allow to put the key back again."""
    return replace(incident, held_at=0.0, contested_at=0.0, contested_with="")
