"""Somebody took rights from the daemon's own roles or users, or changed who may be them.

IAM's calls and their members: aws-facts 7.4. `roleName` has no path, a role's ARN has one; so a
role is known by its account and its name, which is unique in an account whatever the path.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from monitor.detector import About, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.iam_policy.plain import NEEDED, allows, denied, read
from monitor.parameters import member, noun_and_resource, number, short, text
from monitor.whose import OnOurs

IAM = "iam.amazonaws.com"
TAKEN = {
    "DetachRolePolicy": "lost a managed policy",
    "DeleteRolePolicy": "lost an inline policy",
    "DeleteRole": "was deleted",
    "PutRolePermissionsBoundary": "got a permissions boundary",
    "RemoveRoleFromInstanceProfile": "was taken out of an instance profile",
    "DetachUserPolicy": "lost a managed policy",
    "DeleteUserPolicy": "lost an inline policy",
    "DeleteUser": "was deleted",
    "PutUserPermissionsBoundary": "got a permissions boundary",
    "DeleteAccessKey": "lost an access key",
    "DeletePolicy": "was deleted",
}
"""What takes rights away at once."""
OTHERS = {
    "RemoveUserFromGroup": (Severity.HIGH, "was taken out of a group"),
    "CreateAccessKey": (Severity.HIGH, "got one more access key"),
    "SetDefaultPolicyVersion": (Severity.HIGH, "got another default version"),
    "DeleteRolePermissionsBoundary": (Severity.LOW, "lost its permissions boundary"),
    "DeleteUserPermissionsBoundary": (Severity.LOW, "lost its permissions boundary"),
    "DeletePolicyVersion": (Severity.LOW, "lost an old version"),
}
WRITTEN = frozenset({"PutRolePolicy", "PutUserPolicy", "CreatePolicyVersion"})
"""Calls that bring a policy of rights with them."""
ATTACHED = frozenset({"AttachRolePolicy", "AttachUserPolicy"})
CHANGED = frozenset({"UpdateAssumeRolePolicy", "UpdateRole", "UpdateUser", "UpdateAccessKey"})
FORBIDDING = ("/AWSDenyAll", "/AWSCompromisedKeyQuarantine")
"""AWS's own policies that deny: everything, or what a leaked key is used for."""
PROVIDERS = {
    "DeleteOpenIDConnectProvider": "was deleted",
    "UpdateOpenIDConnectProviderThumbprint": "trusts other certificates",
    "RemoveClientIDFromOpenIDConnectProvider": "lost a client id",
}
"""Pods get their role through it (IRSA), and it belongs to the account, not to one role."""


class OurRightsChanged(OnOurs[NoOptions]):
    name: ClassVar = "our_rights_changed"
    title: ClassVar = "Rights of the daemon changed"
    about: ClassVar = About(
        description="Somebody changed an IAM role, user or policy that the daemon works with: took "
        "rights away, forbade something, changed who may be it, or deleted it. Without its rights "
        "the daemon sees an attack on a key and cannot undo it.",
        severity="critical where rights are taken away or denied; high where others may now be the "
        "daemon, or it may no longer be itself; medium where what changed cannot be told, such as a "
        "policy of somebody's own attached; low for other changes",
        techniques=("T1098.003", "T1531", "T1562.001"),
        false_positives=(
            "The daemon's roles are rolled out anew, by Terraform or CloudFormation.",
            "An access key of the daemon's user is rotated.",
        ),
        advice=(
            "Find out whether whoever did it was meant to.",
            "Give the daemon its rights back: kms-monitor generate iam prints what it needs.",
            "Until then, watch the keys by hand: the daemon may be unable to repair them.",
        ),
        references=(
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html",
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html",
            "https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAssumeRolePolicy.html",
            "https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html",
        ),
    )
    events: ClassVar = frozenset(
        (IAM, name) for name in (*TAKEN, *OTHERS, *WRITTEN, *ATTACHED, *CHANGED, *PROVIDERS)
    )

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        if event.event_name in PROVIDERS:
            return self.provider(event, request)
        subject = self.subject(event, request)
        if not subject:
            return []
        if event.failed:
            return [self.attempt(event, event.event_name, resource=subject)]
        severity, what = judge(event.event_name, request)
        if event.event_name in ATTACHED and severity == Severity.LOW and self.may_deny(request):
            severity = Severity.MEDIUM
        if severity is None:
            return []
        return [
            self.finding(
                event,
                f"The daemon's {called(subject)} {what}",
                severity,
                kind=Kind.NOTICE,
                resource=subject,
                details=facts(request),
            )
        ]

    def may_deny(self, request: dict[str, Any]) -> bool:
        """What a policy says that is neither AWS's nor one of ours no record of this shows."""
        arn = text(request, "policyArn")
        return ":iam::aws:policy/" not in arn and arn not in self.knowledge.watched.policies

    def subject(self, event: Event, request: dict[str, Any]) -> str:
        """The ARN of the role, user or policy of ours that the call is about; "" if it is none."""
        given = [("role", text(request, "roleName")), ("user", text(request, "userName"))]
        policy = text(request, "policyArn")
        named = any(name for _, name in given)
        if not named and not policy:
            if event.failed:
                # A denied call says it in its text only: `role NAME`, `user NAME`, `policy ARN`.
                noun, policy = noun_and_resource(event.error_message)
                given = [(noun or place_of(policy)[1], policy)]
            elif ":user/" in event.actor.arn:
                # An access key without a user's name is the caller's own.
                given = [("user", event.actor.arn)]
        ours = self.knowledge.watched
        account = event.recipient_account_id or ""
        for kind, name in given:
            wanted = (account, kind, name.rpartition("/")[2].lower())
            for arn in sorted(ours.roles):
                # IAM tells no names apart by capital letters ("IAM and AWS STS quotas").
                if name and wanted == (*place_of(arn)[:2], place_of(arn)[2].lower()):
                    return arn
        # That our policy is given to, or taken from, somebody else is no loss of ours.
        return policy if policy in ours.policies and not named else ""

    def provider(self, event: Event, request: dict[str, Any]) -> Iterable[Finding]:
        """An OpenID Connect provider: whose roles hang on it cannot be told from the record."""
        roles = self.knowledge.watched.roles
        account = event.recipient_account_id or ""
        if roles and not any(place_of(arn)[0] == account for arn in roles):
            return []
        if event.failed:
            return [self.attempt(event, event.event_name)] if roles else []
        arn = text(request, "openIDConnectProviderArn")
        return [
            self.finding(
                event,
                f"An OpenID Connect provider {PROVIDERS[event.event_name]}",
                Severity.HIGH if roles else Severity.MEDIUM,
                kind=Kind.NOTICE,
                resource=arn if ":oidc-provider/" in arn else "",
                details={"provider": short(arn.partition(":oidc-provider/")[2])},
            )
        ]


