"""CloudEvents 1.0 in JSON, structured mode, around the notification. Pure."""

from typing import Any

from monitor.decision import Decision
from monitor.telling import advice, notification
from monitor.telling.headline import NAME, clean
from monitor.telling.times import moment

TYPE = "io.kms-monitor.notification.v1"


def occasion(decision: Decision) -> str:
    """One message of one finding: the same for a redelivery, another for another stage of the repair."""
    incident = decision.incident
    stage = f".{incident.stage.value}" if incident else ""
    return f"{notification.identity(decision.finding)}.{advice.stage(decision)}{stage}"


def cloud_event(decision: Decision, environment: str) -> dict[str, Any]:
    finding = decision.finding
    event = {
        "specversion": "1.0",
        "id": occasion(decision),
        "source": f"/kms-monitor/{clean(environment, NAME) or 'default'}",
        "type": TYPE,
        "datacontenttype": "application/json",
        "data": notification.message(decision, environment),
    }
    if at := moment(finding.event_time):
        event["time"] = at
    if subject := clean(finding.key.arn if finding.key else finding.resource):
        event["subject"] = subject
    return event
