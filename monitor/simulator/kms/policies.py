"""Key policies: reading them, and judging a call by them. Modest, but honest.

Judged: Principal and NotPrincipal (AWS, Service, "*"), Action and NotAction with wildcards, Resource,
and the conditions kms:CallerAccount, kms:ViaService and aws:PrincipalArn under StringEquals,
StringLike, ArnLike, ArnEquals and their IfExists forms. A condition that is not known here counts as
not matching in an Allow and as matching in a Deny: when in doubt the call is refused, so that a test
can never pass by a permission that AWS would not give.

Identity policies are not the business of this module: a policy that delegates to the account root is
taken as "IAM says yes"; the endpoint adds its own deny rules before it asks KMS.
"""

import json
import re
from functools import lru_cache
from typing import Any, Self

import msgspec

from monitor.simulator.words import Caller, Refusal

POLICY_BYTES = 32 * 1024
_PRINCIPAL = re.compile(r"\*|\d{12}|arn:aws[a-z-]*:(iam|sts)::\d{12}:[\x21-\x7e]+|A[A-Z0-9]{15,}")
_MATCHERS = {"StringEquals": False, "StringLike": True, "ArnLike": True, "ArnEquals": True}


class Question(msgspec.Struct, frozen=True):
    """May this caller do that with this key?"""

    action: str
    """Without the prefix: `DisableKey`."""
    caller: Caller
    key_arn: str
    region: str


class Policy(msgspec.Struct, frozen=True):
    text: str
    statements: tuple[dict[str, Any], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a policy document; raises MalformedPolicyDocumentException or LimitExceeded."""
        if len(text.encode()) > POLICY_BYTES:
            raise Refusal("LimitExceededException", "The policy exceeds 32 KB")
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _malformed("The policy is not valid JSON") from error
        if not isinstance(document, dict) or "Statement" not in document:
            raise _malformed("Policy document must be an object with a Statement")
        if document.get("Version", "2008-10-17") not in ("2012-10-17", "2008-10-17"):
            raise _malformed("Policy document must be version 2012-10-17 or greater")
        statements = document["Statement"]
        if isinstance(statements, dict):
            statements = [statements]
        if not isinstance(statements, list):
            raise _malformed("Statement must be a list")
        for statement in statements:
            _check_statement(statement)
        return cls(text, tuple(statements))

    def denies(self, question: Question) -> bool:
        return any(
            _matches(each, question, unsure=True)
            for each in self.statements
            if each["Effect"] == "Deny"
        )

    def allows(self, question: Question) -> bool:
        """An Allow that matches; a matching Deny is asked for separately, for the message's sake."""
        return any(
            _matches(each, question, unsure=False)
            for each in self.statements
            if each["Effect"] == "Allow"
        )


def default_policy(account: str, partition: str) -> Policy:
    """What CreateKey through the API gives: everything is delegated to the account's IAM."""
    return _policy(
        "key-default-1",
        {
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{partition}:iam::{account}:root"},
            "Action": "kms:*",
            "Resource": "*",
        },
    )


def managed_policy(service: str, account: str, region: str, partition: str) -> Policy:
    """The fixed policy of an AWS managed key: use through the service, looking for the account.

    It grants nobody DisableKey, ScheduleKeyDeletion, PutKeyPolicy or TagResource, which is why
    those end in AccessDeniedException.
    """
    return _policy(
        f"auto-{service}-1",
        {
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*",
                       "kms:CreateGrant", "kms:DescribeKey"],
            "Resource": "*",
            "Condition": {"StringEquals": {
                "kms:ViaService": f"{service}.{region}.amazonaws.com",
                "kms:CallerAccount": account,
            }},
        },
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{partition}:iam::{account}:root"},
            "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
            "Resource": "*",
        },
    )  # fmt: skip


def principals_of(caller: Caller) -> frozenset[str]:
    """Every ARN by which a policy or grant may name this caller directly."""
    return frozenset(name for name in (caller.arn, caller.role_arn) if name)


def _policy(policy_id: str, *statements: dict[str, Any]) -> Policy:
    document = {"Version": "2012-10-17", "Id": policy_id, "Statement": list(statements)}
    return Policy(json.dumps(document, indent=1), statements)


def _malformed(message: str) -> Refusal:
    return Refusal("MalformedPolicyDocumentException", message)