def judge(name: str, request: dict[str, Any]) -> tuple[Severity | None, str]:
    """How severe a call on what is ours is, and what it did; None where it does not matter."""
    if name in TAKEN:
        return Severity.CRITICAL, TAKEN[name]
    if name in OTHERS:
        return OTHERS[name]
    if name in WRITTEN:
        return judge_rights(name, request)
    if name in ATTACHED:
        arn = text(request, "policyArn")
        if any(one in arn for one in FORBIDDING):
            return Severity.CRITICAL, "got a policy of AWS's that denies"
        return Severity.LOW, "got a managed policy"
    return judge_change(name, request)


def judge_rights(name: str, request: dict[str, Any]) -> tuple[Severity, str]:
    """A policy that is written: what it denies counts, wherever and under whatever condition."""
    policy = read(member(request, "policyDocument"))
    if name == "CreatePolicyVersion" and not member(request, "setAsDefault"):
        return Severity.LOW, "got one more version"
    if denied(policy, NEEDED).any:
        return Severity.CRITICAL, "is now denied what it needs"
    if policy is None:
        return Severity.HIGH, "got a policy that cannot be read"
    written = "got another version" if name == "CreatePolicyVersion" else "got an inline policy"
    return Severity.MEDIUM, written


def judge_change(name: str, request: dict[str, Any]) -> tuple[Severity | None, str]:
    match name:
        case "UpdateAssumeRolePolicy":
            policy = read(member(request, "policyDocument"))
            ways = ("sts:AssumeRole", "sts:AssumeRoleWithWebIdentity")
            if denied(policy, ways).any or not any(allows(policy, one) for one in ways):
                return Severity.CRITICAL, "may be assumed by nobody, or not by all, any more"
            return Severity.HIGH, "may be assumed by others than before"
        case "UpdateRole" if (seconds := number(member(request, "maxSessionDuration"))) is not None:
            return Severity.LOW, f"may be assumed for {seconds:.0f} seconds at most"
        case "UpdateUser" if text(request, "newUserName") or text(request, "newPath"):
            return Severity.HIGH, "was renamed"
        case "UpdateAccessKey" if text(request, "status").lower() == "inactive":
            return Severity.CRITICAL, "had an access key switched off"
        case _:
            return None, ""


def place_of(arn: str) -> tuple[str, str, str]:
    """Account, kind and bare name of a role's or user's ARN."""
    parts = arn.split(":", 5)
    kind, _, name = parts[-1].partition("/")
    return (parts[4] if len(parts) == 6 else ""), kind, name.rpartition("/")[2]


def called(arn: str) -> str:
    """What people call it: `role kms-monitor`. Only for ARNs that are ours, hence no longer text."""
    _, kind, name = place_of(arn)
    return f"{kind} {short(name)}"


def facts(request: dict[str, Any]) -> dict[str, str]:
    """What the request says, for people; documents are too long for that."""
    named = ("policyName", "policyArn", "permissionsBoundary", "groupName", "accessKeyId")
    more = ("instanceProfileName", "versionId", "newUserName")
    given = {name: text(request, name) for name in (*named, *more)}
    words = {"policyName": "policy_name", "policyArn": "policy", "accessKeyId": "access_key"}
    return {words.get(name, name): short(value) for name, value in given.items() if value}
