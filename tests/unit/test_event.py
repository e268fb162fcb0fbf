"""What a CloudTrail record says: who, when, which key (aws-facts 1.3 and 2.1)."""

from typing import Any

import msgspec
import pytest

from monitor.event import members, parse_time, parse_version
from monitor.key import KeyRef
from tests.samples import ACCOUNT, ALICE_IDENTITY, ARN, EPOCH, KEY, KEY_ID, OTHER_ACCOUNT, event

ELSEWHERE = f"arn:aws:kms:us-east-1:{OTHER_ACCOUNT}:key/mrk-00000000000000000000000000000001"
ALIAS = f"arn:aws:kms:eu-west-1:{ACCOUNT}:alias/payments"
NOWHERE: dict[str, Any] = {"resources": ..., "responseElements": None, "requestParameters": None}
CAROL = {
    "type": "FederatedUser",
    "principalId": f"{ACCOUNT}:carol",
    "arn": f"arn:aws:sts::{ACCOUNT}:federated-user/carol",
    "accountId": ACCOUNT,
    "sessionContext": {
        "attributes": {"mfaAuthenticated": "false", "creationDate": "2026-11-20T09:00:00Z"},
        "sessionIssuer": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/bob"},
    },
}


@pytest.mark.parametrize(
    ("identity", "kind", "name", "account"),
    [
        (
            {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/bob", "accountId": ACCOUNT},
            "IAMUser",
            f"arn:aws:iam::{ACCOUNT}:user/bob",
            ACCOUNT,
        ),
        (
            {"type": "Root", "arn": f"arn:aws:iam::{ACCOUNT}:root", "accountId": ACCOUNT},
            "Root",
            f"arn:aws:iam::{ACCOUNT}:root",
            ACCOUNT,
        ),
        (ALICE_IDENTITY, "AssumedRole", ALICE_IDENTITY["arn"], ACCOUNT),
        (CAROL, "FederatedUser", CAROL["arn"], ACCOUNT),
        (
            {"type": "AWSService", "invokedBy": "backup.amazonaws.com"},
            "AWSService",
            "backup.amazonaws.com",
            "",
        ),
        (
            {"type": "AWSAccount", "principalId": "AROAEXAMPLE2:s", "accountId": OTHER_ACCOUNT},
            "AWSAccount",
            OTHER_ACCOUNT,
            OTHER_ACCOUNT,
        ),
        (
            {"type": "WebIdentityUser", "userName": "sub", "identityProvider": "a.example.com"},
            "WebIdentityUser",
            "unknown",
            "",
        ),
        (
            {
                "type": "IdentityCenterUser",
                "accountId": ACCOUNT,
                "onBehalfOf": {"userId": "94482488", "identityStoreArn": "arn:aws:x"},
                "credentialId": "example",
            },
            "IdentityCenterUser",
            ACCOUNT,
            ACCOUNT,
        ),
        ({"accountId": ACCOUNT, "invokedBy": "AWS Internal"}, "", "AWS Internal", ACCOUNT),
        (None, "", "unknown", ""),
        (..., "", "unknown", ""),
    ],
)
def test_every_shape_of_caller(identity: Any, kind: str, name: str, account: str) -> None:
    actor = event(userIdentity=identity).actor
    assert (actor.type, actor.name, actor.account) == (kind, name, account)


def test_role_session_has_its_issuer_with_path_its_name_and_mfa() -> None:
    actor = event().actor
    assert actor.issuer_arn == f"arn:aws:iam::{ACCOUNT}:role/path/ops-admin"
    assert (actor.session, actor.mfa) == ("alice", True)


def test_mfa_is_a_string_and_false_is_false() -> None:
    assert event(userIdentity=CAROL).actor.mfa is False
    assert event(userIdentity={"sessionContext": {}}).actor.mfa is False


def test_web_federation_data_and_null_members_are_no_trouble() -> None:
    context: dict[str, Any] = {"webIdFederationData": {}, "sessionIssuer": None, "attributes": None}
    assert event(userIdentity={"arn": None, "sessionContext": context}).actor.name == "unknown"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({}, KEY),
        # 1: resources come first, by the form of the ARN: `type` lies, or is missing
        ({"resources": [{"ARN": ALIAS, "type": "AWS::KMS::Key"}, {"ARN": ARN}]}, KEY),
        ({"resources": [{"accountId": ACCOUNT}, {"ARN": ARN}]}, KEY),
        ({"resources": [{"ARN": ELSEWHERE}]}, KeyRef.parse(ELSEWHERE)),
        (NOWHERE | {"resources": [5, None, {"ARN": 4}, {"ARN": ARN}]}, KEY),
        # 2: then the response
        ({"resources": ..., "responseElements": {"keyId": ELSEWHERE}}, KeyRef.parse(ELSEWHERE)),
        ({"resources": [{"ARN": ALIAS}]}, KEY),
        ({"resources": []}, KEY),
        ({"resources": None}, KEY),
        # 3: then what a service event says of itself; its id may be bare
        (NOWHERE | {"serviceEventDetails": {"keyId": ARN}}, KEY),
        (NOWHERE | {"serviceEventDetails": {"keyId": KEY_ID}}, KEY),
        (
            NOWHERE | {"responseElements": {"keyId": 5}, "serviceEventDetails": {"keyId": ARN}},
            KEY,
        ),
        (NOWHERE | {"responseElements": {"keyId": KEY_ID}}, KEY),
        # 4: then what the caller typed, in all its forms
        (NOWHERE | {"requestParameters": {"keyId": KEY_ID}}, KEY),
        (NOWHERE | {"requestParameters": {"keyId": ARN}}, KEY),
        (NOWHERE | {"requestParameters": {"keyId": ELSEWHERE}}, KeyRef.parse(ELSEWHERE)),
        (NOWHERE | {"requestParameters": {"targetKeyId": KEY_ID}}, KEY),
        (NOWHERE | {"requestParameters": {"keyId": None, "targetKeyId": ARN}}, KEY),
        (NOWHERE | {"requestParameters": {"keyId": 7, "targetKeyId": ARN}}, KEY),
        (
            NOWHERE | {"requestParameters": {"keyId": "mrk-00000000000000000000000000000001"}},
            KeyRef(ACCOUNT, "eu-west-1", "mrk-00000000000000000000000000000001"),
        ),
        (NOWHERE | {"requestParameters": {"keyId": "alias/payments"}}, None),
        (NOWHERE | {"requestParameters": {"keyId": ALIAS}}, None),
        (NOWHERE | {"requestParameters": {"keyId": ""}}, None),
        (NOWHERE | {"requestParameters": {"keyId": KEY_ID}, "awsRegion": ...}, None),
        (NOWHERE | {"requestParameters": {"keyId": KEY_ID}, "recipientAccountId": None}, None),
        # 5: and at last the message of a refusal
        (NOWHERE | {"errorMessage": f"not authorized on resource: {ARN} because no"}, KEY),
        (
            NOWHERE
            | {"requestParameters": {"keyId": "alias/x"}, "errorMessage": f"Key '{ARN}' is gone"},
            KEY,
        ),
        (NOWHERE | {"errorMessage": "Rate exceeded"}, None),
        (NOWHERE, None),
        (NOWHERE | {"requestParameters": [1], "responseElements": "x"}, None),
    ],
)
def test_the_key_is_found_in_the_order_of_trust(
    changes: dict[str, Any], key: KeyRef | None
) -> None:
    assert event(**changes).key == key


