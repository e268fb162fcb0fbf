"""What a notification says of an incident. Pure."""

from monitor.decision import IncidentNote, Stage
from monitor.incident import Incident


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
    )
