"""What a policy of IAM, Organizations or S3 denies, as far as it can be told without asking AWS.

IAM user guide, "JSON policy element reference". CloudTrail carries such documents as JSON, as
URL-encoded JSON, or decoded. This judges Deny statements; it does not work out what is allowed.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import msgspec

LARGEST = 200_000
"""Characters. The largest document that any of the services takes is 20 KiB (a bucket's policy)."""
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
SPARING = ("arnnotlike", "arnnotequals", "stringnotlike", "stringnotequals")
"""Operators that take a principal out of a Deny, in small letters."""

Statement = dict[str, Any]


class Denied(msgspec.Struct, frozen=True):
    """Which of the actions that were asked about a document denies."""

    everywhere: frozenset[str] = frozenset()
    """On every resource and under no condition."""
    somewhere: frozenset[str] = frozenset()
    """Under no condition, but only on some resources."""
    conditionally: frozenset[str] = frozenset()

    @property
    def outright(self) -> frozenset[str]:
        """Under no condition."""
        return self.everywhere | self.somewhere

    @property
    def any(self) -> frozenset[str]:
        return self.outright | self.conditionally


def statements(document: object) -> list[Statement] | None:
    """The statements of a document; None where it cannot be read as one."""
    if isinstance(document, str):
        document = decoded(document)
    if not isinstance(document, dict):
        return None
    found = document.get("Statement")
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list):
        return None
    return [one for one in found if isinstance(one, dict)]


def decoded(document: str) -> object:
    """A document as CloudTrail writes it: JSON, which IAM's calls often bring URL-encoded."""
    if len(document) > LARGEST:
        return None
    for text in (document, unquote(document)):
        try:
            return msgspec.json.decode(text)
        except (ValueError, RecursionError):
            continue
    return None


def denied(
    document: object,
    actions: Iterable[str],
    spared: Iterable[str] = (),
    principals: Iterable[str] = (),
) -> Denied:
    """Which of `actions` the document denies.

    `spared` are ARNs: a Deny whose condition leaves all of them alone does not count. With
    `principals` (ARNs, names of services) a Deny for others than these does not count either.
    """
    asked, ours, about = tuple(actions), tuple(spared), tuple(principals)
    everywhere: set[str] = set()
    somewhere: set[str] = set()
    conditionally: set[str] = set()
    for statement in statements(document) or []:
        if statement.get("Effect") != "Deny" or leaves_alone(statement, ours):
            continue
        if about and not is_for(statement, about):
            continue
        found = {action for action in asked if is_about(statement, action)}
        if statement.get("Condition"):
            conditionally |= found
        elif "NotResource" in statement or "*" not in listed(statement.get("Resource", "*")):
            somewhere |= found
        else:
            everywhere |= found
    return Denied(frozenset(everywhere), frozenset(somewhere), frozenset(conditionally))


def is_for(statement: Statement, principals: tuple[str, ...]) -> bool:
    """Whether a statement of a resource's policy may concern any of these; NotPrincipal may."""
    if "NotPrincipal" in statement or is_everybody(statement):
        return True
    given = statement.get("Principal")
    groups = given.values() if isinstance(given, dict) else [given]
    named = {one for group in groups for one in listed(group)}
    return any(
        principal in named or (account_of(principal) and account_of(principal) in accounts(named))
        for principal in principals
    )


def accounts(principals: Iterable[str]) -> set[str]:
    """The accounts that are named as a whole: by twelve digits, or by their root."""
    return {account_of(one) or one for one in principals if one.endswith(":root") or one.isdigit()}


def account_of(arn: str) -> str:
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 else ""


def is_about(statement: Statement, action: str) -> bool:
    """Whether a statement's Action, or NotAction, takes in this action."""
    if "NotAction" in statement:
        return not any(matches(one, action) for one in listed(statement["NotAction"]))
    return any(matches(one, action) for one in listed(statement.get("Action")))


def leaves_alone(statement: Statement, ours: tuple[str, ...]) -> bool:
    """Whether a condition on `aws:PrincipalArn` takes all of these out of the statement."""
    conditions = statement.get("Condition")
    if not ours or not isinstance(conditions, dict):
        return False
    for operator, keys in conditions.items():
        if operator.lower().removesuffix("ifexists") not in SPARING or not isinstance(keys, dict):
            continue
        for name, values in keys.items():
            if name.lower() == "aws:principalarn" and all(
                any(matches(pattern, arn) for pattern in listed(values)) for arn in ours
            ):
                return True
    return False


def allows(document: object, action: str) -> bool:
    """Whether any statement allows the action at all, to whomever, on whatever."""
    return any(
        one.get("Effect") == "Allow" and is_about(one, action) for one in statements(document) or []
    )


def is_public(document: object) -> bool:
    """Whether any statement allows something to everybody, without a condition."""
    return any(
        one.get("Effect") == "Allow" and not one.get("Condition") and is_everybody(one)
        for one in statements(document) or []
    )


def is_everybody(statement: Statement) -> bool:
    principal = statement.get("Principal")
    if isinstance(principal, dict):
        principal = principal.get("AWS")
    return "*" in listed(principal)


def listed(value: object) -> list[str]:
    """The texts of a member that may be one text or a list."""
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str)]


def matches(pattern: str, text: str) -> bool:
    """`*` and `?` as IAM understands them. Actions are compared without case, so ARNs are, too."""
    return compiled(pattern.lower()).fullmatch(text.lower()) is not None


@lru_cache(maxsize=512)
def compiled(pattern: str) -> re.Pattern[str]:
    """Runs of stars are one star; each takes as little as it can and never gives back (`(?>`)."""
    parts = re.split(r"\*+", pattern[:2048])
    whole = [re.escape(part).replace(r"\?", ".") for part in parts]
    if len(whole) == 1:
        return re.compile(whole[0], re.DOTALL)
    inner = "".join(f"(?>.*?{part})" for part in whole[1:-1])
    return re.compile(f"{whole[0]}{inner}.*{whole[-1]}", re.DOTALL)