def test_nested_objects_that_cannot_be_read_count_as_empty() -> None:
    assert members(msgspec.Raw(b'{"a": "\xff"}')) == {}
    assert members(msgspec.Raw(b'{"a": "\\ud800"}')) == {}
    assert members(msgspec.Raw(b"[" * 5000 + b"]" * 5000)) == {}
    assert members(msgspec.Raw(b"")) == {}
    assert members(msgspec.Raw(b'{"a": ' + b"9" * 400 + b"}"))["a"] > 0


def test_odd_but_documented_fields_are_skipped() -> None:
    odd = event(
        eventName="ScheduleKeyDeletion",
        sessionCredentialFromConsole="true",
        requestParameters={"keyId": KEY_ID, "overridePendingWindowCheck": False},
        responseElements={"keyId": ARN, "deletionDate": "Apr 12, 2021 18:58:30\u202fPM"},
        additionalEventData={"backingKeys": '[{"keyHandle": "19"}]'},
        apiVersion=None,
        addendum={"reason": "DELIVERY_DELAY"},
        eventContext={"anything": [1, 2]},
    )
    assert odd.key == KEY
    assert odd.request()["overridePendingWindowCheck"] is False


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.02", (1, 2)),
        ("1.9", (1, 9)),
        ("1.10", (1, 10)),
        ("2.0", (2, 0)),
        ("", None),
        ("1", None),
        ("1.", None),
        ("1.x", None),
        ("1.²", None),
        ("1." + "9" * 5000, None),
    ],
)
def test_versions_are_pairs_of_integers(text: str, version: tuple[int, int] | None) -> None:
    assert parse_version(text) == version
    assert event(eventVersion=text).version == version


def test_a_later_version_is_later() -> None:
    assert (parse_version("1.10") or (0, 0)) > (parse_version("1.9") or (0, 0))
    assert event(eventVersion=...).version is None


def test_time_is_utc_whatever_the_machine_thinks() -> None:
    assert event().time == EPOCH
    assert parse_time("2026-11-20T09:14:03") == EPOCH
    assert parse_time("2026-11-20T11:14:03+02:00") == EPOCH


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "1795166043",
        "Nov 20, 2026 9:14:03 AM",
        "0001-01-01T00:00:00Z",
        "9999-12-31",
    ],
)
def test_what_is_no_time_of_this_age_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "key/x",
        ALIAS,
        ARN + "\n",
        " " + ARN,
        ARN.replace("111122223333", "١١١١٢٢٢٢٣٣٣٣"),
        ARN.replace("key/", "key/../"),
        ARN.replace("kms", "s3"),
        ARN.replace("111122223333", "11112222333"),
    ],
)
def test_what_is_no_key_arn_is_no_key(text: str) -> None:
    assert KeyRef.parse(text) is None


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov", "aws-iso-b"])
def test_an_arn_is_read_and_written_alike(partition: str) -> None:
    arn = ARN.replace("arn:aws:", f"arn:{partition}:")
    assert str(KeyRef.parse(arn)) == arn
