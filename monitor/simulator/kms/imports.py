"""Imported key material: wrapping it, importing it, deleting it."""

import functools
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from monitor.simulator.kms import asymmetric
from monitor.simulator.kms.ageing import remove_material
from monitor.simulator.kms.call import Call, Operation
from monitor.simulator.kms.keys import (
    CURRENT,
    DAY,
    PENDING_EVERYWHERE,
    PENDING_ROTATION,
    Key,
    Material,
)
from monitor.simulator.kms.vault import ImportToken, material_id
from monitor.simulator.kms.wire import blob
from monitor.simulator.words import Refusal, Reply

TOKEN_LIFE = 24 * 3600.0
LONGEST_VALIDITY = 365 * DAY
# HMAC keys may be longer than their digest, up to this (developer guide, "Importing key material").
LONGEST_HMAC = 128
NEW, EXISTING = "NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL"
_NOT_ASYMMETRIC = ("ImportType", "KeyMaterialId", "KeyMaterialDescription")


@functools.cache
def shared_wrapping_key(spec: str) -> rsa.RSAPrivateKey:
    """One wrapping key per spec in this process: RSA keys of 4096 bits take seconds to make."""
    return new_wrapping_key(spec)


def new_wrapping_key(spec: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, int(spec.removeprefix("RSA_")))


def get_parameters_for_import(call: Call) -> Reply:
    key = call.key()
    algorithm = call.parameters["WrappingAlgorithm"]
    spec = call.parameters["WrappingKeySpec"]
    _require_wrapping(key, algorithm, spec)
    private = (
        new_wrapping_key(spec) if call.vault.fresh_wrapping_keys else shared_wrapping_key(spec)
    )
    token = call.vault.rng.randbytes(256)
    valid_to = call.now + TOKEN_LIFE
    call.vault.import_tokens[token] = ImportToken(key, algorithm, spec, valid_to, private)
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = {
        "KeyId": key.arn,
        "ImportToken": blob(token),
        "PublicKey": blob(public),
        "ParametersValidTo": valid_to,
    }
    return call.reply(key, body=body)


def _require_wrapping(key: Key, algorithm: str, spec: str) -> None:
    """Which wrapping goes with which key (developer guide, "Select a wrapping public key spec")."""
    if algorithm == "RSAES_PKCS1_V1_5":
        raise Refusal(
            "UnsupportedOperationException", f"{algorithm} is no longer supported since 2023"
        )
    oaep = algorithm.startswith("RSAES_OAEP")
    # An RSA private key is longer than what OAEP can hold; a symmetric key needs no second layer.
    elliptic = key.spec.startswith("ECC")
    fits = elliptic or oaep != key.spec.startswith("RSA")
    if key.spec == "ECC_NIST_P521" and oaep and spec == "RSA_2048":
        fits = False
    if spec == "SM2" or algorithm == "SM2PKE" or not fits:
        raise Refusal(
            "UnsupportedOperationException",
            f"Wrapping algorithm {algorithm} with {spec} is not supported for {key.spec} keys",
        )


def import_key_material(call: Call) -> Reply:
    key = call.key()
    expires_at = _expiry(call)
    _refuse_members(call, key)
    token = _token(call, key)
    secret = _unwrapped(token, call.parameters["EncryptedKeyMaterial"])
    _require_fit(key, secret)
    was_missing = key.material_missing
    material = _place(call, key, material_id(key.ref.key_id, secret))
    material.secret = secret
    material.expires_at = expires_at
    material.description = call.get("KeyMaterialDescription", material.description)
    token.used = True
    if was_missing and not key.material_missing:
        # "When this operation is successful, the state of the KMS key changes to Enabled".
        key.enabled = True
    _settle_family(call, key, material.material_id)
    call.changed(key)
    body = {"KeyId": key.arn}
    if key.symmetric:
        body["KeyMaterialId"] = material.material_id
    return call.reply(
        key, body=body, response={"keyId": key.arn, "keyMaterialId": material.material_id}
    )


def _expiry(call: Call) -> float | None:
    model = call.get("ExpirationModel", "KEY_MATERIAL_EXPIRES")
    valid_to: float | None = call.get("ValidTo")
    if model == "KEY_MATERIAL_DOES_NOT_EXPIRE":
        if valid_to is not None:
            raise Refusal(
                "ValidationException", f"ValidTo must not be set with ExpirationModel {model}"
            )
        return None
    if valid_to is None:
        raise Refusal("ValidationException", f"A validTo date must be set if the {model}")
    if not call.now < valid_to <= call.now + LONGEST_VALIDITY:
        raise Refusal("ValidationException", "ValidTo must lie within the next 365 days")
    return valid_to


def _refuse_members(call: Call, key: Key) -> None:
    present = [member for member in _NOT_ASYMMETRIC if member in call.parameters]
    if present and not key.symmetric:
        raise Refusal(
            "ValidationException",
            f"{', '.join(present)} can only be used with symmetric encryption keys",
        )
    if call.get("ImportType") == NEW and "KeyMaterialId" in call.parameters:
        raise Refusal("ValidationException", f"KeyMaterialId does not go with ImportType {NEW}")


