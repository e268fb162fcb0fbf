"""Imported material: the real wrapping, and all the ways in which an import can go wrong."""

import base64
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

if TYPE_CHECKING:
    from tests.unit.simulator.kms.conftest import World

DAY = 86400.0
ESCROWED = b"m" * 32
FOR_EVER: dict[str, Any] = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}


def test_round_trip(world: "World") -> None:
    key = world.create(Origin="EXTERNAL")
    assert world.describe(key)["KeyState"] == "PendingImport"
    done = world.import_material(key, ESCROWED)
    material = done.body["KeyMaterialId"]
    assert done.request_parameters == {"keyId": key, "expirationModel": FOR_EVER["ExpirationModel"]}
    assert done.response_elements == {"keyId": key, "keyMaterialId": material}
    metadata = world.describe(key)
    assert (metadata["KeyState"], metadata["CurrentKeyMaterialId"]) == ("Enabled", material)
    sealed = world.call("Encrypt", KeyId=key, Plaintext="aGk=").body["CiphertextBlob"]
    gone = world.call("DeleteImportedKeyMaterial", KeyId=key)
    assert gone.response_elements == {"keyId": key, "keyMaterialId": material}
    assert world.refused("Decrypt", CiphertextBlob=sealed).message == f"{key} is pending import."
    world.import_material(key, ESCROWED)
    assert world.call("Decrypt", CiphertextBlob=sealed).body["Plaintext"] == "aGk="


@pytest.mark.parametrize("algorithm", ["RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"])
@pytest.mark.parametrize("fresh", [False, True])
def test_wrapping_of_symmetric_keys(world: "World", algorithm: str, fresh: bool) -> None:
    world.kms.fresh_wrapping_keys = fresh
    key = world.create(Origin="EXTERNAL")
    wrapped = world.wrapped(key, ESCROWED, algorithm=algorithm)
    world.call("ImportKeyMaterial", KeyId=key, **FOR_EVER, **wrapped)
    assert world.kms.state_of(key) == "Enabled"


@pytest.mark.parametrize("algorithm", ["RSA_AES_KEY_WRAP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1"])
@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P256"])
def test_wrapping_of_private_keys(world: "World", algorithm: str, spec: str) -> None:
    private: Any = (
        rsa.generate_private_key(65537, 2048)
        if spec == "RSA_2048"
        else ec.generate_private_key(ec.SECP256R1())
    )
    der = private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key = world.create(Origin="EXTERNAL", KeySpec=spec, KeyUsage="SIGN_VERIFY")
    wrapped = world.wrapped(key, der, algorithm=algorithm)
    world.call("ImportKeyMaterial", KeyId=key, **FOR_EVER, **wrapped)
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    shown = world.call("GetPublicKey", KeyId=key).body["PublicKey"]
    assert base64.b64decode(shown) == public


@pytest.mark.parametrize(
    ("key_spec", "usage", "algorithm", "wrapping_spec"),
    [
        ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "RSAES_PKCS1_V1_5", "RSA_2048"),
        ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "RSA_AES_KEY_WRAP_SHA_256", "RSA_2048"),
        ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "RSAES_OAEP_SHA_256", "SM2"),
        ("RSA_2048", "SIGN_VERIFY", "RSAES_OAEP_SHA_256", "RSA_2048"),
        ("ECC_NIST_P521", "SIGN_VERIFY", "RSAES_OAEP_SHA_256", "RSA_2048"),
    ],
)
def test_wrappings_that_do_not_go_together(
    world: "World", key_spec: str, usage: str, algorithm: str, wrapping_spec: str
) -> None:
    key = world.create(Origin="EXTERNAL", KeySpec=key_spec, KeyUsage=usage)
    refusal = world.refused(
        "GetParametersForImport",
        KeyId=key,
        WrappingAlgorithm=algorithm,
        WrappingKeySpec=wrapping_spec,
    )
    assert refusal.code == "UnsupportedOperationException"


