"""Somebody changed what an organization forbids its accounts: too much, or no longer enough.

A service or resource control policy can deny the daemon what it needs, whatever its roles allow;
and it may have been what kept people from deleting keys. Only the management account (or a
delegated administrator) sees these calls, in us-east-1. A record of attaching or detaching does not
hold the policy (aws-facts 7.4), so what policies say is remembered from when they were written.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec
from pydantic import BaseModel, Field

from monitor.detector import About, Base
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.iam_policy.plain import GUARDED, NEEDED, denied, read
from monitor.parameters import member, short, text

ORGANIZATIONS = "organizations.amazonaws.com"
KINDS = frozenset({"SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"})
EVERYTHING_ALLOWED = frozenset({"p-FullAWSAccess", "p-RCPFullAWSAccess"})
"""AWS's own policies: what no attached policy allows is denied, so these allow everything else."""
YEARS = 3 * 366 * 86400.0
"""How long it is remembered what a policy said."""
HURTS = "denies what the daemon needs"
SOMETIMES = "denies under conditions what the daemon needs"
HARMLESS = "harmless"
GUARDS = "guards keys"


class Said(msgspec.Struct, frozen=True):
    """What a policy says, as far as it concerns us."""

    hurts: str = ""
    """HURTS, SOMETIMES or HARMLESS; "" where its text is not known."""
    guards: bool = False


class ControlPolicyOptions(BaseModel, extra="forbid"):
    guards: list[str] = Field(
        [],
        description="Ids (`p-...`) of the control policies that keep people from deleting or "
        "disabling keys. Policies that the daemon saw being written it knows by itself.",
    )


