"""Use of keys: ciphertexts that open only under the right key and context, codes, signatures."""

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.simulator.kms.conftest import World

HELLO = base64.b64encode(b"hello").decode()


def test_encrypt_and_decrypt(world: "World") -> None:
    key = world.create()
    made = world.call("Encrypt", KeyId=key, Plaintext=HELLO, EncryptionContext={"a": "1", "b": "2"})
    assert made.response_elements is None
    assert made.request_parameters == {
        "keyId": key,
        "encryptionContext": {"a": "1", "b": "2"},
        "encryptionAlgorithm": "SYMMETRIC_DEFAULT",
    }
    sealed = made.body["CiphertextBlob"]
    context = {"b": "2", "a": "1"}
    opened = world.call("Decrypt", CiphertextBlob=sealed, EncryptionContext=context)
    assert opened.body["Plaintext"] == HELLO
    assert opened.additional_event_data == {"keyMaterialId": opened.body["KeyMaterialId"]}
    wrongs: list[dict[str, str]] = [{}, {"a": "1"}, {"a": "1b", "": "2"}]
    for wrong in wrongs:
        refusal = world.refused("Decrypt", CiphertextBlob=sealed, EncryptionContext=wrong)
        assert refusal.code == "InvalidCiphertextException"


def test_ciphertexts_that_do_not_open(world: "World") -> None:
    key, other = world.create(), world.create()
    sealed = world.call("Encrypt", KeyId=key, Plaintext=HELLO).body["CiphertextBlob"]
    data = bytearray(base64.b64decode(sealed))
    data[-1] ^= 1
    for blob in (base64.b64encode(data).decode(), sealed[:60], HELLO):
        refusal = world.refused("Decrypt", CiphertextBlob=blob)
        assert refusal.code == "InvalidCiphertextException"
    refusal = world.refused("Decrypt", CiphertextBlob=sealed, KeyId=other)
    assert refusal.code == "IncorrectKeyException"
    # A key of another Region, a deleted one and a forbidden one all sound the same.
    refusal = world.refused("Decrypt", region="us-east-1", CiphertextBlob=sealed)
    assert refusal.code == "AccessDeniedException"
    assert refusal.message.startswith(
        "The ciphertext refers to a customer master key that does not"
    )


def test_re_encrypt(world: "World") -> None:
    key, other = world.create(), world.create()
    sealed = world.call("Encrypt", KeyId=key, Plaintext=HELLO).body["CiphertextBlob"]
    moved = world.call("ReEncrypt", CiphertextBlob=sealed, DestinationKeyId=other)
    assert moved.resources == (key, other)
    opened = world.call("Decrypt", CiphertextBlob=moved.body["CiphertextBlob"]).body
    assert (opened["KeyId"], opened["Plaintext"]) == (other, HELLO)


def test_data_keys(world: "World") -> None:
    key = world.create()
    made = world.call("GenerateDataKey", KeyId=key, KeySpec="AES_128").body
    assert len(base64.b64decode(made["Plaintext"])) == 16
    opened = world.call("Decrypt", CiphertextBlob=made["CiphertextBlob"]).body
    assert opened["Plaintext"] == made["Plaintext"]
    blind = world.call("GenerateDataKeyWithoutPlaintext", KeyId=key, NumberOfBytes=10).body
    assert "Plaintext" not in blind
    sizes: list[dict[str, Any]] = [{}, {"KeySpec": "AES_256", "NumberOfBytes": 4}]
    for size in sizes:
        refusal = world.refused("GenerateDataKey", KeyId=key, **size)
        assert refusal.code == "ValidationException"
    assert world.refused("GenerateDataKey", KeyId=key, KeySpec="AES_256", DryRun=True).code == (
        "DryRunOperationException"
    )
    random = world.call("GenerateRandom", NumberOfBytes=9).body["Plaintext"]
    assert len(base64.b64decode(random)) == 9


