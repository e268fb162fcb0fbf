"""Who can still help where a policy shuts us out. In scope: `monitor.repair.helpers`."""

import json
from typing import Any

import pytest

from monitor.repair.helpers import NOBODY, NOT_KNOWN, who_can_help
from tests.samples import ACCOUNT, ARN

ADMIN = f"arn:aws:iam::{ACCOUNT}:role/admin"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allowed(who: str, *actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": who}, "Action": list(actions), "Resource": "*"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (policy(allowed(ADMIN, "kms:Put*")), f"who can still change its policy: {ADMIN}"),
        (
            policy(allowed(ADMIN, "kms:*"), allowed(f"arn:aws:iam::{ACCOUNT}:root", "kms:*")),
            f"who can still change its policy: {ACCOUNT}, {ADMIN}",
        ),
        (policy(allowed(ADMIN, "kms:Decrypt")), NOBODY),
        (None, NOT_KNOWN),
        (7, NOT_KNOWN),
    ],
)
def test_who_is_named(given: object, said: str) -> None:
    assert who_can_help(given, ARN) == said


@pytest.mark.parametrize("text", ["no JSON", "[" * 5000, '"text"', "{}"])
def test_a_policy_that_cannot_be_read_breaks_nothing(text: str) -> None:
    assert who_can_help(text, ARN) == NOT_KNOWN