def test_a_token_is_good_for_one_key_one_import_and_one_day(world: "World") -> None:
    key, other = world.create(Origin="EXTERNAL"), world.create(Origin="EXTERNAL")
    wrapped = world.wrapped(key, ESCROWED)
    refusal = world.refused("ImportKeyMaterial", KeyId=other, **FOR_EVER, **wrapped)
    assert refusal.code == "InvalidImportTokenException"
    damaged = {**wrapped, "EncryptedKeyMaterial": "AAAA"}
    refusal = world.refused("ImportKeyMaterial", KeyId=key, **FOR_EVER, **damaged)
    assert refusal.code == "InvalidCiphertextException"
    # A failed import does not use the token up.
    world.call("ImportKeyMaterial", KeyId=key, **FOR_EVER, **wrapped)
    refusal = world.refused("ImportKeyMaterial", KeyId=key, **FOR_EVER, **wrapped)
    assert refusal.code == "InvalidImportTokenException"
    stale = world.wrapped(key, ESCROWED)
    world.later(1.001)
    refusal = world.refused("ImportKeyMaterial", KeyId=key, **FOR_EVER, **stale)
    assert refusal.code == "ExpiredImportTokenException"


@pytest.mark.parametrize("material", [b"short", b"x" * 33])
def test_material_of_the_wrong_size(world: "World", material: bytes) -> None:
    key = world.create(Origin="EXTERNAL")
    wrapped = world.wrapped(key, material)
    refusal = world.refused("ImportKeyMaterial", KeyId=key, **FOR_EVER, **wrapped)
    assert refusal.code == "IncorrectKeyMaterialException"


def test_a_re_import_must_be_byte_identical(world: "World") -> None:
    key = world.create(Origin="EXTERNAL")
    world.import_material(key, ESCROWED)
    world.call("DeleteImportedKeyMaterial", KeyId=key)
    wrapped = world.wrapped(key, b"n" * 32)
    refusal = world.refused("ImportKeyMaterial", KeyId=key, **FOR_EVER, **wrapped)
    assert refusal.code == "IncorrectKeyMaterialException"
    assert world.kms.state_of(key) == "PendingImport"


@pytest.mark.parametrize(
    ("expiry", "good"),
    [
        ({}, False),
        ({"ExpirationModel": "KEY_MATERIAL_EXPIRES"}, False),
        ({"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE", "ValidTo": 5 * DAY}, False),
        ({"ValidTo": -1.0}, False),
        ({"ValidTo": 366 * DAY}, False),
        ({"ValidTo": 365 * DAY}, True),
    ],
)
def test_expiry_members(world: "World", expiry: dict[str, Any], good: bool) -> None:
    key = world.create(Origin="EXTERNAL")
    wrapped = world.wrapped(key, ESCROWED)
    if "ValidTo" in expiry:
        expiry = {**expiry, "ValidTo": world.time + expiry["ValidTo"]}
    if good:
        world.call("ImportKeyMaterial", KeyId=key, **expiry, **wrapped)
        assert world.describe(key)["ValidTo"] == expiry["ValidTo"]
    else:
        refusal = world.refused("ImportKeyMaterial", KeyId=key, **expiry, **wrapped)
        assert refusal.code == "ValidationException"


def test_material_expires(world: "World") -> None:
    key = world.create(Origin="EXTERNAL")
    done = world.import_material(key, ESCROWED, ValidTo=world.time + 3 * DAY)
    assert world.describe(key)["ExpirationModel"] == "KEY_MATERIAL_EXPIRES"
    world.time += 3 * DAY
    assert world.describe(key)["KeyState"] == "PendingImport"
    (event,) = world.kms.tick()
    assert event.event_name == "DeleteExpiredKeyMaterial"
    assert event.service_event_details == {
        "keyId": key.rpartition("/")[2],
        "keyMaterialId": done.body["KeyMaterialId"],
    }


