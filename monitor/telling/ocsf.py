"""OCSF 1.5 Detection Finding (class 2004) with the cloud profile. Pure.

Schema: schema.ocsf.io, version 1.5.0. `activity_id` is 1 Create, 2 Update or 3 Close, after what the finding did to
its incident; `finding_info.uid` is the same for the whole incident. The notification stands whole
in `unmapped`, for whoever wants what OCSF has no place for.
"""

import ipaddress
from importlib.metadata import version
from typing import Any, Final

from monitor.decision import Decision, Stage
from monitor.finding import Finding, Severity
from monitor.key import partition_of
from monitor.telling import advice, notification
from monitor.telling.headline import LIMIT, NAME, clean, subject

VERSION: Final = "1.5.0"
CLASS: Final = 2004
CREATE, UPDATE, CLOSE = 1, 2, 3
NEW, IN_PROGRESS, RESOLVED = 1, 2, 4
AWS_ACCOUNT: Final = 10
RULE: Final = 1
NAMES: Final = {CREATE: "Create", UPDATE: "Update", CLOSE: "Close"}


def milliseconds(epoch: float) -> int:
    """As OCSF has times; 0 for what no clock can have said."""
    return int(epoch * 1000) if 0 < epoch < 1e11 else 0


def activity(decision: Decision) -> int:
    incident = decision.incident
    if incident is None or incident.stage is Stage.OPENED:
        return CREATE
    return CLOSE if incident.stage is Stage.CLOSED else UPDATE


def status(decision: Decision) -> int:
    if decision.incident is None:
        return NEW
    return RESOLVED if decision.incident.closed_at else IN_PROGRESS


def detection_finding(decision: Decision, environment: str, now: float) -> dict[str, Any]:
    """`now`: when it is told (epoch seconds)."""
    finding = decision.finding
    did = activity(decision)
    at = milliseconds(finding.event_time)
    opened = decision.incident.opened_at if decision.incident else finding.event_time
    info: dict[str, Any] = {
        "uid": notification.group(decision),
        "title": subject(decision, environment),
        "desc": f"{clean(finding.title)}. {advice.impact(decision)}",
        "types": [clean(advice.category(finding), NAME)],
        "created_time": milliseconds(opened),
        "first_seen_time": milliseconds(opened),
        "last_seen_time": at,
        "modified_time": milliseconds(now),
        "analytic": {"uid": clean(finding.detector, NAME), "name": clean(finding.detector, NAME)}
        | {"type_id": RULE, "type": "Rule"},
        "data_sources": ["CloudTrail"],
    }
    if finding.techniques:
        info["attacks"] = [
            {"technique": {"uid": clean(one, 16), "name": clean(one, 16)}}
            for one in finding.techniques[:20]
        ]
    if pages := advice.links(finding):
        info["src_url"] = pages.get("event") or pages["key"]
    return {
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "category_uid": 2,
        "category_name": "Findings",
        "activity_id": did,
        "activity_name": NAMES[did],
        "type_uid": CLASS * 100 + did,
        "type_name": f"Detection Finding: {NAMES[did]}",
        # Whoever looks at severe findings alone has to see that one of them is closed.
        "severity_id": int(decision.weight),
        "severity": "Informational"
        if decision.weight is Severity.INFO
        else decision.weight.word.capitalize(),
        "status_id": status(decision),
        "time": at,
        "is_alert": True,
        "message": subject(decision, environment),
        "metadata": {
            "version": VERSION,
            "profiles": ["cloud"],
            "uid": notification.identity(finding),
            "correlation_uid": notification.group(decision),
            "product": {
                "name": "kms-monitor",
                "vendor_name": "kms-monitor",
                "version": version("kms-monitor"),
            },
        },
        "cloud": {
            "provider": "AWS",
            "region": clean(finding.region, NAME),
            "account": account(clean(finding.account, NAME)),
        },
        "finding_info": info,
        "resources": [resource(finding)],
        "evidences": [evidence(finding)],
        "remediation": {"desc": "\n".join(notification.what_to_do(decision)) or "None."},
        "unmapped": {"notification": notification.message(decision, environment)},
    }


def account(number: str) -> dict[str, Any]:
    return {"uid": number, "name": number, "type_id": AWS_ACCOUNT, "type": "AWS Account"}


def resource(finding: Finding) -> dict[str, Any]:
    key = finding.key
    found: dict[str, Any] = {
        "uid": clean(key.arn if key else finding.resource) or "unknown",
        "type": "AWS::KMS::Key" if key or not finding.resource else "AWS resource",
        "region": clean(key.region if key else finding.region, NAME),
        "cloud_partition": clean(key.partition if key else partition_of(finding.region), NAME),
    }
    if finding.tags:
        found["labels"] = [
            f"{clean(name, NAME)}={clean(value, LIMIT)}"
            for name, value in list(finding.tags.items())[:20]
        ]
    return found


def evidence(finding: Finding) -> dict[str, Any]:
    """The call: which, by whom, from where."""
    actor = finding.actor
    found: dict[str, Any] = {
        "api": {
            "operation": clean(finding.event_name, NAME) or "unknown",
            "request": {"uid": clean(finding.event_id, NAME)},
        },
        "actor": {
            "user": {
                "type": clean(actor.type, NAME),
                "name": clean(actor.name),
                "uid": clean(actor.arn),
                "account": account(clean(actor.account, NAME)),
            },
            "session": {"uid": clean(actor.session, NAME), "is_mfa": actor.mfa},
        },
        "data": {"user_agent": clean(actor.user_agent), "tool": actor.tool},
    }
    if finding.error_code:
        found["api"]["response"] = {"error": clean(finding.error_code, NAME)}
    if address := ip(actor.source_ip):
        found["src_endpoint"] = {"ip": address}
    elif actor.source_ip:
        found["src_endpoint"] = {"svc_name": clean(actor.source_ip, NAME)}
    return found


def ip(text: str) -> str:
    """An IP address in its usual form; "" for what is none, such as the name of a service."""
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return ""
