"""Encrypting and decrypting: ciphertexts that only their own key, in a usable state, opens.

A symmetric ciphertext is AES-256-GCM under the key's current material. In front of it stand, in
the clear and authenticated, the account and id of the key and the id of the material, so that
Decrypt needs no KeyId and old material keeps working after a rotation. It holds no Region: related
multi-Region keys open each other's ciphertexts.
"""

import struct
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from monitor.key import KeyRef
from monitor.simulator.kms import asymmetric
from monitor.simulator.kms.call import Call, Operation
from monitor.simulator.kms.keys import Key, Material
from monitor.simulator.kms.usage import (
    refuse_recipient,
    require,
    stop_dry_run,
    unavailable,
    used,
)
from monitor.simulator.kms.vault import partition_of
from monitor.simulator.kms.wire import blob
from monitor.simulator.words import Refusal, Reply

_MAGIC = b"\x01\x02sim"
_NONCE = 12
_DEFAULT = "SYMMETRIC_DEFAULT"


class _Opened(NamedTuple):
    key: Key
    plaintext: bytes
    algorithm: str
    material: Material | None


# -- operations --------------------------------------------------------------------------------


def encrypt(call: Call) -> Reply:
    context = call.get("EncryptionContext", {})
    key = call.key(aliases=True, context=context)
    algorithm = call.get("EncryptionAlgorithm", _DEFAULT)
    _require_algorithm(call, key, algorithm)
    stop_dry_run(call)
    sealed = _seal(call, key, algorithm, call.parameters["Plaintext"], context)
    used(call, key)
    body = {"CiphertextBlob": blob(sealed), "KeyId": key.arn, "EncryptionAlgorithm": algorithm}
    return call.reply(
        key, body=body, extra=_material_side(key.current_material if key.symmetric else None)
    )


def decrypt(call: Call) -> Reply:
    refuse_recipient(call)
    context = call.get("EncryptionContext", {})
    opened = _open(call, "", "KeyId", "Decrypt", context)
    stop_dry_run(call)
    used(call, opened.key)
    body = {
        "KeyId": opened.key.arn,
        "Plaintext": blob(opened.plaintext),
        "EncryptionAlgorithm": opened.algorithm,
    }
    if opened.material is not None:
        body["KeyMaterialId"] = opened.material.material_id
    return call.reply(opened.key, body=body, extra=_material_side(opened.material))


def re_encrypt(call: Call) -> Reply:
    source = _open(
        call, "Source", "SourceKeyId", "ReEncryptFrom", call.get("SourceEncryptionContext", {})
    )
    context = call.get("DestinationEncryptionContext", {})
    target = call.key("DestinationKeyId", aliases=True, action="ReEncryptTo", context=context)
    algorithm = call.get("DestinationEncryptionAlgorithm", _DEFAULT)
    _require_algorithm(call, target, algorithm)
    stop_dry_run(call)
    sealed = _seal(call, target, algorithm, source.plaintext, context)
    used(call, source.key)
    used(call, target)
    body = {
        "CiphertextBlob": blob(sealed),
        "SourceKeyId": source.key.arn,
        "KeyId": target.arn,
        "SourceEncryptionAlgorithm": source.algorithm,
        "DestinationEncryptionAlgorithm": algorithm,
    }
    if source.material is not None:
        body["SourceKeyMaterialId"] = source.material.material_id
    if target.symmetric and target.current_material is not None:
        body["DestinationKeyMaterialId"] = target.current_material.material_id
    return call.reply(source.key, target, body=body)


def generate_data_key(call: Call) -> Reply:
    refuse_recipient(call)
    return _data_key(call, with_plaintext=True)


def generate_data_key_without_plaintext(call: Call) -> Reply:
    return _data_key(call, with_plaintext=False)


def _data_key(call: Call, *, with_plaintext: bool) -> Reply:
    if ("KeySpec" in call.parameters) == ("NumberOfBytes" in call.parameters):
        raise Refusal("ValidationException", "Please specify either number of bytes or key spec.")
    size = {"AES_128": 16, "AES_256": 32}.get(call.get("KeySpec", ""), call.get("NumberOfBytes"))
    context = call.get("EncryptionContext", {})
    key = call.key(aliases=True, context=context)
    _require_algorithm(call, key, _DEFAULT)
    stop_dry_run(call)
    assert isinstance(size, int)
    plaintext = call.vault.rng.randbytes(size)
    body = {
        "CiphertextBlob": blob(_seal(call, key, _DEFAULT, plaintext, context)),
        "KeyId": key.arn,
    }
    if with_plaintext:
        body["Plaintext"] = blob(plaintext)
    if key.current_material is not None:
        body["KeyMaterialId"] = key.current_material.material_id
    used(call, key)
    return call.reply(key, body=body, extra=_material_side(key.current_material))


