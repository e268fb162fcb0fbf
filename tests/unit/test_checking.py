"""What answers about a right come to. In scope: `monitor.checking.rows`, and the keys' part of `proof`."""

import json
from typing import Any

import pytest

from monitor.checking.proof import Unread, gate_of
from monitor.checking.rows import Answer, Gate, Row, Said, counted, simulated, together
from monitor.key import KeyRef
from monitor.key_policy.document import parse

ME = "arn:aws:iam::111122223333:role/guard"
KEYS = tuple(KeyRef("111122223333", "eu-west-1", f"key-{number}") for number in range(3))
YES, NO = Said(Answer.ALLOWED, "IAM allows it"), Said(Answer.DENIED, "no statement allows it")


@pytest.mark.parametrize(
    ("more", "answer", "why"),
    [
        ({"EvalDecision": "allowed"}, Answer.ALLOWED, "IAM allows it"),
        ({"EvalDecision": "implicitDeny"}, Answer.DENIED, "no statement allows it"),
        ({"EvalDecision": "explicitDeny"}, Answer.DENIED, "a statement denies it"),
        (
            {"EvalDecision": "implicitDeny", "MissingContextValues": ["aws:SourceVpc"]},
            Answer.UNKNOWN,
            "hangs on aws:SourceVpc",
        ),
        (
            {
                "EvalDecision": "implicitDeny",
                "OrganizationsDecisionDetail": {"AllowedByOrganizations": False},
            },
            Answer.DENIED,
            "a policy of the organization denies it",
        ),
        (
            {
                "EvalDecision": "implicitDeny",
                "PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False},
            },
            Answer.DENIED,
            "the permissions boundary does not allow it",
        ),
        (
            {
                "EvalDecision": "allowed",
                "ResourceSpecificResults": [
                    {"EvalResourceName": "a", "EvalResourceDecision": "allowed"},
                    {"EvalResourceName": "b", "EvalResourceDecision": "explicitDeny"},
                ],
            },
            Answer.DENIED,
            "a statement denies it",
        ),
    ],
)
def test_what_the_simulator_of_iam_says(more: dict[str, Any], answer: Answer, why: str) -> None:
    assert simulated({"EvalActionName": "kms:EnableKey", **more}) == Said(answer, why)


@pytest.mark.parametrize(
    ("said", "keys", "answer", "words"),
    [
        (YES, None, Answer.ALLOWED, "IAM allows it"),
        (YES, Gate(), Answer.ALLOWED, "IAM allows it"),
        (YES, Gate(keys=3), Answer.ALLOWED, "3 keys"),
        (YES, Gate(shut=KEYS[:1], keys=3), Answer.DENIED, "1 of 3 keys shut us out, such as key-0"),
        (YES, Gate(unsure=KEYS[:2], keys=3), Answer.UNKNOWN, "not sure of 2 of 3"),
        (NO, Gate(keys=3), Answer.DENIED, "no statement"),
        (NO, Gate(named=KEYS, keys=3), Answer.ALLOWED, "the policies of all keys name us"),
        (NO, Gate(named=KEYS[:2], keys=3), Answer.UNKNOWN, "2 key policies name us"),
        (
            Said(Answer.DENIED, "a statement denies it"),
            Gate(named=KEYS, keys=3),
            Answer.DENIED,
            "a statement denies it",
        ),
        (Said(Answer.UNKNOWN, "x"), Gate(keys=3), Answer.UNKNOWN, "x"),
    ],
)
def test_the_worse_answer_counts(said: Said, keys: Gate | None, answer: Answer, words: str) -> None:
    result = together(said, keys)
    assert result.answer is answer
    assert words in result.why


def policy(*statements: dict[str, Any]) -> Any:
    return parse(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


def allow(who: str, action: str = "kms:*", **more: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"AWS": who},
        "Action": action,
        "Resource": "*",
        **more,
    }


def test_what_key_policies_say() -> None:
    root, stranger = "arn:aws:iam::111122223333:root", "arn:aws:iam::999988887777:root"
    deny = allow("*", "kms:EnableKey") | {"Effect": "Deny"}
    assert gate_of({KEYS[0]: policy(allow(root))}, ME, "kms:EnableKey") == Gate(keys=1)
    assert gate_of({KEYS[0]: policy(allow(ME))}, ME, "kms:EnableKey").named == KEYS[:1]
    shut = {KEYS[0]: policy(allow(stranger)), KEYS[1]: policy(allow(root), deny)}
    assert gate_of(shut, ME, "kms:EnableKey").shut == KEYS[:2]
    assert gate_of(shut, ME, "kms:CancelKeyDeletion").shut == KEYS[:1]


def test_a_call_that_was_refused_is_denied_and_the_others_are_not_known() -> None:
    unread = {KEYS[0]: Unread("kms:GetKeyPolicy"), KEYS[1]: Unread()}
    assert gate_of(unread, ME, "kms:GetKeyPolicy") == Gate(shut=KEYS[:1], unsure=KEYS[1:2], keys=2)
    assert gate_of(unread, ME, "kms:EnableKey").unsure == KEYS[:2]


def test_only_what_is_needed_and_denied_fails() -> None:
    def row(answer: Answer, *, needed: bool = True) -> Row:
        return Row("1", "r", "kms:EnableKey", answer, "", needed=needed)

    assert row(Answer.DENIED).fails
    assert not row(Answer.DENIED, needed=False).fails
    assert not row(Answer.UNKNOWN).fails
    rows = [row(Answer.DENIED), row(Answer.ALLOWED), row(Answer.ALLOWED)]
    assert counted(rows) == "2 allowed, 1 denied, 0 unknown"