def test_rsa_encryption(world: "World") -> None:
    key = world.create(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    how: dict[str, Any] = {"KeyId": key, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    sealed = world.call("Encrypt", Plaintext=HELLO, **how).body["CiphertextBlob"]
    assert world.call("Decrypt", CiphertextBlob=sealed, **how).body["Plaintext"] == HELLO
    assert world.refused("Encrypt", KeyId=key, Plaintext=HELLO).code == "InvalidKeyUsageException"
    too_long = base64.b64encode(bytes(300)).decode()
    assert world.refused("Encrypt", Plaintext=too_long, **how).code == "ValidationException"


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        ("RSA_2048", "RSASSA_PSS_SHA_256"),
        ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256"),
        ("ECC_NIST_P256", "ECDSA_SHA_256"),
        ("ECC_SECG_P256K1", "ECDSA_SHA_256"),
    ],
)
def test_signatures(world: "World", spec: str, algorithm: str) -> None:
    key = world.create(KeySpec=spec, KeyUsage="SIGN_VERIFY")
    how: dict[str, Any] = {"KeyId": key, "SigningAlgorithm": algorithm}
    signature = world.call("Sign", Message=HELLO, **how).body["Signature"]
    digest = base64.b64encode(hashlib.sha256(b"hello").digest()).decode()
    checked = world.call("Verify", Message=digest, MessageType="DIGEST", Signature=signature, **how)
    assert checked.body["SignatureValid"] is True
    refusal = world.refused("Verify", Message=digest, Signature=signature, **how)
    assert refusal.code == "KMSInvalidSignatureException"
    refusal = world.refused("Sign", Message=HELLO, MessageType="DIGEST", **how)
    assert refusal.code == "ValidationException"


def test_codes(world: "World") -> None:
    key = world.create(KeySpec="HMAC_384", KeyUsage="GENERATE_VERIFY_MAC")
    how: dict[str, Any] = {"KeyId": key, "MacAlgorithm": "HMAC_SHA_384"}
    code = world.call("GenerateMac", Message=HELLO, **how).body["Mac"]
    assert world.call("VerifyMac", Message=HELLO, Mac=code, **how).body["MacValid"] is True
    refusal = world.refused("VerifyMac", Message=code, Mac=code, **how)
    assert refusal.code == "KMSInvalidMacException"
    wrong: dict[str, Any] = {"KeyId": key, "MacAlgorithm": "HMAC_SHA_256"}
    assert world.refused("GenerateMac", Message=HELLO, **wrong).code == "InvalidKeyUsageException"


def test_specs_that_are_data_only_say_so(world: "World") -> None:
    key = world.create(KeySpec="ML_DSA_44", KeyUsage="SIGN_VERIFY")
    refusal = world.refused("Sign", KeyId=key, Message=HELLO, SigningAlgorithm="ML_DSA_SHAKE_256")
    assert refusal.code == "UnsupportedOperationException"
    assert "as data only" in refusal.message


@pytest.mark.parametrize(
    "parameters",
    [
        {"KeySpec": "ECC_NIST_P256"},
        {"KeySpec": "HMAC_256", "KeyUsage": "SIGN_VERIFY"},
        {"KeySpec": "RSA_2048", "CustomerMasterKeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"},
        {"Origin": "AWS_CLOUDHSM"},
        {"CustomKeyStoreId": "cks-1"},
    ],
)
def test_keys_that_cannot_be_made(world: "World", parameters: dict[str, Any]) -> None:
    assert world.refused("CreateKey", **parameters).code == "ValidationException"


def test_last_usage(world: "World") -> None:
    key = world.create()
    unused = world.call("GetKeyLastUsage", KeyId=key).body
    assert "KeyLastUsage" not in unused
    assert unused["KeyCreationDate"] == world.time
    world.time += 5
    world.call("Encrypt", KeyId=key, Plaintext=HELLO)
    usage = world.call("GetKeyLastUsage", KeyId=key).body["KeyLastUsage"]
    assert (usage["Operation"], usage["Timestamp"]) == ("Encrypt", world.time)
    world.call("DisableKey", KeyId=key)
    world.time += 5
    world.refused("Encrypt", KeyId=key, Plaintext=HELLO)
    assert world.call("GetKeyLastUsage", KeyId=key).body["KeyLastUsage"] == usage