def _token(call: Call, key: Key) -> ImportToken:
    """The token must be of this key and fresh, and is good for one successful import."""
    token = call.vault.import_tokens.get(call.parameters["ImportToken"])
    if token is None or token.key is not key or token.used:
        raise Refusal("InvalidImportTokenException", "The import token is not valid")
    if call.now > token.valid_to:
        raise Refusal("ExpiredImportTokenException", "The import token has expired")
    return token


def _unwrapped(token: ImportToken, wrapped: bytes) -> bytes:
    private: rsa.RSAPrivateKey = token.private_key
    padding = asymmetric.oaep(token.algorithm)
    try:
        if token.algorithm.startswith("RSAES_OAEP"):
            return private.decrypt(wrapped, padding)
        # RSA_AES_KEY_WRAP: an AES key under RSA-OAEP, then the material under AES (RFC 5649).
        size = private.key_size // 8
        aes_key = private.decrypt(wrapped[:size], padding)
        return keywrap.aes_key_unwrap_with_padding(aes_key, wrapped[size:])
    except (ValueError, keywrap.InvalidUnwrap) as error:
        raise Refusal(
            "InvalidCiphertextException", "The key material could not be unwrapped"
        ) from error


def _require_fit(key: Key, secret: bytes) -> None:
    if key.symmetric:
        fits = len(secret) == 32
    elif key.spec.startswith("HMAC"):
        fits = int(key.spec.removeprefix("HMAC_")) // 8 <= len(secret) <= LONGEST_HMAC
    else:
        try:
            private = serialization.load_der_private_key(secret, password=None)
            fits = asymmetric.fits(private, key.spec)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            fits = False
    if not fits:
        raise _incorrect(f"The key material is not valid for key spec {key.spec}")


def _place(call: Call, key: Key, identity: str) -> Material:
    """The material that this import fills: one that the key knows, or a new one."""
    known = next((each for each in key.materials if each.material_id == identity), None)
    asked = call.get("KeyMaterialId")
    if asked is not None and (asked != identity or known is None):
        raise _incorrect("The key material does not match the given key material id")
    kind = call.get("ImportType", EXISTING if key.materials else NEW)
    if kind == EXISTING:
        if known is None:
            raise _incorrect("The key material is not what was imported into this key before")
        return known
    if known is not None:
        raise _incorrect("The key material is already associated with this key")
    if key.replica:
        raise Refusal(
            "UnsupportedOperationException",
            f"{key.arn} is a replica key: import new key material into the primary key first",
        )
    if key.materials and not key.symmetric:
        raise _incorrect("The key material of this key cannot be changed")
    if any(not each.permanent for each in key.materials):
        raise Refusal(
            "KMSInvalidStateException", f"{key.arn} already has key material pending rotation."
        )
    return _added(call, key, identity)


def _added(call: Call, key: Key, identity: str) -> Material:
    if not key.materials:
        state = CURRENT
    elif call.vault.related(key):
        state = PENDING_EVERYWHERE
    else:
        state = PENDING_ROTATION
    material = Material(identity, None, state=state)
    key.materials.append(material)
    for replica in call.vault.related(key):
        replica.materials.append(Material(identity, None, state=state))
        call.changed(replica)
    return material


def _settle_family(call: Call, key: Key, identity: str) -> None:
    """Material that has now reached every related key waits for nothing but its rotation."""
    family = [key, *call.vault.related(key)]
    copies = [each for one in family for each in one.materials if each.material_id == identity]
    if len(copies) == len(family) and all(each.secret is not None for each in copies):
        for each in copies:
            if each.state == PENDING_EVERYWHERE:
                each.state = PENDING_ROTATION


def _incorrect(why: str) -> Refusal:
    return Refusal("IncorrectKeyMaterialException", why)


def delete_imported_key_material(call: Call) -> Reply:
    """Delete the named material, by default the current one; what is gone already is no error."""
    key = call.key()
    asked = call.get("KeyMaterialId")
    if asked is None:
        material = key.current_material
    else:
        material = next((each for each in key.materials if each.material_id == asked), None)
        if material is None:
            raise Refusal("NotFoundException", f"{key.arn} has no key material {asked}")
    body: dict[str, Any] = {"KeyId": key.arn}
    response: dict[str, Any] = {"keyId": key.arn}
    if material is not None:
        remove_material(call.vault, key, material)
        response["keyMaterialId"] = material.material_id
        if key.symmetric:
            body["KeyMaterialId"] = material.material_id
    call.changed(key)
    return call.reply(key, body=body, response=response)


OPERATIONS: dict[str, Operation] = {
    "GetParametersForImport": get_parameters_for_import,
    "ImportKeyMaterial": import_key_material,
    "DeleteImportedKeyMaterial": delete_imported_key_material,
}
