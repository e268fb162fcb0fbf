"""Key policies that are written to let strangers in, or us out, and to look harmless.

All that is on by default looks, knowing the ordinary organisation of `tests.ordinary`.
"""

import json
from typing import Any

from monitor.finding import Severity
from tests.ordinary import KEYS, OUR_ROLE, POLICY, VENDOR, Record, cases, on, said
from tests.samples import ACCOUNT

KEY = KEYS[0]


def policy(*statements: Any, **more: Any) -> Record:
    """PutKeyPolicy with these statements beside the account's own."""
    whole = json.loads(POLICY % ACCOUNT)
    whole["Statement"] += statements
    request = {"keyId": KEY.key_id, "policyName": "default", "policy": json.dumps(whole)}
    return on(KEY, "PutKeyPolicy", request) | more


def allows(principal: Any = "*", action: Any = "kms:Decrypt", **more: Any) -> Record:
    statement = {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "*"}
    whole = statement | more
    return policy({name: value for name, value in whole.items() if value is not None})


def denies(principal: Any, action: Any = "kms:CancelKeyDeletion", **more: Any) -> Record:
    statement = {"Effect": "Deny", "Principal": principal, "Action": action, "Resource": "*"}
    whole = statement | more
    return policy({name: value for name, value in whole.items() if value is not None})


OPENED: dict[str, Record] = {
    "everybody": allows(),
    "everybody in a list": allows({"AWS": ["*"]}),
    "everybody but somebody": allows(
        None, NotPrincipal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/nobody"}
    ),
    "all but some actions": allows(action=None, NotAction=["kms:Encrypt"]),
    "a pattern of actions": allows(action="kms:*crypt"),
    "one unknown letter": allows(action="KMS:Decryp?"),
    "everybody by a pattern": allows(Condition={"StringLike": {"aws:PrincipalArn": "*"}}),
    "every account by a pattern": allows(Condition={"StringLike": {"aws:PrincipalAccount": "*"}}),
    "every role by a pattern": allows(
        Condition={"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}
    ),
    "everybody who is not of this account": allows(
        Condition={"StringNotEquals": {"aws:PrincipalAccount": ACCOUNT}}
    ),
    "every account by letters": allows(
        Condition={"StringLike": {"kms:CallerAccount": "????????????"}}
    ),
    "where nothing is asked": allows(
        Condition={"StringEqualsIfExists": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}
    ),
    "where something is missing": allows(Condition={"Null": {"aws:SourceAccount": "true"}}),
    "at any time": allows(
        Condition={"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}
    ),
    "from anywhere": allows(
        Condition={"IpAddress": {"aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1"]}}
    ),
    "a vendor's account": allows({"AWS": VENDOR}),
    "a vendor's role": allows({"AWS": f"arn:aws:iam::{VENDOR}:role/x"}),
    "a vendor in another partition": allows({"AWS": f"arn:aws-cn:iam::{VENDOR}:root"}),
    "a vendor who is in the condition": allows(
        Condition={"StringEquals": {"aws:PrincipalAccount": [ACCOUNT, VENDOR]}}
    ),
    "not for other keys": allows(Resource=None, NotResource="arn:aws:kms:*:*:key/other"),
    "names in other letters": policy(
        {"effect": "Allow", "PRINCIPAL": "*", "action": "kms:decrypt", "resource": "*"}
    ),
    "escaped letters": on(
        KEY,
        "PutKeyPolicy",
        {"policy": (POLICY % ACCOUNT).replace(f"arn:aws:iam::{ACCOUNT}:root", "\\u002a")},
    ),
}
"""Key policies that let strangers in."""
CLOSED: dict[str, Record] = {
    "we are denied": denies({"AWS": OUR_ROLE}),
    "all are denied": denies("*"),
    "all but one are denied": denies(
        None, NotPrincipal={"AWS": [f"arn:aws:iam::{ACCOUNT}:role/admin", ACCOUNT]}
    ),
    "we are denied all but reading": denies({"AWS": OUR_ROLE}, None, NotAction="kms:List*"),
    "whoever is called as we are": denies(
        "*", Condition={"StringLike": {"aws:PrincipalArn": "*/kms-monitor"}}
    ),
    "whoever is not the attacker": denies(
        "*", Condition={"ArnNotEquals": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/admin"}}
    ),
    "whoever calls directly": denies("*", Condition={"Bool": {"aws:ViaAWSService": "false"}}),
    "in a pattern of actions": denies("*", "kms:Canc*"),
    "nobody rules": on(
        KEY, "PutKeyPolicy", {"policy": (POLICY % ACCOUNT).replace("kms:*", "kms:Decrypt")}
    ),
    "rules another key only": on(
        KEY,
        "PutKeyPolicy",
        {"policy": (POLICY % ACCOUNT).replace('"*"}', '"arn:aws:kms:eu-west-1:1:key/x"}')},
    ),
}
"""Key policies that shut us, or the account, out."""


@cases(OPENED)
def test_a_policy_that_lets_strangers_in_is_severe(record: Record) -> None:
    assert said(record) >= Severity.HIGH


@cases(CLOSED)
def test_a_policy_that_shuts_us_out_is_severe(record: Record) -> None:
    assert said(record) >= Severity.HIGH