def _check_statement(statement: Any) -> None:
    if not isinstance(statement, dict):
        raise _malformed("Statement is not an object")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise _malformed("Statement Effect must be Allow or Deny")
    if not _texts(statement.get("Action", statement.get("NotAction"))):
        raise _malformed("Policy statement must contain actions.")
    if not _texts(statement.get("Resource", statement.get("NotResource"))):
        raise _malformed("Policy statement must contain resources.")
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    if isinstance(principal, dict):
        named = [each for kind in principal.values() for each in _texts(kind)]
        people = _texts(principal.get("AWS", "*"))
    else:
        named = people = _texts(principal)
    if not named:
        raise _malformed("Policy statement must contain principals.")
    if not all(_PRINCIPAL.fullmatch(each) for each in people):
        raise _malformed("Policy contains a statement with one or more invalid principals.")
    if not isinstance(statement.get("Condition", {}), dict):
        raise _malformed("Condition must be an object")


def _texts(value: Any) -> list[str]:
    """A string or a list of strings as a list; anything else as nothing."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    return []


def _matches(statement: dict[str, Any], question: Question, *, unsure: bool) -> bool:
    return (
        _principal_matches(statement, question.caller)
        and _action_matches(statement, f"kms:{question.action}")
        and _resource_matches(statement, question.key_arn)
        and _conditions_match(statement.get("Condition", {}), question, unsure=unsure)
    )


def _action_matches(statement: dict[str, Any], action: str) -> bool:
    if "Action" in statement:
        return any(_like(each, action, fold=True) for each in _texts(statement["Action"]))
    return not any(_like(each, action, fold=True) for each in _texts(statement["NotAction"]))


def _resource_matches(statement: dict[str, Any], arn: str) -> bool:
    if "Resource" in statement:
        return any(_like(each, arn) for each in _texts(statement["Resource"]))
    return not any(_like(each, arn) for each in _texts(statement["NotResource"]))


def _principal_matches(statement: dict[str, Any], caller: Caller) -> bool:
    if "Principal" in statement:
        return _covers(statement["Principal"], caller)
    return not _covers(statement["NotPrincipal"], caller)


def _covers(principal: Any, caller: Caller) -> bool:
    if not isinstance(principal, dict):
        return principal == "*" or "*" in _texts(principal)
    if caller.service and caller.service in _texts(principal.get("Service")):
        return True
    names = principals_of(caller)
    return any(
        each in {"*", caller.account}
        or each in names
        # The root of the caller's own account stands for everybody whom that account's IAM lets.
        or re.fullmatch(rf"arn:aws[a-z-]*:iam::{re.escape(caller.account)}:root", each)
        for each in _texts(principal.get("AWS"))
    )


def _conditions_match(conditions: dict[str, Any], question: Question, *, unsure: bool) -> bool:
    caller = question.caller
    known = {
        "kms:calleraccount": {caller.account},
        "kms:viaservice": {
            f"{caller.service.removesuffix('.amazonaws.com')}.{question.region}.amazonaws.com"
        }
        if caller.service
        else set(),
        # A role session is known by its role here, never by the session's ARN (IAM user guide).
        "aws:principalarn": {caller.role_arn or caller.arn},
    }
    for operator, wanted in conditions.items():
        wildcards = _MATCHERS.get(operator.removesuffix("IfExists"))
        for name, values in wanted.items() if isinstance(wanted, dict) else [("", "")]:
            facts = known.get(name.lower())
            if wildcards is None or facts is None:
                if not unsure:
                    return False
                continue
            if not facts and operator.endswith("IfExists"):
                continue
            if not any(
                _like(each, fact) if wildcards else each == fact
                for each in _texts(values)
                for fact in facts
            ):
                return False
    return True


def _like(pattern: str, text: str, *, fold: bool = False) -> bool:
    return _compiled(pattern, fold).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str, fold: bool) -> re.Pattern[str]:
    source = "".join(
        ".*" if each == "*" else "." if each == "?" else re.escape(each)
        # Runs of stars mean one star; keeping them would let a policy make matching slow.
        for each in re.sub(r"\*+", "*", pattern)
    )
    return re.compile(source, re.DOTALL | (re.IGNORECASE if fold else re.NOFLAG))
