"""PagerDuty's Events API v2: trigger, acknowledge and resolve. Pure.

Fields and limits: "PD-CEF" and "Send an Alert Event" in PagerDuty's developer documentation (summary 1024
characters, dedup_key 255, an event 512 KB). No field is read as markup.
"""

from typing import Any, Final

from monitor.decision import Decision
from monitor.finding import Severity
from monitor.telling import brief, notification
from monitor.telling.headline import NAME, clean
from monitor.telling.times import moment

SEVERITIES: Final = {
    Severity.INFO: "info",
    Severity.LOW: "info",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "critical",
}


def trigger(decision: Decision, environment: str) -> dict[str, Any]:
    """The event without its routing key."""
    finding, told = decision.finding, brief.brief(decision, environment)
    payload = {
        "summary": told.subject,
        "source": clean(finding.key.arn if finding.key else finding.resource, 255)
        or f"account {clean(finding.account, NAME) or 'unknown'}",
        "severity": SEVERITIES[decision.weight],
        "component": "kms",
        "group": clean(finding.account, NAME),
        "class": clean(finding.detector, NAME),
        "custom_details": notification.message(decision, environment, brief.LONGEST),
    }
    if at := moment(finding.event_time):
        payload["timestamp"] = at
    return {
        "event_action": "trigger",
        "dedup_key": notification.group(decision),
        "client": f"kms-monitor {clean(environment, NAME)}",
        "payload": payload,
        "links": [
            {"href": address, "text": f"{label} in the AWS console"}
            for label, address in told.links.items()
        ],
    }


def follow_up(decision: Decision, action: str) -> dict[str, Any]:
    """`acknowledge` or `resolve` of what was triggered before. Where nothing was, PagerDuty ignores it."""
    return {"event_action": action, "dedup_key": notification.group(decision)}


def storm(decisions: list[Decision], environment: str) -> dict[str, Any]:
    """One alert about many. It stays open until a person resolves it."""
    found = brief.digest(decisions, environment)
    return {
        "event_action": "trigger",
        "dedup_key": f"kms-monitor-storm-{clean(environment, 40)}",
        "client": f"kms-monitor {clean(environment, NAME)}",
        "payload": {
            "summary": found.subject,
            "source": f"kms-monitor {clean(environment, NAME)}",
            "severity": SEVERITIES[found.severity],
            "component": "kms",
            "class": "storm",
            "custom_details": {"findings": found.lines},
        },
    }
