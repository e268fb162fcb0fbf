"""Eventual consistency and throttling, by a clock that stands still."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.unit.simulator.kms.conftest import World


def test_reads_lag_and_writes_do_not(world: "World") -> None:
    key = world.create()
    world.time += 60
    world.kms.consistency_seconds = 5
    world.call("ScheduleKeyDeletion", KeyId=key)
    # The stale read says Enabled, the key still encrypts; a write is judged by the truth.
    assert world.describe(key)["KeyState"] == "Enabled"
    assert "DeletionDate" not in world.describe(key)
    world.call("Encrypt", KeyId=key, Plaintext="aGk=")
    assert world.refused("EnableKey", KeyId=key).message == f"{key} is pending deletion."
    assert world.kms.state_of(key) == "PendingDeletion"
    world.time += 4.9
    assert world.describe(key)["KeyState"] == "Enabled"
    world.time += 0.1
    assert world.describe(key)["KeyState"] == "PendingDeletion"
    assert world.refused("Encrypt", KeyId=key, Plaintext="aGk=").code == "KMSInvalidStateException"
    world.call("CancelKeyDeletion", KeyId=key)
    assert world.describe(key)["KeyState"] == "PendingDeletion"
    world.kms.consistency_seconds = 0
    assert world.describe(key)["KeyState"] == "Disabled"


def test_a_new_key_is_not_found_yet_and_a_deleted_one_still_is(world: "World") -> None:
    world.kms.consistency_seconds = 5
    key = world.create()
    assert world.refused("DescribeKey", KeyId=key).code == "NotFoundException"
    assert world.call("ListKeys").body["Keys"] == []
    world.call("DisableKey", KeyId=key)
    world.time += 5
    assert world.describe(key)["KeyState"] == "Disabled"
    assert len(world.call("ListKeys").body["Keys"]) == 1
    world.call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    world.later(7)
    assert world.kms.state_of(key) == "Gone"
    assert world.describe(key)["KeyState"] == "PendingDeletion"
    assert world.refused("CancelKeyDeletion", KeyId=key).code == "NotFoundException"
    world.time += 5
    assert world.refused("DescribeKey", KeyId=key).code == "NotFoundException"


def test_stale_reads_of_vanished_material(world: "World") -> None:
    key = world.create(Origin="EXTERNAL")
    world.import_material(key)
    world.time += 60
    world.kms.consistency_seconds = 5
    sealed = world.call("Encrypt", KeyId=key, Plaintext="aGk=").body["CiphertextBlob"]
    world.call("DeleteImportedKeyMaterial", KeyId=key)
    assert world.describe(key)["KeyState"] == "Enabled"
    assert world.refused("Encrypt", KeyId=key, Plaintext="aGk=").code == "KeyUnavailableException"
    assert world.refused("Decrypt", CiphertextBlob=sealed).code == "KeyUnavailableException"


def test_quotas_are_shared_by_all_principals_of_an_account_and_region(world: "World") -> None:
    key = world.create()
    world.kms.quota_scale = 1.0
    for _ in range(5):
        world.call("DisableKey", caller=world.mallory, KeyId=key)
    refusal = world.refused("DisableKey", KeyId=key)
    assert (refusal.code, refusal.status) == ("ThrottlingException", 400)
    assert refusal.message.startswith("You have exceeded the rate at which you may call KMS")
    # Another operation, another Region, another account: other buckets.
    world.call("EnableKey", KeyId=key)
    assert world.refused("DisableKey", region="us-east-1", KeyId=key).code == "NotFoundException"
    denied = world.refused("DisableKey", caller=world.stranger, KeyId=key)
    assert denied.code == "AccessDeniedException"
    world.time += 0.2
    world.call("DisableKey", KeyId=key)
    assert world.refused("DisableKey", KeyId=key).code == "ThrottlingException"
    world.kms.quota_scale = None
    world.call("DisableKey", KeyId=key)


def test_a_tenth_of_the_quota(world: "World") -> None:
    key = world.create()
    world.kms.quota_scale = 0.1
    world.call("DisableKey", KeyId=key)
    assert world.refused("DisableKey", KeyId=key).code == "ThrottlingException"
    world.time += 1.9
    assert world.refused("DisableKey", KeyId=key).code == "ThrottlingException"
    world.time += 0.1
    world.call("DisableKey", KeyId=key)


def test_parameters_for_import_once_in_four_seconds(world: "World") -> None:
    key = world.create(Origin="EXTERNAL")
    world.kms.quota_scale = 1.0
    world.wrapped(key, b"m" * 32)
    how: dict[str, Any] = {
        "KeyId": key,
        "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
        "WrappingKeySpec": "RSA_2048",
    }
    assert world.refused("GetParametersForImport", **how).code == "ThrottlingException"
    world.time += 4
    world.call("GetParametersForImport", **how)


def test_replication_spends_in_the_other_region_too(world: "World") -> None:
    primary = world.create(MultiRegion=True)
    world.kms.quota_scale = 1.0
    world.call("ReplicateKey", KeyId=primary, ReplicaRegion="us-east-1")
    for _ in range(4):
        world.create(region="us-east-1")
    assert world.refused("CreateKey", region="us-east-1").code == "ThrottlingException"
