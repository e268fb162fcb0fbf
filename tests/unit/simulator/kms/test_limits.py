"""Limits, and refusals that no other test meets."""

from typing import TYPE_CHECKING, Any

import pytest

from monitor.simulator.kms.keys import REMEMBERED_SIGHTS

if TYPE_CHECKING:
    from tests.unit.simulator.kms.conftest import World


def tags(*names: str) -> list[dict[str, str]]:
    return [{"TagKey": name, "TagValue": ""} for name in names]


def test_tags(world: "World") -> None:
    key = world.create(Tags=tags("a", "b"))
    assert world.call("ListResourceTags", KeyId=key).body["Tags"] == tags("a", "b")
    world.call("UntagResource", KeyId=key, TagKeys=["a", "none"])
    assert world.call("ListResourceTags", KeyId=key).body["Tags"] == tags("b")
    for wrong in (tags("aws:x"), tags("c", "c"), tags(*map(str, range(51)))):
        assert world.refused("TagResource", KeyId=key, Tags=wrong).code == "TagException"
    many = tags(*map(str, range(50)))
    assert world.refused("TagResource", KeyId=key, Tags=many).code == "LimitExceededException"


def test_fifty_aliases(world: "World") -> None:
    key = world.create()
    for number in range(50):
        world.call("CreateAlias", AliasName=f"alias/{number}", TargetKeyId=key)
    refusal = world.refused("CreateAlias", AliasName="alias/more", TargetKeyId=key)
    assert refusal.code == "LimitExceededException"
    assert world.call("ListAliases", KeyId=key).body["Truncated"] is False


def test_a_key_that_is_toggled_for_ever_does_not_grow_for_ever(world: "World") -> None:
    key = world.create()
    for _ in range(REMEMBERED_SIGHTS):
        world.time += 1
        world.call("DisableKey", KeyId=key)
        world.call("EnableKey", KeyId=key)
    world.kms.consistency_seconds = 3
    assert world.describe(key)["KeyState"] == "Enabled"


def test_replicas_that_cannot_be_made(world: "World") -> None:
    primary, ordinary = world.create(MultiRegion=True), world.create()
    wanted: list[tuple[str, str, str]] = [
        (primary, world.region, "ValidationException"),
        (primary, "cn-north-1", "ValidationException"),
        (ordinary, "us-east-1", "UnsupportedOperationException"),
    ]
    for key, region, code in wanted:
        refusal = world.refused("ReplicateKey", KeyId=key, ReplicaRegion=region)
        assert refusal.code == code
    world.call("ReplicateKey", KeyId=primary, ReplicaRegion="us-east-1")
    refusal = world.refused("ReplicateKey", KeyId=primary, ReplicaRegion="us-east-1")
    assert refusal.code == "AlreadyExistsException"
    refusal = world.refused("UpdatePrimaryRegion", KeyId=primary, PrimaryRegion="us-west-2")
    assert refusal.code == "NotFoundException"
    refusal = world.refused("UpdatePrimaryRegion", KeyId=primary, PrimaryRegion="us-east-1")
    assert refusal.code == "KMSInvalidStateException"


def test_a_deleted_replica_can_be_made_again(world: "World") -> None:
    primary = world.create(MultiRegion=True)
    replica = primary.replace(world.region, "us-east-1")
    for _ in range(2):
        world.call("ReplicateKey", KeyId=primary, ReplicaRegion="us-east-1")
        world.kms.tick()
        assert world.kms.state_of(replica) == "Enabled"
        how: dict[str, Any] = {"KeyId": replica, "PendingWindowInDays": 7}
        world.call("ScheduleKeyDeletion", region="us-east-1", **how)
        assert world.later(7) == ["DeleteKey"]
    assert world.kms.state_of(primary) == "Enabled"


def test_rotation_is_set_on_the_primary(world: "World") -> None:
    primary = world.create(MultiRegion=True)
    replica = primary.replace(world.region, "us-east-1")
    world.call("ReplicateKey", KeyId=primary, ReplicaRegion="us-east-1")
    world.kms.tick()
    refusal = world.refused("EnableKeyRotation", region="us-east-1", KeyId=replica)
    assert refusal.code == "UnsupportedOperationException"
    world.call("EnableKeyRotation", KeyId=primary)
    status = world.call("GetKeyRotationStatus", region="us-east-1", KeyId=replica).body
    assert status["KeyRotationEnabled"] is True
    assert world.later(365) == ["RotateKey"]
    both = {world.describe(primary)["CurrentKeyMaterialId"]}
    both.add(world.describe(replica, region="us-east-1")["CurrentKeyMaterialId"])
    assert len(both) == 1
    world.call("DisableKeyRotation", KeyId=primary)
    assert world.later(365) == []


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"ImportType": "NEW_KEY_MATERIAL", "KeyMaterialId": "a" * 64}, "ValidationException"),
        ({"KeyMaterialId": "a" * 64}, "IncorrectKeyMaterialException"),
        ({"ImportType": "NEW_KEY_MATERIAL"}, "IncorrectKeyMaterialException"),
    ],
)
def test_imports_that_contradict_themselves(
    world: "World", parameters: dict[str, Any], code: str
) -> None:
    key = world.create(Origin="EXTERNAL")
    world.import_material(key)
    how = {**world.wrapped(key, b"m" * 32), "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
    assert world.refused("ImportKeyMaterial", KeyId=key, **how, **parameters).code == code


def test_imported_codes_cannot_be_changed(world: "World") -> None:
    key = world.create(Origin="EXTERNAL", KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    assert "KeyMaterialId" not in world.import_material(key, b"m" * 40).body
    how = {**world.wrapped(key, b"n" * 40), "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
    refusal = world.refused("ImportKeyMaterial", KeyId=key, **how)
    assert refusal.code == "IncorrectKeyMaterialException"
    refusal = world.refused(
        "ImportKeyMaterial", KeyId=key, **how, ImportType="EXISTING_KEY_MATERIAL"
    )
    assert refusal.code == "ValidationException"
    world.call("DeleteImportedKeyMaterial", KeyId=key)
    assert world.kms.state_of(key) == "PendingImport"


def test_missing_alternatives(world: "World") -> None:
    key = world.create()
    incomplete: list[tuple[str, dict[str, Any]]] = [
        ("RetireGrant", {}),
        ("CreateGrant", {"KeyId": key, "Operations": ["Decrypt"]}),
        ("ListRetirableGrants", {}),
        ("Decrypt", {}),
        ("ReEncrypt", {"DestinationKeyId": key}),
        ("GenerateRandom", {}),
        ("Decrypt", {"CiphertextBlob": "AAAA", "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}),
    ]
    for operation, parameters in incomplete:
        assert world.refused(operation, **parameters).code == "ValidationException", operation