class ServiceControlPolicyChanged(Base[ControlPolicyOptions]):
    name: ClassVar = "service_control_policy_changed"
    title: ClassVar = "Control policy of the organization changed"
    about: ClassVar = About(
        description="Somebody wrote, attached or detached a service or resource control policy "
        "that denies the daemon what it needs or that guarded keys, switched such policies off, "
        "or took an account out of the organization, and so out of their reach.",
        severity="critical where a policy in force denies what the daemon needs; high where all "
        "guards are gone at once, or an account leaves; medium where one guard is gone or a "
        "denial has conditions; low where a policy is attached or detached whose text is not known",
        techniques=("T1562.001", "T1484", "T1666"),
        false_positives=(
            "Control policies are changed by those who look after the organization, as code.",
            "A policy that denies other Regions denies the daemon nothing in its own.",
        ),
        advice=(
            "Find out whether whoever did it was meant to.",
            "Leave the daemon's roles out of the denial, by a condition on aws:PrincipalArn.",
            "Put the guard back, or the account back into the organization.",
        ),
        references=(
            "https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html",
            "https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html",
            "https://docs.aws.amazon.com/organizations/latest/userguide/orgs_cloudtrail-integration.html",
        ),
    )
    events: ClassVar = frozenset(
        (ORGANIZATIONS, name)
        for name in (
            "AttachPolicy",
            "CreatePolicy",
            "DeletePolicy",
            "DetachPolicy",
            "DisablePolicyType",
            "LeaveOrganization",
            "MoveAccount",
            "RemoveAccountFromOrganization",
            "UpdatePolicy",
        )
    )
    Options: ClassVar[type[BaseModel]] = ControlPolicyOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return [self.attempt(event, f"Organizations: {event.event_name}")]
        request = event.request()
        match event.event_name:
            case "CreatePolicy" | "UpdatePolicy":
                return self.written(event, request)
            case "AttachPolicy":
                return self.attached(event, request)
            case "DetachPolicy" | "DeletePolicy":
                return self.detached(event, request)
            case "DisablePolicyType":
                return self.switched_off(event, request)
            case _:
                return self.moved(event, request)

    def written(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        """What a policy says, remembered for the day on which it is attached or detached."""
        summary = member(member(event.response(), "policy"), "policySummary")
        kind = text(summary, "type") or text(request, "type")
        content = member(request, "content")
        if content is None:  # only its name or description changed
            return
        identity = text(request, "policyId") or text(summary, "id")
        before = self.remembered(identity, event)
        now = self.judged(content) if not kind or kind in KINDS else Said(HARMLESS)
        if now.hurts and identity:
            window = self.knowledge.windows.of(self.name, short(identity))
            guards = GUARDS if now.guards else ""
            window.note(event.event_id, event.time, now.hurts, guards, keep=YEARS)
        in_force = event.event_name == "UpdatePolicy"
        if now.hurts == HURTS:
            severity = Severity.CRITICAL if in_force else Severity.HIGH
            yield self.notice(event, f"A control policy {HURTS}", severity, request)
        elif now.hurts == SOMETIMES:
            severity = Severity.MEDIUM if in_force else Severity.LOW
            yield self.notice(event, f"A control policy {SOMETIMES}", severity, request)
        elif before.guards and not now.guards:
            title = "A control policy no longer guards keys"
            yield self.notice(event, title, Severity.MEDIUM, request)

    def judged(self, content: object) -> Said:
        policy = read(content)
        if policy is None:
            return Said()
        hurt = denied(policy, NEEDED, self.knowledge.watched.roles)
        hurts = HURTS if hurt.everywhere else SOMETIMES if hurt.any else HARMLESS
        return Said(hurts, guards=bool(denied(policy, GUARDED).any))

    def remembered(self, identity: str, event: Event) -> Said:
        """What the policy said when it was last written before this event."""
        named = identity in self.options.guards
        window = self.knowledge.windows.of(self.name, short(identity))
        for one in reversed(window.between(0.0, event.time)):
            if one.event_id != event.event_id:
                return Said(one.what, guards=named or one.about == GUARDS)
        return Said(guards=named)

    def attached(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        said = self.remembered(text(request, "policyId"), event)
        if said.hurts in {HURTS, SOMETIMES}:
            severity = Severity.CRITICAL if said.hurts == HURTS else Severity.MEDIUM
            title = f"A control policy was attached that {said.hurts}"
            yield self.notice(event, title, severity, request)
        elif not said.hurts and not said.guards:
            title = "A policy was attached in the organization"
            yield self.notice(event, title, Severity.LOW, request)

    def detached(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        identity = text(request, "policyId")
        said = self.remembered(identity, event)
        if identity in EVERYTHING_ALLOWED:
            title = f"{identity} was detached: what nothing else allows is denied"
            yield self.notice(event, title, Severity.HIGH, request)
        elif said.guards:
            title = "A control policy that guards keys was taken away"
            yield self.notice(event, title, Severity.MEDIUM, request)
        elif not said.hurts and event.event_name == "DetachPolicy":
            title = "A policy was detached in the organization"
            yield self.notice(event, title, Severity.LOW, request)

    def switched_off(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        kind = text(request, "policyType")
        if kind and kind not in KINDS:
            return
        title = "Control policies were switched off in the organization"
        yield self.notice(event, title, Severity.HIGH, request)

    def moved(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        """An account gets out of reach. LeaveOrganization is called by the account itself."""
        leaves = event.event_name == "LeaveOrganization"
        account = (event.recipient_account_id or "") if leaves else text(request, "accountId")
        ours = account in self.knowledge.accounts
        if event.event_name == "MoveAccount":
            title = "An account was moved in the organization, under other policies"
            yield self.notice(event, title, Severity.MEDIUM if ours else Severity.LOW, request)
        else:
            title = "An account left the organization, and its policies"
            severity = Severity.HIGH if ours or not self.knowledge.accounts else Severity.MEDIUM
            yield self.notice(event, title, severity, request)

    def notice(
        self, event: Event, title: str, severity: Severity, request: dict[str, Any]
    ) -> Finding:
        named = ("policyId", "targetId", "policyType", "accountId", "name", "destinationParentId")
        given = {name: text(request, name) for name in named}
        details = {name: short(value) for name, value in given.items() if value}
        return self.finding(event, title, severity, kind=Kind.NOTICE, details=details)