def test_several_materials_and_one_missing(world: "World") -> None:
    key = world.create(Origin="EXTERNAL")
    first = world.import_material(key, ESCROWED).body["KeyMaterialId"]
    new = world.import_material(key, b"n" * 32, ImportType="NEW_KEY_MATERIAL")
    second = new.body["KeyMaterialId"]
    assert _states(world, key) == {
        first: ("CURRENT", "IMPORTED"),
        second: ("PENDING_ROTATION", "IMPORTED"),
    }
    wrapped = world.wrapped(key, b"o" * 32)
    more = {**FOR_EVER, **wrapped, "ImportType": "NEW_KEY_MATERIAL"}
    assert world.refused("ImportKeyMaterial", KeyId=key, **more).code == "KMSInvalidStateException"
    sealed = world.call("Encrypt", KeyId=key, Plaintext="aGk=").body["CiphertextBlob"]
    world.call("RotateKeyOnDemand", KeyId=key)
    assert world.later(0) == ["RotateKey"]
    assert _states(world, key)[second] == ("CURRENT", "IMPORTED")
    assert world.call("Decrypt", CiphertextBlob=sealed).body["KeyMaterialId"] == first
    # One missing material takes the whole key down, also for what the other one could open.
    world.call("DeleteImportedKeyMaterial", KeyId=key, KeyMaterialId=first)
    assert world.kms.state_of(key) == "PendingImport"
    assert _states(world, key)[first] == ("NON_CURRENT", "PENDING_IMPORT")
    world.call("DeleteImportedKeyMaterial", KeyId=key, KeyMaterialId=second)
    world.import_material(key, b"n" * 32, KeyMaterialId=second)
    assert world.kms.state_of(key) == "PendingImport"
    world.import_material(key, ESCROWED, KeyMaterialId=first)
    assert world.kms.state_of(key) == "Enabled"


def test_deleting_material_that_waits_for_rotation_changes_no_state(world: "World") -> None:
    key = world.create(Origin="EXTERNAL")
    world.import_material(key, ESCROWED)
    new = world.import_material(key, b"n" * 32, ImportType="NEW_KEY_MATERIAL")
    world.call("DeleteImportedKeyMaterial", KeyId=key, KeyMaterialId=new.body["KeyMaterialId"])
    assert world.kms.state_of(key) == "Enabled"
    assert len(_states(world, key)) == 1
    refusal = world.refused("RotateKeyOnDemand", KeyId=key)
    assert refusal.code == "KMSInvalidStateException"


def test_replicas_need_the_material_too(world: "World") -> None:
    primary = world.create(Origin="EXTERNAL", MultiRegion=True)
    world.import_material(primary, ESCROWED)
    world.call("ReplicateKey", KeyId=primary, ReplicaRegion="us-east-1")
    world.kms.tick()
    replica = primary.replace(world.region, "us-east-1")
    assert world.kms.state_of(replica) == "PendingImport"
    world.import_material(replica, ESCROWED, region="us-east-1")
    assert world.kms.state_of(replica) == "Enabled"
    # New material: first the primary, then every replica, then the rotation.
    new = world.import_material(primary, b"n" * 32, ImportType="NEW_KEY_MATERIAL")
    pending = new.body["KeyMaterialId"]
    assert _states(world, primary)[pending][0] == "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"
    assert world.kms.state_of(replica) == "Enabled"
    assert world.refused("RotateKeyOnDemand", KeyId=primary).code == "KMSInvalidStateException"
    world.import_material(
        replica, b"n" * 32, region="us-east-1", ImportType="EXISTING_KEY_MATERIAL"
    )
    assert _states(world, primary)[pending][0] == "PENDING_ROTATION"
    world.call("RotateKeyOnDemand", KeyId=primary)
    assert world.later(0) == ["RotateKey"]
    metadata = world.describe(replica, region="us-east-1")
    assert metadata["CurrentKeyMaterialId"] == pending


def test_what_a_disabled_key_keeps(world: "World") -> None:
    """Unverified of AWS: a refresh leaves it Disabled, filling a gap enables it."""
    key = world.create(Origin="EXTERNAL")
    world.import_material(key, ESCROWED)
    world.call("DisableKey", KeyId=key)
    world.import_material(key, ESCROWED)
    assert world.kms.state_of(key) == "Disabled"
    world.call("DeleteImportedKeyMaterial", KeyId=key)
    world.import_material(key, ESCROWED)
    assert world.kms.state_of(key) == "Enabled"


def _states(world: "World", key: str) -> dict[str, tuple[str, str]]:
    listed = world.call("ListKeyRotations", KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    return {
        each["KeyMaterialId"]: (each["KeyMaterialState"], each["ImportState"])
        for each in listed.body["Rotations"]
    }
