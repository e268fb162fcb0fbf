"""Whom a damaged key's caller can be kept from, and by which policy. Pure.

A session of a role loses its rights by what the console's "Revoke active sessions" does: an inline
policy of the role that denies everything to sessions issued before a moment (IAM user guide, "Revoke
IAM role temporary security credentials"). Whoever may still assume the role gets a new session, so
that this ends a stolen session, not a stolen way to get one. An IAM user, whose access keys have
no such moment, is denied everything until somebody takes the policy away.

A denial in an identity's own policy stands above every permission (IAM user guide, "Policy evaluation
logic"), and does not bind the root user, nor roles that AWS keeps to itself.
"""

import json
import math
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import msgspec

from monitor.clock import iso
from monitor.decision import Decision, Outcome
from monitor.finding import Actor

PREFIX: Final = "kms-monitor-contain-"
"""Of the names of our inline policies, by which they are found again."""
IDENTITY: Final = re.compile(
    r"arn:aws[a-z-]{0,20}:iam::(?P<account>[0-9]{12}):(?P<kind>user|role)/"
    r"(?P<path>(?:[!-.0-~]{1,512}/){0,64})(?P<name>[A-Za-z0-9_+=,.@-]{1,128})"
)
ISSUED: Final = "aws:TokenIssueTime"
Denied = Literal["all", "damage"]
DAMAGE: Final = (
    "kms:CreateGrant",
    "kms:Delete*",
    "kms:Disable*",
    "kms:DisconnectCustomKeyStore",
    "kms:ImportKeyMaterial",
    "kms:Put*",
    "kms:ReplicateKey",
    "kms:RetireGrant",
    "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:Update*",
    "cloudtrail:Delete*",
    "cloudtrail:Put*",
    "cloudtrail:Stop*",
    "cloudtrail:Update*",
    "events:Delete*",
    "events:Disable*",
    "events:Put*",
    "events:Remove*",
    "sqs:DeleteQueue",
    "sqs:PurgeQueue",
    "sqs:SetQueueAttributes",
    "iam:Add*",
    "iam:Attach*",
    "iam:Create*",
    "iam:Delete*",
    "iam:Detach*",
    "iam:PassRole",
    "iam:Put*",
    "iam:Remove*",
    "iam:Set*",
    "iam:Update*",
    "sts:AssumeRole",
)
"""What takes keys away, puts our eyes out, or gets rid of the denial itself. A user's inline policies
have room for 2,048 characters altogether (IAM user guide, "IAM and AWS STS quotas")."""


class Target(msgspec.Struct, frozen=True):
    """The user or the role that answers for a call."""

    kind: Literal["user", "role"]
    account: str
    name: str
    """Without its path."""
    arn: str


def found_worse(decision: Decision) -> bool:
    """Whether whoever repairs had to put the key back, or could not.

    CloudTrail's history proves who called, not how the key is now. Where AWS lets us not even look
    (DENIED) the history alone has to do: that is what a policy looks like that locks us out.
    """
    return any(
        action.calls or action.outcome in {Outcome.WOULD, Outcome.REFUSED, Outcome.DENIED}
        for action in decision.done
        if not action.about_caller
    )


def target(actor: Actor) -> Target | str:
    """Whom to contain, or why nobody can be. The ARN came with the event: to be confirmed."""
    arn = actor.answerable
    if arn.endswith(":root"):
        return "it was the root user, whom no policy of its own account binds"
    if actor.is_aws:
        return "it was a role that only AWS can assume"
    if actor.on_an_errand:
        return "AWS made the call by itself for somebody"
    if ":role/aws-reserved/" in arn:
        # IAM user guide, "Disabling permissions for temporary security credentials": such roles
        # cannot be edited.
        return "only IAM Identity Center can revoke the sessions of its roles"
    return identity_of(arn) or "the event names no IAM user or role"


def identity_of(arn: str) -> Target | None:
    """The IAM user or role of an ARN of its own, path included."""
    found = IDENTITY.fullmatch(arn)
    if found is None:
        return None
    kind: Literal["user", "role"] = "user" if found["kind"] == "user" else "role"
    return Target(kind, found["account"], found["name"], arn)


def is_spared(one: Target, actor: Actor, patterns: Iterable[str]) -> bool:
    """Whether a break-glass pattern names the user, the role, or the session."""
    return any(
        fnmatchcase(arn, pattern) for pattern in patterns for arn in {one.arn, actor.arn} if arn
    )


def is_ours(one: Target, identity: str, role_arn: str = "") -> bool:
    """Whether it is what we are: by the ARN that STS tells us, or by the role that we assume."""
    session = f":{one.account}:assumed-role/{one.name}/"
    return one.arn in {identity, role_arn} or (one.kind == "role" and session in identity)


def policy_name(occasion: str) -> str:
    """The name of the inline policy for an incident, or for a finding where there is none."""
    return PREFIX + re.sub(r"[^0-9a-zA-Z-]", "", occasion)[:32]


def policy_document(one: Target, denied: Denied, before: float) -> str:
    """The denial, as compact JSON. `before`: sessions issued before it (epoch seconds) lose."""
    statement: dict[str, Any] = {
        "Sid": "KmsMonitorContains",
        "Effect": "Deny",
        "Action": ["*"] if denied == "all" else list(DAMAGE),
        "Resource": ["*"],
    }
    if one.kind == "role":
        # CloudTrail's times are whole seconds: the session may be of this very one.
        statement["Condition"] = {"DateLessThan": {ISSUED: iso(math.floor(before) + 1)}}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return json.dumps(document, separators=(",", ":"))


def holds(document: object, wanted: str) -> bool:
    """Whether a policy that is there denies as much as the wanted one, or more: until later."""
    try:
        (there,) = listed(document)
        (ours,) = listed(json.loads(wanted))
        until, needed = until_of(there), until_of(ours)
        same = {**there, "Condition": None} == {**ours, "Condition": None}
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
    return same and bool(until) is bool(needed) and until >= needed


def listed(document: Any) -> list[dict[str, Any]]:
    return list(document["Statement"])


def until_of(statement: dict[str, Any]) -> str:
    """The moment of its condition, in ISO-8601 of one length, so that texts compare as moments."""
    if "Condition" not in statement:
        return ""
    return str(statement["Condition"]["DateLessThan"][ISSUED])
