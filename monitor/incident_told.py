"""What a notification says of an incident. Pure."""

from typing import Final

from monitor.decision import IncidentNote, Stage
from monitor.incident import Incident, is_no_call

MOST_ACTORS: Final = 5


def told(incident: Incident, stage: Stage, now: float) -> IncidentNote:
    """What a notification says of it."""
    return IncidentNote(
        id=incident.id,
        stage=stage,
        opened_at=incident.opened_at,
        severity=incident.severity,
        findings=incident.count,
        at=now,
        closed_at=incident.closed_at,
        closed_by=incident.closed_by,
        silent=incident.silent,
        evidence=incident.evidence,
        contested=bool(incident.contested_at),
        actors=actors(incident) if incident.contested_at else (),
    )


def actors(incident: Incident) -> tuple[str, ...]:
    """Whose calls its findings tell of, the latest first."""
    names = (one.actor for one in reversed(incident.findings) if not is_no_call(one.event_name))
    return tuple(dict.fromkeys(names))[:MOST_ACTORS]
