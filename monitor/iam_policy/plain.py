"""What is plain to see in a policy: denied, allowed, public, without asking AWS what IAM would decide.

Enough to tell people that somebody opened or closed a door. IAM user guide, "IAM JSON policy
elements reference".
"""

from collections.abc import Iterable

import msgspec

from monitor.errors import Unreadable
from monitor.iam_policy.callers import ANYBODY, Caller, Truth, any_of, applies, direct_caller, met
from monitor.iam_policy.document import Policy, Statement, parse

NEEDED = (
    "kms:DescribeKey",
    "kms:EnableKey",
    "kms:CancelKeyDeletion",
    "kms:GetKeyPolicy",
    "kms:PutKeyPolicy",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sts:AssumeRole",
    "sns:Publish",
)
"""Without any of these the daemon neither sees, nor repairs, nor tells (aws-facts 8.1)."""
GUARDED = (
    "kms:ScheduleKeyDeletion",
    "kms:DisableKey",
    "kms:DeleteImportedKeyMaterial",
    "kms:PutKeyPolicy",
    "cloudtrail:StopLogging",
    "cloudtrail:DeleteTrail",
    "cloudtrail:PutEventSelectors",
)
"""What an organization forbids to keep its keys, and the sight of them."""


class Denied(msgspec.Struct, frozen=True):
    """Which of the actions that were asked about a policy denies."""

    everywhere: frozenset[str] = frozenset()
    """On every resource, and surely."""
    somewhere: frozenset[str] = frozenset()
    """Surely, but only on some resources."""
    conditionally: frozenset[str] = frozenset()

    @property
    def outright(self) -> frozenset[str]:
        """Under no condition that may not hold."""
        return self.everywhere | self.somewhere

    @property
    def any(self) -> frozenset[str]:
        return self.outright | self.conditionally


def read(document: object) -> Policy | None:
    """The policy in a document; None where it cannot be read as one."""
    try:
        return parse(document)
    except Unreadable:
        return None


def denied(policy: Policy | None, actions: Iterable[str], to: Iterable[str] = ()) -> Denied:
    """Which of `actions` a policy denies.

    `to` are ARNs of roles and users, and names of services: what is denied to none of them does
    not count. Without any, what is denied to anybody does.
    """
    asked, callers = tuple(actions), [called(one) for one in to]
    everywhere: set[str] = set()
    somewhere: set[str] = set()
    conditionally: set[str] = set()
    for one in policy.statements if policy else ():
        truth = False if one.allow else concerns(one, callers)
        if truth is False:
            continue
        found = {action for action in asked if one.takes_in(action)}
        if truth is None:
            conditionally |= found
        elif one.everywhere:
            everywhere |= found
        else:
            somewhere |= found
    return Denied(frozenset(everywhere), frozenset(somewhere), frozenset(conditionally))


def concerns(statement: Statement, callers: list[Caller]) -> Truth:
    """Whether a statement is about any of the callers; without any, about anybody at all."""
    if not callers:
        return met(statement, ANYBODY)
    return any_of(applies(statement, one) for one in callers)


def called(name: str) -> Caller:
    return direct_caller(name) if name.startswith("arn:") else Caller("", service=name)


def allows(policy: Policy | None, action: str) -> bool:
    """Whether any statement allows the action at all, to whomever, on whatever."""
    return any(one.allow and one.takes_in(action) for one in (policy.statements if policy else ()))


def is_public(policy: Policy | None) -> bool:
    """Whether any statement allows something to everybody, without a condition."""
    return any(
        one.allow and one.for_all and not one.conditions
        for one in (policy.statements if policy else ())
    )
