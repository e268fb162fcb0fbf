"""Somebody switched off another service that would see an attack on keys.

GuardDuty, Security Hub, Access Analyzer, Macie and Inspector, and the organization's access for
them. Their API references name the calls; CloudTrail spells Security Hub's members as the API does.
"""

from collections.abc import Iterable
from typing import ClassVar

from monitor.arns import arn_of
from monitor.detector import About, Base, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import member, short, switched_off, text, texts

ANALYZER = "access-analyzer.amazonaws.com"
GUARDDUTY = "guardduty.amazonaws.com"
HUB = "securityhub.amazonaws.com"
INSPECTOR = "inspector2.amazonaws.com"
MACIE = "macie2.amazonaws.com"
ORGANIZATIONS = "organizations.amazonaws.com"
LEFT = ("DisassociateFromAdministratorAccount", "DisassociateFromMasterAccount")
"""A member leaves the account that watches it; the second name is the old one."""
DROPPED = ("DeleteMembers", "DisassociateMembers")
"""The watching account lets members go."""
SERVICES = {
    ANALYZER: "Access Analyzer",
    GUARDDUTY: "GuardDuty",
    HUB: "Security Hub",
    INSPECTOR: "Inspector",
    MACIE: "Macie",
    ORGANIZATIONS: "Organizations",
}
SWITCHES = {
    (GUARDDUTY, "DeleteDetector"): (Severity.HIGH, "was switched off"),
    (GUARDDUTY, "StopMonitoringMembers"): (Severity.HIGH, "no longer watches member accounts"),
    (GUARDDUTY, "DisableOrganizationAdminAccount"): (Severity.HIGH, "lost its administrator"),
    (GUARDDUTY, "DeletePublishingDestination"): (Severity.MEDIUM, "no longer exports findings"),
    (HUB, "DisableSecurityHub"): (Severity.HIGH, "was switched off"),
    (HUB, "BatchDisableStandards"): (Severity.MEDIUM, "no longer checks a standard"),
    (HUB, "DisableImportFindingsForProduct"): (Severity.MEDIUM, "no longer takes findings in"),
    (HUB, "DisableOrganizationAdminAccount"): (Severity.MEDIUM, "lost its administrator"),
    (ANALYZER, "DeleteAnalyzer"): (Severity.MEDIUM, "lost an analyzer"),
    (MACIE, "DisableMacie"): (Severity.MEDIUM, "was switched off"),
    (MACIE, "DisableOrganizationAdminAccount"): (Severity.LOW, "lost its administrator"),
    (INSPECTOR, "Disable"): (Severity.LOW, "was switched off"),
    **{(GUARDDUTY, one): (Severity.HIGH, "lost its administrator") for one in LEFT},
    **{(GUARDDUTY, one): (Severity.HIGH, "let member accounts go") for one in DROPPED},
    **{(HUB, one): (Severity.MEDIUM, "lost its administrator") for one in LEFT},
    **{(HUB, one): (Severity.MEDIUM, "let member accounts go") for one in DROPPED},
    **{(MACIE, one): (Severity.LOW, "lost its administrator") for one in LEFT},
}
"""What always takes sight away."""
WATCHERS = {
    "cloudtrail.amazonaws.com": Severity.HIGH,
    "config.amazonaws.com": Severity.MEDIUM,
    "guardduty.amazonaws.com": Severity.MEDIUM,
    "securityhub.amazonaws.com": Severity.MEDIUM,
    "access-analyzer.amazonaws.com": Severity.LOW,
}
"""Services that watch a whole organization, as long as it trusts them."""
TOLD_WHEN_TRIED = frozenset({*SWITCHES, (ORGANIZATIONS, "DisableAWSServiceAccess")})
"""The others are daily work, and a denied call does not say what it was to do (aws-facts 2.4)."""


class GuardServiceOff(Base[NoOptions]):
    name: ClassVar = "guard_service_off"
    title: ClassVar = "A security service switched off"
    about: ClassVar = About(
        description="Somebody switched off GuardDuty, Security Hub, Access Analyzer, Macie or "
        "Inspector, took an account out of their sight, made them keep quiet, or ended an "
        "organization's trust in them. An attacker does so before he goes for the keys.",
        severity="high for GuardDuty, for Security Hub as a whole and for the organization's trust "
        "in CloudTrail; medium for parts of Security Hub, GuardDuty filters that archive, Access "
        "Analyzer and Macie; low for Inspector",
        techniques=("T1562.001", "T1562.008"),
        false_positives=(
            "A service is not wanted in an unused Region, or moves to another administrator.",
            "Findings that are known to be harmless are archived by a filter.",
        ),
        advice=(
            "Find out whether whoever did it was meant to.",
            "Switch the service on again, in every Region where it was.",
            "Look for what the same caller did before and after.",
        ),
        references=(
            "https://docs.aws.amazon.com/guardduty/latest/APIReference/API_DeleteDetector.html",
            "https://docs.aws.amazon.com/guardduty/latest/APIReference/API_UpdateDetector.html",
            "https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_DisableSecurityHub.html",
            "https://docs.aws.amazon.com/access-analyzer/latest/APIReference/API_DeleteAnalyzer.html",
            "https://docs.aws.amazon.com/organizations/latest/APIReference/API_DisableAWSServiceAccess.html",
        ),
    )
    events: ClassVar = frozenset(
        {
            *TOLD_WHEN_TRIED,
            (GUARDDUTY, "UpdateDetector"),
            (GUARDDUTY, "CreateFilter"),
            (GUARDDUTY, "UpdateFilter"),
            (HUB, "UpdateStandardsControl"),
        }
    )

    def inspect(self, event: Event) -> Iterable[Finding]:
        call = (event.event_source, event.event_name)
        service = SERVICES.get(event.event_source, "A security service")
        if event.failed:
            told = call in TOLD_WHEN_TRIED
            return [self.attempt(event, f"{service}: {event.event_name}")] if told else []
        severity, what = SWITCHES.get(call) or partly(event)
        if severity is None:
            return []
        request = event.request()
        detector = text(request, "detectorId")
        return [
            self.finding(
                event,
                f"{service} {what}",
                severity,
                kind=Kind.NOTICE,
                resource=arn_of(event, "guardduty", detector, kind="detector/"),
                details=facts(request),
            )
        ]


def partly(event: Event) -> tuple[Severity | None, str]:
    """How severe a change is that takes sight away only with certain values; None where it does not."""
    request = event.request()
    match event.event_name:
        case "UpdateDetector" if switched_off(member(request, "enable")):
            return Severity.HIGH, "was suspended"
        case "CreateFilter" | "UpdateFilter" if text(request, "action") == "ARCHIVE":
            return Severity.MEDIUM, "archives findings by a filter"
        case "UpdateStandardsControl" if text(
            request, "controlStatus"
        ) == "DISABLED" and "/KMS." in text(request, "standardsControlArn"):
            return Severity.MEDIUM, "no longer checks keys"
        case "DisableAWSServiceAccess":
            service = text(request, "servicePrincipal")
            return WATCHERS.get(service), f"no longer trusts {short(service)}"
        case _:
            return None, ""


def facts(request: dict[str, object]) -> dict[str, str]:
    """What the request says, for people."""
    given = {
        "name": text(request, "name", "filterName", "analyzerName", "standardsControlArn"),
        "accounts": ", ".join(texts(member(request, "accountIds", "adminAccountId"))),
        "standards": ", ".join(texts(member(request, "standardsSubscriptionArns"))),
    }
    return {name: short(value) for name, value in given.items() if value}
