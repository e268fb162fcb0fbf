"""Security Hub findings in ASFF, for BatchImportFindings. Pure.

"AWS Security Finding Format (ASFF)" and "Using BatchImportFindings" in the Security Hub user guide: one Id for the
whole incident, so that each stage updates the same finding; severity and types by
FindingProviderFields; what customers change (workflow, notes) is never set. A finding whose
incident is closed is archived. Title 256 characters, Description 1024, a finding 240 KB.
"""

from typing import Any, Final

from monitor.decision import Decision
from monitor.finding import Finding, Kind, Severity
from monitor.key import partition_of
from monitor.telling import advice, brief, notification, ocsf
from monitor.telling.headline import NAME, clean
from monitor.telling.times import moment

SCHEMA: Final = "2018-10-08"
LABELS: Final = {
    Severity.INFO: "INFORMATIONAL",
    Severity.LOW: "LOW",
    Severity.MEDIUM: "MEDIUM",
    Severity.HIGH: "HIGH",
    Severity.CRITICAL: "CRITICAL",
}
TYPES: Final = {
    "availability": "Effects/Data Destruction",
    "material": "Effects/Data Destruction",
    "policy": "TTPs/Privilege Escalation",
    "rights": "TTPs/Defense Evasion",
    "sight": "TTPs/Defense Evasion",
}
"""By what it is about ("Types taxonomy for ASFF")."""
UNUSUAL: Final = "Unusual Behaviors/User"


def product_arn(account: str, region: str) -> str:
    """The default product of an account, for findings of its own."""
    return f"arn:{partition_of(region)}:securityhub:{region}:{account}:product/{account}/default"


def finding_of(decision: Decision, environment: str, now: float) -> dict[str, Any]:
    """The finding, in the account and Region of what it is about. `now`: epoch seconds."""
    finding, told = decision.finding, brief.brief(decision, environment)
    account, region = (clean(one, NAME) for one in place_of(finding))
    opened = decision.incident.opened_at if decision.incident else finding.event_time
    kind = TYPES.get(advice.category(finding), UNUSUAL) if finding.kind is Kind.DAMAGE else UNUSUAL
    found: dict[str, Any] = {
        "SchemaVersion": SCHEMA,
        "Id": f"kms-monitor/{notification.group(decision)}",
        "ProductArn": product_arn(account, region),
        "GeneratorId": f"kms-monitor/{clean(finding.detector, NAME)}",
        "AwsAccountId": account,
        "CreatedAt": moment(opened) or moment(now),
        "UpdatedAt": moment(now),
        "Title": told.subject,
        "Description": clean(f"{told.facts['What']}. {told.impact}", 1024),
        "FindingProviderFields": {
            "Severity": {"Label": LABELS[decision.weight], "Original": finding.severity.word},
            "Types": [kind],
        },
        "Resources": [resource(finding, account)],
        "RecordState": "ARCHIVED" if brief.is_over(decision) else "ACTIVE",
        "Remediation": {"Recommendation": recommendation(told)},
        "ProductFields": {
            f"kms-monitor/{label.lower().replace(' ', '_')}": value
            for label, value in told.facts.items()
            if value
        }
        | {
            "kms-monitor/finding": notification.identity(finding),
            "kms-monitor/event": clean(finding.event_id, NAME) or "unknown",
            "kms-monitor/done": clean("; ".join(told.done), 1024),
            "kms-monitor/outcome": advice.stage(decision),
        },
    }
    if at := moment(finding.event_time):
        found["LastObservedAt"] = at
        found["FirstObservedAt"] = moment(min(opened, finding.event_time)) or at
        if finding.event_name:
            found["Action"] = {"ActionType": "AWS_API_CALL", "AwsApiCallAction": call(finding, at)}
    if page := told.links.get("key") or told.links.get("event"):
        found["SourceUrl"] = page
    return found


def place_of(finding: Finding) -> tuple[str, str]:
    """Account and Region in which it is told."""
    key = finding.key
    return (key.account, key.region) if key else (finding.account, finding.region)


def recommendation(told: brief.Brief) -> dict[str, str]:
    text = clean(" ".join(told.steps[:3]), 512)
    found = {"Text": text or "See what happened."}
    if page := told.links.get("key"):
        found["Url"] = page
    return found


def resource(finding: Finding, account: str) -> dict[str, Any]:
    key = finding.key
    if key is not None:
        found: dict[str, Any] = {"Type": "AwsKmsKey", "Id": clean(key.arn)}
    elif finding.resource:
        found = {"Type": "Other", "Id": clean(finding.resource)}
    else:
        found = {"Type": "AwsAccount", "Id": f"AWS::::Account:{account}"}
    found["Partition"] = partition_of(finding.region)
    found["Region"] = clean(place_of(finding)[1], NAME)
    if key is not None and finding.tags:
        found["Tags"] = {
            clean(name, 128) or "-": clean(value, 256)
            for name, value in list(finding.tags.items())[:50]
        }
    return found


def call(finding: Finding, at: str) -> dict[str, Any]:
    """Which call it was, and from where."""
    address = ocsf.ip(finding.actor.source_ip)
    found: dict[str, Any] = {
        "Api": clean(finding.event_name, 64),
        "CallerType": "remoteIp" if address else "domain",
        "FirstSeen": at,
        "LastSeen": at,
    }
    if finding.key is not None:
        found["ServiceName"] = "kms.amazonaws.com"
    if address and ":" not in address:
        found["RemoteIpDetails"] = {"IpAddressV4": address}
    elif not address:
        domain = clean(finding.actor.source_ip, 64)
        found["DomainDetails"] = {"Domain": domain or "unknown"}
    return found