def generate_random(call: Call) -> Reply:
    refuse_recipient(call)
    size = call.get("NumberOfBytes")
    if size is None:
        raise Refusal("ValidationException", "NumberOfBytes must be given")
    store_id = call.get("CustomKeyStoreId")
    if store_id is not None:
        store = call.vault.stores.get(store_id)
        if store is None or (store.account, store.region) != (call.account, call.region):
            raise Refusal("CustomKeyStoreNotFoundException", f"{store_id} does not exist")
        if not store.connected:
            raise Refusal("CustomKeyStoreInvalidStateException", f"{store_id} is not connected")
    return call.reply(body={"Plaintext": blob(call.vault.rng.randbytes(size))})


# -- sealing and opening -----------------------------------------------------------------------


def _seal(call: Call, key: Key, algorithm: str, plaintext: bytes, context: dict[str, str]) -> bytes:
    if algorithm != _DEFAULT:
        return asymmetric.encrypt(key, algorithm, plaintext)
    material = key.current_material
    if material is None or material.secret is None:
        raise unavailable(key)
    header = _header(key, material)
    nonce = call.vault.rng.randbytes(_NONCE)
    sealed = AESGCM(material.secret).encrypt(nonce, plaintext, header + _bound(context))
    return header + nonce + sealed


def _open(call: Call, side: str, key_member: str, action: str, context: dict[str, str]) -> _Opened:
    """Decrypt CiphertextBlob for Decrypt (`side` is empty) or ReEncrypt (`Source`)."""
    sealed = call.get("CiphertextBlob")
    if sealed is None:
        raise Refusal("ValidationException", "CiphertextBlob must be given")
    algorithm = call.get(f"{side}EncryptionAlgorithm", _DEFAULT)
    named = call.get(key_member)
    if algorithm != _DEFAULT:
        if named is None:
            raise Refusal("ValidationException", f"{key_member} is required for {algorithm}")
        key = call.key(key_member, aliases=True, action=action)
        _require_algorithm(call, key, algorithm)
        return _Opened(key, asymmetric.decrypt(key, algorithm, sealed), algorithm, None)
    key, material_id, header_size = _read_header(call, sealed)
    if named is not None:
        asked = call.find(named, aliases=True)
        if asked is not key:
            call.permit(asked, action=action, context=context)
            raise Refusal(
                "IncorrectKeyException",
                "The key ID in the request does not identify a CMK that can perform this "
                "operation.",
            )
    call.permit(key, action=action, context=context)
    material = next((each for each in key.materials if each.material_id == material_id), None)
    if key.gone or (material is not None and material.secret is None):
        raise unavailable(key)
    if material is None or material.secret is None:
        raise Refusal("InvalidCiphertextException", "")
    header, rest = sealed[:header_size], sealed[header_size:]
    try:
        plaintext = AESGCM(material.secret).decrypt(
            rest[:_NONCE], rest[_NONCE:], header + _bound(context)
        )
    except (InvalidTag, ValueError) as error:
        raise Refusal("InvalidCiphertextException", "") from error
    return _Opened(key, plaintext, algorithm, material)


def _header(key: Key, material: Material) -> bytes:
    key_id = key.ref.key_id.encode()
    return b"".join(
        (
            _MAGIC,
            key.ref.account.encode(),
            struct.pack("B", len(key_id)),
            key_id,
            bytes.fromhex(material.material_id),
        )
    )


def _read_header(call: Call, sealed: bytes) -> tuple[Key, str, int]:
    """The key and the material that a ciphertext names, and where its header ends."""
    start = len(_MAGIC) + 12
    end = start + 1 + (sealed[start] if len(sealed) > start else 0)
    size = end + 32
    if not sealed.startswith(_MAGIC) or len(sealed) < size + _NONCE + 16:
        raise Refusal("InvalidCiphertextException", "")
    try:
        account = sealed[len(_MAGIC) : start].decode("ascii")
        key_id = sealed[start + 1 : end].decode("ascii")
    except UnicodeDecodeError as error:
        raise Refusal("InvalidCiphertextException", "") from error
    ref = KeyRef(account, call.region, key_id, partition_of(call.region))
    try:
        return call.find(ref.arn), sealed[end:size].hex(), size
    except Refusal as refusal:
        # AWS says the same about a key of another Region, a deleted one and a forbidden one.
        raise Refusal(
            "AccessDeniedException",
            "The ciphertext refers to a customer master key that does not exist, does not exist "
            "in this region, or you are not allowed to access.",
            trail_code="AccessDenied",
        ) from refusal


def _bound(context: dict[str, str]) -> bytes:
    """The encryption context as bytes, whatever order it came in."""
    parts = [part.encode() for pair in sorted(context.items()) for part in pair]
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def _require_algorithm(call: Call, key: Key, algorithm: str) -> None:
    require(call, key, "ENCRYPT_DECRYPT", "EncryptionAlgorithms", algorithm)


def _material_side(material: Material | None) -> dict[str, Any] | None:
    """Since 2025 CloudTrail says which material a cryptographic call used."""
    return None if material is None else {"keyMaterialId": material.material_id}


OPERATIONS: dict[str, Operation] = {
    "Encrypt": encrypt,
    "Decrypt": decrypt,
    "ReEncrypt": re_encrypt,
    "GenerateDataKey": generate_data_key,
    "GenerateDataKeyWithoutPlaintext": generate_data_key_without_plaintext,
    "GenerateRandom": generate_random,
}
