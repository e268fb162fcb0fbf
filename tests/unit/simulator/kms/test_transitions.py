"""How states follow one another, and what time does by itself."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.simulator.kms.conftest import World

DAY = 86400.0


def test_disable_and_enable_are_idempotent(world: "World") -> None:
    key = world.create()
    for operation, state in [
        ("DisableKey", "Disabled"),
        ("DisableKey", "Disabled"),
        ("EnableKey", "Enabled"),
        ("EnableKey", "Enabled"),
    ]:
        world.call(operation, KeyId=key)
        assert world.describe(key)["KeyState"] == state
        assert world.describe(key)["Enabled"] is (state == "Enabled")


def test_cancelling_leaves_the_key_disabled(world: "World") -> None:
    key = world.create()
    scheduled = world.call("ScheduleKeyDeletion", KeyId=key).body
    assert scheduled == {
        "KeyId": key,
        "KeyState": "PendingDeletion",
        "PendingWindowInDays": 30,
        "DeletionDate": world.time + 30 * DAY,
    }
    assert world.describe(key)["DeletionDate"] == world.time + 30 * DAY
    assert world.call("CancelKeyDeletion", KeyId=key).body == {"KeyId": key}
    assert world.kms.state_of(key) == "Disabled"
    assert "DeletionDate" not in world.describe(key)
    assert world.later(31) == []


def test_a_window_cannot_be_shortened_without_a_cancel(world: "World") -> None:
    key = world.create()
    world.call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=30)
    refusal = world.refused("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    assert refusal.message == f"{key} is pending deletion."
    assert world.describe(key)["DeletionDate"] == world.time + 30 * DAY


def test_the_key_is_gone_when_its_window_ends(world: "World") -> None:
    key = world.create()
    world.call("CreateAlias", AliasName="alias/payments", TargetKeyId=key)
    world.call("ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=7)
    world.time += 7 * DAY - 1
    assert world.kms.tick() == []
    world.time += 1
    refusal = world.refused("DescribeKey", KeyId=key)
    assert (refusal.code, refusal.message) == (
        "NotFoundException",
        f"Key '{key}' does not exist",
    )
    assert world.refused("CancelKeyDeletion", KeyId=key).code == "NotFoundException"
    assert world.call("ListAliases").body["Aliases"] == []
    assert world.kms.state_of(key) == "Gone"
    # The calls let time pass, yet the event was kept for whoever asks.
    (event,) = world.kms.tick()
    assert (event.event_name, event.key_arn, event.happened_at) == ("DeleteKey", key, world.time)
    assert event.response_elements == {"keyId": key}
    assert world.kms.tick() == []


def test_cancel_and_enable_come_back_to_a_working_key(world: "World") -> None:
    key = world.create()
    world.call("EnableKeyRotation", KeyId=key, RotationPeriodInDays=100)
    sealed = world.call("Encrypt", KeyId=key, Plaintext="aGk=").body["CiphertextBlob"]
    world.call("ScheduleKeyDeletion", KeyId=key)
    assert not world.call("GetKeyRotationStatus", KeyId=key).body["KeyRotationEnabled"]
    world.call("CancelKeyDeletion", KeyId=key)
    world.call("EnableKey", KeyId=key)
    assert world.call("Decrypt", CiphertextBlob=sealed).body["Plaintext"] == "aGk="
    assert world.call("GetKeyRotationStatus", KeyId=key).body["RotationPeriodInDays"] == 100


def test_cancelling_shows_material_that_vanished_meanwhile(world: "World") -> None:
    key = world.create(Origin="EXTERNAL")
    world.import_material(key)
    world.call("ScheduleKeyDeletion", KeyId=key)
    world.call("DeleteImportedKeyMaterial", KeyId=key)
    assert world.kms.state_of(key) == "PendingDeletion"
    world.call("CancelKeyDeletion", KeyId=key)
    assert world.kms.state_of(key) == "PendingImport"


def test_a_primary_waits_for_its_last_replica(world: "World") -> None:
    primary = world.create(MultiRegion=True)
    replicas = {
        region: primary.replace(world.region, region) for region in ("us-east-1", "us-west-2")
    }
    for region in replicas:
        world.call("ReplicateKey", KeyId=primary, ReplicaRegion=region)
    world.kms.tick()
    scheduled = world.call("ScheduleKeyDeletion", KeyId=primary, PendingWindowInDays=7)
    assert scheduled.body["KeyState"] == "PendingReplicaDeletion"
    assert "DeletionDate" not in scheduled.body
    assert world.describe(primary)["PendingDeletionWindowInDays"] == 7
    assert world.later(400) == []
    for region, arn in replicas.items():
        world.call("ScheduleKeyDeletion", region=region, KeyId=arn, PendingWindowInDays=7)
        assert world.kms.state_of(primary) == "PendingReplicaDeletion"
        assert world.later(7) == ["DeleteKey"]
    assert world.kms.state_of(primary) == "PendingDeletion"
    assert world.describe(primary)["DeletionDate"] == world.time + 7 * DAY
    assert world.later(7) == ["DeleteKey"]
    assert world.kms.state_of(primary) == "Gone"


def test_a_long_sleep_plays_a_whole_family_through(world: "World") -> None:
    primary = world.create(MultiRegion=True)
    world.call("ReplicateKey", KeyId=primary, ReplicaRegion="us-east-1")
    world.kms.tick()
    world.call("ScheduleKeyDeletion", KeyId=primary, PendingWindowInDays=7)
    replica = primary.replace(world.region, "us-east-1")
    world.call("ScheduleKeyDeletion", region="us-east-1", KeyId=replica, PendingWindowInDays=7)
    began = world.time
    world.time += 100 * DAY
    events = world.kms.tick()
    assert [(each.key_arn, each.happened_at) for each in events] == [
        (replica, began + 7 * DAY),
        (primary, began + 14 * DAY),
    ]


def test_a_waiting_primary_can_be_cancelled(world: "World") -> None:
    primary = world.create(MultiRegion=True)
    world.call("ReplicateKey", KeyId=primary, ReplicaRegion="us-east-1")
    world.kms.tick()
    world.call("ScheduleKeyDeletion", KeyId=primary)
    world.call("CancelKeyDeletion", KeyId=primary)
    assert world.kms.state_of(primary) == "Disabled"
    assert world.kms.state_of(primary.replace(world.region, "us-east-1")) == "Enabled"


def test_a_replica_has_the_material_and_a_state_of_its_own(world: "World") -> None:
    primary = world.create(MultiRegion=True)
    made = world.call("ReplicateKey", KeyId=primary, ReplicaRegion="us-east-1")
    assert made.body["ReplicaKeyMetadata"]["KeyState"] == "Creating"
    replica = made.body["ReplicaKeyMetadata"]["Arn"]
    assert world.kms.state_of(replica) == "Creating"
    world.time += 1
    assert world.kms.state_of(replica) == "Enabled"
    family = world.describe(replica, region="us-east-1")["MultiRegionConfiguration"]
    assert family == {
        "MultiRegionKeyType": "REPLICA",
        "PrimaryKey": {"Arn": primary, "Region": world.region},
        "ReplicaKeys": [{"Arn": replica, "Region": "us-east-1"}],
    }
    sealed = world.call("Encrypt", KeyId=primary, Plaintext="aGk=").body["CiphertextBlob"]
    world.call("DisableKey", KeyId=primary)
    opened = world.call("Decrypt", region="us-east-1", CiphertextBlob=sealed).body
    assert (opened["Plaintext"], opened["KeyId"]) == ("aGk=", replica)


def test_the_primary_role_moves(world: "World") -> None:
    old = world.create(MultiRegion=True)
    world.call("ReplicateKey", KeyId=old, ReplicaRegion="us-east-1")
    new = old.replace(world.region, "us-east-1")
    world.kms.tick()
    world.call("UpdatePrimaryRegion", KeyId=old, PrimaryRegion="us-east-1")
    assert {world.kms.state_of(old), world.kms.state_of(new)} == {"Updating"}
    assert world.refused("DisableKey", KeyId=old).message == f"{old} is updating."
    world.kms.tick()
    assert {world.kms.state_of(old), world.kms.state_of(new)} == {"Enabled"}
    family = world.describe(old)["MultiRegionConfiguration"]
    assert (family["MultiRegionKeyType"], family["PrimaryKey"]["Arn"]) == ("REPLICA", new)
    refusal = world.refused("UpdatePrimaryRegion", KeyId=old, PrimaryRegion="us-east-1")
    assert refusal.code == "UnsupportedOperationException"


def test_a_disconnected_store_takes_its_keys_with_it(world: "World") -> None:
    store = world.connected_store()
    key = world.create(Origin="AWS_CLOUDHSM", CustomKeyStoreId=store)
    doomed = world.create(Origin="AWS_CLOUDHSM", CustomKeyStoreId=store)
    world.call("ScheduleKeyDeletion", KeyId=doomed)
    gone = world.call("DisconnectCustomKeyStore", CustomKeyStoreId=store)
    assert gone.additional_event_data == {
        "customKeyStoreName": "store",
        "clusterId": "cluster-a2b3c4defgh",
    }
    assert world.kms.state_of(key) == "Unavailable"
    assert world.kms.state_of(doomed) == "PendingDeletion"
    # Disabling succeeds, and shows only once the store is back.
    world.call("DisableKey", KeyId=key)
    assert world.kms.state_of(key) == "Unavailable"
    refusal = world.refused("DeleteCustomKeyStore", CustomKeyStoreId=store)
    assert refusal.code == "CustomKeyStoreHasCMKsException"
    world.call("ConnectCustomKeyStore", CustomKeyStoreId=store)
    assert world.kms.state_of(key) == "Disabled"


def test_rotation_by_the_calendar(world: "World") -> None:
    key = world.create()
    first = world.describe(key)["CurrentKeyMaterialId"]
    sealed = world.call("Encrypt", KeyId=key, Plaintext="aGk=").body["CiphertextBlob"]
    world.call("EnableKeyRotation", KeyId=key, RotationPeriodInDays=90)
    world.time += 90 * DAY
    (event,) = world.kms.tick()
    second = world.describe(key)["CurrentKeyMaterialId"]
    assert event.service_event_details == {
        "keyId": key.rpartition("/")[2],
        "rotationType": "AUTOMATIC",
        "keyOrigin": "AWS_KMS",
        "previousKeyMaterialId": first,
        "currentKeyMaterialId": second,
    }
    assert world.call("Decrypt", CiphertextBlob=sealed).body["KeyMaterialId"] == first
    status = world.call("GetKeyRotationStatus", KeyId=key).body
    assert status["NextRotationDate"] == world.time + 90 * DAY
    rotations = world.call("ListKeyRotations", KeyId=key).body["Rotations"]
    assert [each["RotationType"] for each in rotations] == ["AUTOMATIC"]


def test_rotation_rests_while_disabled_and_is_made_up_for(world: "World") -> None:
    key = world.create()
    world.call("EnableKeyRotation", KeyId=key)
    world.call("DisableKey", KeyId=key)
    world.call("ScheduleKeyDeletion", KeyId=world.create(), PendingWindowInDays=7)
    assert world.later(366) == ["DeleteKey"]
    world.call("EnableKey", KeyId=key)
    assert world.later(0) == ["RotateKey"]


def test_rotation_on_demand(world: "World") -> None:
    key = world.create()
    world.call("RotateKeyOnDemand", KeyId=key)
    status = world.call("GetKeyRotationStatus", KeyId=key).body
    assert status["OnDemandRotationStartDate"] == world.time
    assert world.refused("RotateKeyOnDemand", KeyId=key).code == "ConflictException"
    assert world.later(0) == ["RotateKey"]
    for _ in range(24):
        world.call("RotateKeyOnDemand", KeyId=key)
        world.kms.tick()
    assert world.refused("RotateKeyOnDemand", KeyId=key).code == "LimitExceededException"


def test_forcing_what_cannot_be(world: "World") -> None:
    key = world.create(Origin="EXTERNAL")
    with pytest.raises(ValueError, match="cannot be forced"):
        world.kms.force_state(key, "Enabled")
    with pytest.raises(KeyError):
        world.kms.force_state(key + "0", "Disabled")
    world.kms.force_state(key, "Gone")
    assert world.refused("DescribeKey", KeyId=key).code == "NotFoundException"
