"""What CloudTrail is told about each operation: names, casing, texts, and what is left out."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from monitor.simulator.kms.trail import trail_time

if TYPE_CHECKING:
    from tests.unit.simulator.kms.conftest import World

PRINCIPAL = "arn:aws:iam::111122223333:role/worker"


@pytest.mark.parametrize(
    ("epoch", "text"),
    [
        (1_795_770_843.9, "Nov 27, 2026, 9:14:03 AM"),
        (1_767_225_600.0, "Jan 1, 2026, 12:00:00 AM"),
        (1_782_907_200.0, "Jul 1, 2026, 12:00:00 PM"),
        (1_798_757_999.0, "Dec 31, 2026, 10:59:59 PM"),
    ],
)
def test_times_are_locale_text(epoch: float, text: str) -> None:
    assert trail_time(epoch) == text


@pytest.mark.parametrize(
    ("operation", "parameters", "request_parameters", "response_elements"),
    [
        ("DisableKey", {}, {}, {"keyId": "K"}),
        ("EnableKey", {}, {}, {"keyId": "K"}),
        ("EnableKeyRotation", {}, {}, {"keyId": "K"}),
        (
            "EnableKeyRotation",
            {"RotationPeriodInDays": 100},
            {"rotationPeriodInDays": 100},
            {"keyId": "K"},
        ),
        ("DisableKeyRotation", {}, {}, None),
        ("RotateKeyOnDemand", {}, {}, {"keyId": "ID"}),
        ("UpdateKeyDescription", {"Description": "d"}, {"description": "d"}, None),
        (
            "TagResource",
            {"Tags": [{"TagKey": "a", "TagValue": "b"}]},
            {"tags": [{"tagKey": "a", "tagValue": "b"}]},
            {"keyId": "K"},
        ),
        ("UntagResource", {"TagKeys": ["a"]}, {"tagKeys": ["a"]}, {"keyId": "K"}),
    ],
)
def test_changes(
    world: "World",
    operation: str,
    parameters: dict[str, Any],
    request_parameters: dict[str, Any],
    response_elements: dict[str, str] | None,
) -> None:
    key = world.create()
    key_id = key.rpartition("/")[2]
    reply = world.call(operation, KeyId=key_id, **parameters)
    assert reply.request_parameters == {"keyId": key_id, **request_parameters}
    if response_elements is not None:
        assert reply.response_elements == {
            "keyId": {"K": key, "ID": key_id}[response_elements["keyId"]]
        }
    else:
        assert reply.response_elements is None
    assert reply.resources == (key,)
    assert reply.read_only is False


def test_deletion(world: "World") -> None:
    key = world.create()
    world.time = 1_795_770_843.5 - 7 * 86400
    reply = world.call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    assert reply.request_parameters == {"keyId": key, "pendingWindowInDays": 7}
    assert reply.response_elements == {
        "keyId": key,
        "keyState": "PendingDeletion",
        "deletionDate": "Nov 27, 2026, 9:14:03 AM",
        "pendingWindowInDays": 7,
    }
    cancelled = world.call("CancelKeyDeletion", KeyId=key)
    assert cancelled.response_elements == {"keyId": key}
    by_default = world.call("ScheduleKeyDeletion", KeyId=key)
    assert by_default.request_parameters == {"keyId": key}


def test_deletion_of_a_primary_has_no_date(world: "World") -> None:
    key = world.create(MultiRegion=True)
    made = world.call("ReplicateKey", KeyId=key, ReplicaRegion="us-east-1")
    assert made.request_parameters == {
        "keyId": key,
        "replicaRegion": "us-east-1",
        "bypassPolicyLockoutSafetyCheck": False,
        "description": "",
    }
    assert made.response_elements is not None
    assert made.response_elements["replicaKeyMetadata"]["keyState"] == "Creating"
    assert made.resources == (key,)
    reply = world.call("ScheduleKeyDeletion", KeyId=key)
    assert reply.response_elements == {
        "keyId": key,
        "keyState": "PendingReplicaDeletion",
        "pendingWindowInDays": 30,
    }


def test_policies(world: "World") -> None:
    key = world.create()
    text = world.call("GetKeyPolicy", KeyId=key).body["Policy"]
    reply = world.call("PutKeyPolicy", KeyId=key, Policy=text)
    assert reply.request_parameters == {
        "keyId": key,
        "policyName": "default",
        "policy": text,
        "bypassPolicyLockoutSafetyCheck": False,
    }
    assert json.loads(reply.request_parameters["policy"])["Version"] == "2012-10-17"
    assert (reply.response_elements, reply.resources) == (None, (key,))


def test_aliases_list_the_key_and_the_alias(world: "World") -> None:
    key, other = world.create(), world.create()
    arn = "arn:aws:kms:eu-west-1:111122223333:alias/payments"
    made = world.call("CreateAlias", AliasName="alias/payments", TargetKeyId=key)
    assert made.request_parameters == {"aliasName": "alias/payments", "targetKeyId": key}
    assert (made.response_elements, set(made.resources)) == ({"keyId": key}, {key, arn})
    moved = world.call("UpdateAlias", AliasName="alias/payments", TargetKeyId=other)
    # The previous target is not in the record.
    assert (moved.response_elements, moved.resources) == ({"keyId": other}, (arn, other))
    gone = world.call("DeleteAlias", AliasName="alias/payments")
    assert gone.request_parameters == {"aliasName": "alias/payments"}
    assert (gone.response_elements, set(gone.resources)) == ({"keyId": other}, {other, arn})


def test_grants_show_no_token(world: "World") -> None:
    key = world.create()
    constraints = {"EncryptionContextSubset": {"AppName": "x"}}
    made = world.call(
        "CreateGrant",
        KeyId=key,
        GranteePrincipal=PRINCIPAL,
        Operations=["Decrypt"],
        Constraints=constraints,
    )
    grant = made.body["GrantId"]
    assert made.request_parameters == {
        "keyId": key,
        "granteePrincipal": PRINCIPAL,
        "operations": ["Decrypt"],
        "constraints": {"encryptionContextSubset": {"AppName": "x"}},
    }
    assert made.response_elements == {"grantId": grant, "keyId": key}
    retired = world.call("RetireGrant", GrantToken=made.body["GrantToken"])
    assert (retired.request_parameters, retired.response_elements) == (None, None)
    assert retired.additional_event_data == {"grantId": grant}
    assert retired.resources == (key,)


def test_imports_show_neither_token_nor_material(world: "World") -> None:
    key = world.create(Origin="EXTERNAL")
    asked = world.call(
        "GetParametersForImport",
        KeyId=key,
        WrappingAlgorithm="RSAES_OAEP_SHA_256",
        WrappingKeySpec="RSA_2048",
    )
    assert asked.request_parameters == {
        "keyId": key,
        "wrappingAlgorithm": "RSAES_OAEP_SHA_256",
        "wrappingKeySpec": "RSA_2048",
    }
    # Read-only, so that ordinary EventBridge rules never see it.
    assert (asked.read_only, asked.response_elements) == (True, None)
    world.time = 1_795_684_443.0
    reply = world.import_material(key, ValidTo=1_795_770_843.0)
    assert reply.request_parameters == {"keyId": key, "validTo": "Nov 27, 2026, 9:14:03 AM"}


def test_new_keys_show_the_defaults(world: "World") -> None:
    reply = world.call("CreateKey", Tags=[{"TagKey": "a", "TagValue": "b"}])
    assert reply.request_parameters == {
        "description": "",
        "origin": "AWS_KMS",
        "keySpec": "SYMMETRIC_DEFAULT",
        "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "keyUsage": "ENCRYPT_DECRYPT",
        "multiRegion": False,
        "bypassPolicyLockoutSafetyCheck": False,
        "tags": [{"tagKey": "a", "tagValue": "b"}],
    }
    assert reply.response_elements is not None
    metadata = reply.response_elements["keyMetadata"]
    assert (metadata["aWSAccountId"], metadata["arn"]) == (world.account, reply.resources[0])
    assert metadata["creationDate"] == trail_time(world.time)


def test_uses_are_read_only_and_show_no_data(world: "World") -> None:
    key = world.create()
    made = world.call("GenerateDataKey", KeyId=key, KeySpec="AES_256")
    assert made.request_parameters == {"keyId": key, "keySpec": "AES_256"}
    assert (made.read_only, made.response_elements, made.resources) == (True, None, (key,))
    sealed = made.body["CiphertextBlob"]
    opened = world.call("Decrypt", CiphertextBlob=sealed)
    assert opened.request_parameters == {"encryptionAlgorithm": "SYMMETRIC_DEFAULT"}
    assert opened.resources == (key,)
    assert world.call("ListKeys").request_parameters is None
